#include "commands/table.hh"

#include <gtest/gtest.h>

#include <sstream>

namespace seawall::commands {
namespace {

const Table table{.heading = {"name", "size"}, .rows = {{"a", "1"}, {"größer", "22"}}};

TEST(Table, ColumnsArePaddedByCharactersButTheLast) {
  std::ostringstream out;
  print_columns(table, out);
  EXPECT_EQ(out.str(), "name   size\na      1\ngrößer 22\n");
}

TEST(Table, BoxHasUpperCaseHeadings) {
  std::ostringstream out;
  print_boxed(table, out);
  EXPECT_EQ(out.str(),
            "+--------+------+\n| NAME   | SIZE |\n+--------+------+\n| a      | 1    |\n| größer | 22   "
            "|\n+--------+------+\n");
}

TEST(Table, JsonIsIndentedAsGoDoes) {
  EXPECT_EQ(indent_json(R"([{"a":"x{,\"y","b":[],"c":{},"d":[1,2]}])"),
            "[\n    {\n        \"a\": \"x{,\\\"y\",\n        \"b\": [],\n        \"c\": {},\n        \"d\": [\n        "
            "    1,\n"
            "            2\n        ]\n    }\n]");
}

}  // namespace
}  // namespace seawall::commands
