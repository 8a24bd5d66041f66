#include "archive/verified.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hh"

namespace seawall::archive {
namespace {

using testing::ElementsAre;

constexpr Time at(int seconds) { return Time{std::chrono::seconds(1'800'000'000 + seconds)}; }

std::vector<NumberRange> ranges(const NumberRanges& of) { return {of.all().begin(), of.all().end()}; }

TEST(Verified, LaterFindingsReplaceEarlierOnes) {
  Verified verified;
  verified.add_wal(1, {10, 20}, at(1));
  verified.add_wal(1, {15, 25}, at(5));
  verified.add_wal(1, {12, 17}, at(3));
  verified.add_wal(2, {1, 1}, at(9));
  EXPECT_THAT(ranges(verified.wal(1, at(0))), ElementsAre(NumberRange{10, 25}));
  EXPECT_THAT(ranges(verified.wal(1, at(2))), ElementsAre(NumberRange{12, 25}));
  EXPECT_THAT(ranges(verified.wal(1, at(4))), ElementsAre(NumberRange{15, 25}));
  EXPECT_TRUE(verified.wal(1, at(6)).empty());
  EXPECT_TRUE(verified.wal(3, at(0)).empty());
}

TEST(Verified, SegmentsOfOneRunAreOneRange) {
  Verified verified;
  for (const std::uint64_t number : {3U, 1U, 2U, 5U, 4U}) verified.add_wal(1, {number, number}, at(1));
  EXPECT_EQ(verified.wal().at(1).size(), 1u);
}

TEST(Verified, ABackupOfTheSameNameIsAnotherOne) {
  Verified verified;
  verified.add_backup("b", at(1), at(2));
  EXPECT_EQ(verified.backup("b", at(1)), at(2));
  EXPECT_FALSE(verified.backup("b", at(3)).has_value());
  EXPECT_FALSE(verified.backup("c", at(1)).has_value());
  verified.add_backup("b", at(3), at(4));
  verified.add_backup("b", at(1), at(9));
  EXPECT_EQ(verified.backup("b", at(3)), at(4));
}

TEST(Verified, IsReadAsItWasWritten) {
  Verified verified;
  verified.add_backup("base_1 \"x\"", at(1) + std::chrono::nanoseconds(7), at(2));
  verified.add_wal(1, {10, 20}, at(1));
  verified.add_wal(7, {0, 0}, at(2));
  const std::string text = print_verified(verified);
  EXPECT_EQ(print_verified(parse_verified(text, "x")), text);
  Verified other;
  other.add_wal(1, {0, 30}, at(0));
  other.merge(parse_verified(text, "x"));
  EXPECT_THAT(ranges(other.wal(1, at(1))), ElementsAre(NumberRange{10, 20}));
  EXPECT_EQ(other.backup("base_1 \"x\"", at(1) + std::chrono::nanoseconds(7)), at(2));
}

TEST(Verified, RefusesWhatItIsNot) {
  for (const std::string_view text :
       {"", "[]", "{}",
        R"({"version":1,"backups":[],"wal":[{"timeline":1,"first":2,"last":1,"at":"2026-01-01T00:00:00Z"}]})",
        R"({"version":1,"backups":[{"name":"x"}],"wal":[]})", R"({"version":1,"backups":{},"wal":[]})"}) {
    EXPECT_THROW(parse_verified(text, "x"), Error) << text;
  }
  try {
    parse_verified(R"({"version":2})", "x");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::unsupported);
  }
}

}  // namespace
}  // namespace seawall::archive
