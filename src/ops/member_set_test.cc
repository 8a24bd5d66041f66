#include "ops/member_set.hh"

#include <gtest/gtest.h>

namespace seawall::ops {
namespace {

MemberSet set_of(std::initializer_list<std::pair<const char*, std::uint8_t>> entries) {
  MemberSet set;
  for (const auto& [name, flags] : entries) set.add(name, flags);
  set.seal();
  return set;
}

TEST(MemberSet, FindsWhatWasAddedAndNothingElse) {
  const MemberSet set = set_of({{"/base/1/1", 0}, {"/base/1/2", MemberSet::incremented}});
  EXPECT_EQ(set.size(), 2U);
  EXPECT_EQ(set.find("/base/1/1"), std::uint8_t{0});
  EXPECT_EQ(set.find("/base/1/2"), std::uint8_t{MemberSet::incremented});
  EXPECT_EQ(set.find("/base/1/3"), std::nullopt);
  EXPECT_EQ(set.find(MemberSet::key_of("/base/1/2")), std::uint8_t{MemberSet::incremented});
}

TEST(MemberSet, MarksAddUp) {
  MemberSet set = set_of({{"a", MemberSet::skipped}, {"b", 0}});
  set.mark("a", MemberSet::restored);
  set.mark("a", MemberSet::complete);
  set.mark("unknown", MemberSet::complete);
  EXPECT_EQ(set.find("a"), std::uint8_t{MemberSet::skipped | MemberSet::restored | MemberSet::complete});
  EXPECT_TRUE(set.has(MemberSet::key_of("a"), MemberSet::complete));
  EXPECT_FALSE(set.has(MemberSet::key_of("b"), MemberSet::complete));
  EXPECT_FALSE(set.has(MemberSet::key_of("unknown"), MemberSet::complete));
}

TEST(MemberSet, CountsTheEntriesThatAPredicateWants) {
  const MemberSet set = set_of({{"a", MemberSet::skipped}, {"b", MemberSet::incremented}, {"c", MemberSet::skipped}});
  EXPECT_EQ(set.count([](MemberSet::Key, std::uint8_t flags) { return (flags & MemberSet::skipped) != 0; }), 2U);
  const MemberSet::Key b = MemberSet::key_of("b");
  EXPECT_EQ(set.count([b](MemberSet::Key key, std::uint8_t) { return key == b; }), 1U);
}

}  // namespace
}  // namespace seawall::ops
