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
}

TEST(MemberSet, CountsWhatWasNotRestored) {
  MemberSet set = set_of({{"a", 0}, {"b", MemberSet::skipped}, {"c", MemberSet::incremented}});
  EXPECT_EQ(set.unrestored(), 2U) << "a skipped file is the parent's to bring";
  set.mark("a", MemberSet::restored);
  set.mark("unknown", MemberSet::restored);
  EXPECT_EQ(set.unrestored(), 1U);
}

TEST(MemberSet, SkippedFilesMustHaveComeWithTheParent) {
  MemberSet parent = set_of({{"a", 0}, {"b", 0}, {"c", MemberSet::skipped}});
  const MemberSet child = set_of({{"a", MemberSet::skipped}, {"b", MemberSet::skipped}, {"c", MemberSet::skipped}, {"d", 0}});
  parent.mark("a", MemberSet::restored);
  EXPECT_EQ(child.skipped_without(parent), 1U) << "b did not come, c is the grandparent's";
  parent.mark("b", MemberSet::restored);
  EXPECT_EQ(child.skipped_without(parent), 0U);
}

}  // namespace
}  // namespace seawall::ops
