#include "cli/detail/layout.hh"

#include <gtest/gtest.h>

#include "base/text.hh"

namespace seawall::cli::detail {
namespace {

TEST(Layout, WrapsAtBlanksAndIndents) {
  const std::string word(40, 'x');
  EXPECT_EQ(wrapped(word + " " + word + "  " + word, 4), "    " + word + " " + word + "\n    " + word + "\n");
  EXPECT_EQ(wrapped(std::string(150, 'y'), 2), "  " + std::string(150, 'y') + "\n");
  EXPECT_EQ(wrapped("", 4), "\n");
}

TEST(Layout, AlignsColumnsAndBreaksAfterLongNames) {
  const std::string name(50, 'n');
  EXPECT_EQ(columns({{"a", "one"}, {"bcd", "two"}, {"e", ""}}), "  a    one\n  bcd  two\n  e    \n");
  EXPECT_EQ(columns({{name, "text"}}), "  " + name + "\n" + std::string(38, ' ') + "text\n");
  const std::string long_text = columns({{"a", std::string(60, 'p') + " " + std::string(60, 'q')}});
  EXPECT_EQ(long_text, "  a  " + std::string(60, 'p') + "\n     " + std::string(60, 'q') + "\n");
}

TEST(Layout, TakesMarksOutOfMarkdown) {
  EXPECT_EQ(
      terminal_text("# Title `x`\n\nSome **bold** `co**de`, a [page](other.md) and\na [site](https://x.y/).\n\n"
                    "```sh\n# run `it`\n```\n\n| A | B |\n|---|---|\n| `1` | [a] |\n\n* item\n\n\n"),
      "TITLE X\n\nSome bold co**de, a page and\na site (https://x.y/).\n\n    # run `it`\n\n| A | B |\n| 1 | [a] |\n"
      "\n* item\n");
  EXPECT_EQ(terminal_text(""), "");
  EXPECT_EQ(terminal_text("an open ` and [ stay\n"), "an open  and [ stay\n");
}

TEST(Layout, FindsTheFirstParagraph) {
  EXPECT_EQ(first_paragraph("# T\n\n## U\nOne `two`\n  three.\n\nFour.\n"), "One two three.");
  EXPECT_EQ(first_paragraph("# only a heading\n"), "");
}

}  // namespace
}  // namespace seawall::cli::detail
