#include "archive/number_ranges.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace seawall::archive {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

NumberRanges of(std::initializer_list<NumberRange> ranges) {
  NumberRanges set;
  for (const NumberRange& range : ranges) set.add(range);
  return set;
}

TEST(NumberRanges, NeighboursBecomeOneRangeInAnyOrder) {
  EXPECT_THAT(of({{1, 1}, {2, 5}, {6, 6}}).all(), ElementsAre(NumberRange{1, 6}));
  EXPECT_THAT(of({{6, 6}, {1, 1}, {2, 5}}).all(), ElementsAre(NumberRange{1, 6}));
  EXPECT_THAT(of({{10, 20}, {1, 3}, {5, 12}}).all(), ElementsAre(NumberRange{1, 3}, NumberRange{5, 20}));
  EXPECT_THAT(of({{5, 5}, {1, 30}}).all(), ElementsAre(NumberRange{1, 30}));
}

TEST(NumberRanges, ARangeWithoutEndSwallowsWhatFollows) {
  const NumberRanges set = of({{5, no_last}, {7, 9}, {4, 4}});
  EXPECT_THAT(set.all(), ElementsAre(NumberRange{4, no_last}));
  EXPECT_TRUE(set.contains(no_last));
  EXPECT_THAT(set.gaps({0, no_last}), ElementsAre(NumberRange{0, 3}));
}

TEST(NumberRanges, GapsAreInsideTheRangeAskedForOnly) {
  const NumberRanges set = of({{3, 5}, {8, 8}, {20, 30}});
  EXPECT_THAT(set.gaps({3, 5}), IsEmpty());
  EXPECT_THAT(set.gaps({4, 22}), ElementsAre(NumberRange{6, 7}, NumberRange{9, 19}));
  EXPECT_THAT(set.gaps({1, 40}),
              ElementsAre(NumberRange{1, 2}, NumberRange{6, 7}, NumberRange{9, 19}, NumberRange{31, 40}));
  EXPECT_THAT(NumberRanges().gaps({2, 3}), ElementsAre(NumberRange{2, 3}));
}

TEST(NumberRanges, AgreeWithASetOfNumbers) {
  std::mt19937 random(7);
  const auto number = [&](std::uint64_t most) { return random() % (most + 1); };
  for (int trial = 0; trial < 300; ++trial) {
    NumberRanges a;
    NumberRanges b;
    std::set<std::uint64_t> in_a;
    std::set<std::uint64_t> in_b;
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t first = number(40);
      const std::uint64_t last = first + number(5);
      (i % 2 == 0 ? a : b).add({first, last});
      for (std::uint64_t n = first; n <= last; ++n) (i % 2 == 0 ? in_a : in_b).insert(n);
    }
    const NumberRanges without = a.without(b);
    const NumberRanges common = a.common(b);
    std::uint64_t since = 0;
    for (std::uint64_t n = 0; n < 60; ++n) {
      ASSERT_EQ(in_a.contains(n), a.contains(n)) << trial << " " << n;
      ASSERT_EQ(in_a.contains(n) && !in_b.contains(n), without.contains(n)) << trial << " " << n;
      ASSERT_EQ(in_a.contains(n) && in_b.contains(n), common.contains(n)) << trial << " " << n;
      if (n != 0 && in_a.contains(n) != in_a.contains(n - 1)) since = n;
      ASSERT_EQ(since, a.alike_since(n)) << trial << " " << n;
    }
    ASSERT_EQ(in_a.size(), a.count());
  }
}

TEST(NumberRanges, OverlapIsToldAtEveryEdge) {
  NumberRanges ranges;
  ranges.add({5, 9});
  ranges.add({20, no_last});
  EXPECT_FALSE(ranges.overlaps({0, 4}));
  EXPECT_TRUE(ranges.overlaps({0, 5}));
  EXPECT_TRUE(ranges.overlaps({9, 12}));
  EXPECT_FALSE(ranges.overlaps({10, 19}));
  EXPECT_TRUE(ranges.overlaps({6, 7}));
  EXPECT_TRUE(ranges.overlaps({1000, no_last}));
  EXPECT_FALSE(NumberRanges().overlaps({0, no_last}));
}

}  // namespace
}  // namespace seawall::archive
