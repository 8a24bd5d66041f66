#include "base/text.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace seawall {
namespace {

using testing::ElementsAre;

TEST(ParseInt, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(parse_int<int>("-12"), -12);
  EXPECT_EQ(parse_int<std::uint32_t>("ff", 16), 255U);
  EXPECT_EQ(parse_int<int>(""), std::nullopt);
  EXPECT_EQ(parse_int<int>("1 "), std::nullopt);
  EXPECT_EQ(parse_int<int>("+1"), std::nullopt);
  EXPECT_EQ(parse_int<std::uint8_t>("256"), std::nullopt);
}

TEST(Case, ChangesAsciiOnly) {
  EXPECT_EQ(upper("walg_Prefix-1\u00e4"), "WALG_PREFIX-1\u00e4");
  EXPECT_EQ(lower("WALG_Prefix-1\u00c4"), "walg_prefix-1\u00c4");
}

TEST(Trim, RemovesBlanksAtBothEnds) {
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_THAT(split("a,b", ','), ElementsAre("a", "b"));
  EXPECT_THAT(split(",a,,", ','), ElementsAre("", "a", "", ""));
  EXPECT_THAT(split("", ','), ElementsAre(""));
}

TEST(HumanBytes, ThreeDigitsAndAUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(734), "734 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(99 * 1024 + 973), "100 KiB");
  EXPECT_EQ(human_bytes(210ULL << 20), "210 MiB");
  EXPECT_EQ(human_bytes((1ULL << 20) - 1), "1.0 MiB");
  EXPECT_EQ(human_bytes(1610612736), "1.5 GiB");
  EXPECT_EQ(human_bytes(std::numeric_limits<std::uint64_t>::max()), "16.0 EiB");
}

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string> commands{"backup-push", "backup-fetch", "backup-list", "wal-push", "wal-fetch"};
  EXPECT_EQ(nearest("backup-psuh", commands), "backup-push");
  EXPECT_EQ(nearest("BACKUP-LIST", commands), "backup-list");
  EXPECT_EQ(nearest("walfetch", commands), "wal-fetch");
  EXPECT_EQ(nearest("restore", commands), std::nullopt);
  EXPECT_EQ(nearest("", commands), std::nullopt);
}

TEST(Nearest, DoesNotReplaceAWholeWord) {
  const std::vector<std::string> letters{"y"};
  EXPECT_EQ(nearest("x", letters), std::nullopt);
}

TEST(JsonString, EscapesControlCharacters) {
  EXPECT_EQ(json_string(""), "\"\"");
  EXPECT_EQ(json_string("plain/text"), "\"plain/text\"");
  EXPECT_EQ(json_string("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json_string(std::string_view("\b\f\n\r\t\0\x1f\x7f", 8)), "\"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\"");
}

TEST(JsonString, EscapesHtmlOnlyWhenAsked) {
  EXPECT_EQ(json_string("<a&b>\u2028\u2029"), "\"<a&b>\u2028\u2029\"");
  EXPECT_EQ(json_string("<a&b>\u2028\u2029", true), R"("\u003ca\u0026b\u003e\u2028\u2029")");
}

TEST(JsonString, KeepsUtf8AndReplacesWhatIsNot) {
  EXPECT_EQ(json_string("\u00e4\u20ac\U0001F40B"), "\"\u00e4\u20ac\U0001F40B\"");
  EXPECT_EQ(json_string("a\xff"), R"("a\ufffd")");
  EXPECT_EQ(json_string("\xe2\x82"), R"("\ufffd\ufffd")");                      // cut short
  EXPECT_EQ(json_string("\xc0\xaf"), R"("\ufffd\ufffd")");                      // longer than needed
  EXPECT_EQ(json_string("\xe0\x80\xaf"), R"("\ufffd\ufffd\ufffd")");            // the same with three bytes
  EXPECT_EQ(json_string("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")");            // a surrogate
  EXPECT_EQ(json_string("\xf4\x90\x80\x80"), R"("\ufffd\ufffd\ufffd\ufffd")");  // beyond the last character
  EXPECT_EQ(json_string("\ufffd"), "\"\ufffd\"");                               // a valid one stays as it is
}

struct GlobCase {
  std::string_view pattern, name;
  std::optional<bool> expected;
};

class Glob : public testing::TestWithParam<GlobCase> {};

TEST_P(Glob, Matches) { EXPECT_EQ(glob_match(GetParam().pattern, GetParam().name), GetParam().expected); }

INSTANTIATE_TEST_SUITE_P(
    Stars, Glob,
    testing::Values(GlobCase{"", "", true}, GlobCase{"", "a", false}, GlobCase{"abc", "abc", true},
                    GlobCase{"*", "abc", true}, GlobCase{"*", "", true}, GlobCase{"*", "a/b", false},
                    GlobCase{"*c", "abc", true}, GlobCase{"a*", "a", true}, GlobCase{"a*", "ab/c", false},
                    GlobCase{"a*/b", "abc/b", true}, GlobCase{"a*/b", "a/c/b", false}, GlobCase{"**", "abc", true},
                    GlobCase{"base/*/16384*", "base/5/16384.1", true}, GlobCase{"a*b*c*d*e*/f", "axbxcxdxe/f", true},
                    GlobCase{"a*b*c*d*e*/f", "axbxcxdxexxx/fff", false}, GlobCase{"a*b?c*x", "abxbbxdbxebxczzx", true},
                    GlobCase{"a*b?c*x", "abxbbxdbxebxczzy", false}, GlobCase{"*x", "xxx", true},
                    GlobCase{"*ab", "aab", true}));

INSTANTIATE_TEST_SUITE_P(Classes, Glob,
                         testing::Values(GlobCase{"ab[c]", "abc", true}, GlobCase{"ab[b-d]", "abc", true},
                                         GlobCase{"ab[e-g]", "abc", false}, GlobCase{"ab[^c]", "abc", false},
                                         GlobCase{"ab[^e-g]", "abc", true}, GlobCase{"[a-cx-z]", "y", true},
                                         GlobCase{"a[^a]b", "a\u263ab", true}, GlobCase{"[a-\u03b6]*", "\u03b1", true},
                                         GlobCase{"[\\]a]", "]", true}, GlobCase{"[\\-]", "-", true},
                                         GlobCase{"[x\\-]", "z", false}, GlobCase{"[!a]", "!", true},
                                         GlobCase{"[!a]", "b", false}, GlobCase{"a[*]b", "a*b", true},
                                         GlobCase{"a[^x]b", "a/b", true}, GlobCase{"[a]", "", false},
                                         GlobCase{"*[^a]*b", "x/yb", false}));

INSTANTIATE_TEST_SUITE_P(SingleCharacters, Glob,
                         testing::Values(GlobCase{"a?c", "abc", true}, GlobCase{"a?b", "a/b", false},
                                         GlobCase{"a?b", "a\u263ab", true}, GlobCase{"a???b", "a\u263ab", false},
                                         GlobCase{"?", "\xff", true}, GlobCase{"?", "", false},
                                         GlobCase{"a\\*b", "ab", false}, GlobCase{"a\\*b", "a*b", true},
                                         GlobCase{"a\\\\b", "a\\b", true}, GlobCase{"a]b", "a]b", true}));

INSTANTIATE_TEST_SUITE_P(Malformed, Glob,
                         testing::Values(GlobCase{"[]a]", "]", {}}, GlobCase{"[-]", "-", {}}, GlobCase{"[x-]", "x", {}},
                                         GlobCase{"[a-b-c]", "a", {}}, GlobCase{"[", "a", {}}, GlobCase{"[^", "a", {}},
                                         GlobCase{"[^bc", "a", {}}, GlobCase{"a[", "ab", {}}, GlobCase{"a[", "x", {}},
                                         GlobCase{"x*[", "y", {}}, GlobCase{"a\\", "a", {}}, GlobCase{"[\\", "a", {}},
                                         GlobCase{"[\xff]", "a", {}}, GlobCase{"[]", "", {}}));

}  // namespace
}  // namespace seawall
