#include "ops/member_set.hh"

#include <gtest/gtest.h>

#include <array>

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
  const MemberSet parent = set_of({{"b", MemberSet::skipped}});
  MemberSet set = set_of({{"a", 0}, {"b", MemberSet::skipped}, {"c", MemberSet::incremented}});
  EXPECT_EQ(set.missing(&parent, {}), 2U) << "b is the grandparent's to bring";
  EXPECT_EQ(set.missing(nullptr, {}), 3U) << "a full backup has nobody to leave b to";
  set.mark("a", MemberSet::restored);
  set.mark("unknown", MemberSet::restored);
  EXPECT_EQ(set.missing(&parent, {}), 1U);
  EXPECT_TRUE(set.is_missing("c", &parent, {}));
  EXPECT_FALSE(set.is_missing("a", &parent, {}));
  EXPECT_FALSE(set.is_missing("unknown", &parent, {}));
}

TEST(MemberSet, SkippedFilesMustHaveComeWithTheParent) {
  MemberSet parent = set_of({{"a", 0}, {"b", 0}, {"c", MemberSet::skipped}});
  MemberSet child = set_of({{"a", MemberSet::skipped}, {"b", MemberSet::skipped}, {"c", MemberSet::skipped}, {"d", 0}});
  child.mark("d", MemberSet::restored);
  parent.mark("a", MemberSet::restored);
  EXPECT_EQ(child.missing(&parent, {}), 1U) << "b did not come, c is the grandparent's";
  parent.mark("b", MemberSet::restored);
  EXPECT_EQ(child.missing(&parent, {}), 0U);
}

TEST(MemberSet, WhatALaterBackupHasWholeOrNoLongerIsNotAskedFor) {
  const MemberSet full = set_of({{"dropped", 0}, {"rewritten", 0}, {"patched", 0}, {"same", 0}});
  const MemberSet middle = set_of({{"dropped", MemberSet::skipped},
                                   {"rewritten", MemberSet::skipped},
                                   {"patched", MemberSet::skipped},
                                   {"same", MemberSet::skipped}});
  const MemberSet newest =
      set_of({{"rewritten", 0}, {"patched", MemberSet::incremented}, {"same", MemberSet::skipped}});
  const std::array<const MemberSet*, 2> above_full{&middle, &newest};
  const std::array<const MemberSet*, 1> above_middle{&newest};
  EXPECT_EQ(full.missing(nullptr, above_full), 2U);
  EXPECT_TRUE(full.is_missing("patched", nullptr, above_full));
  EXPECT_TRUE(full.is_missing("same", nullptr, above_full));
  EXPECT_EQ(middle.missing(&full, above_middle), 2U);
}

}  // namespace
}  // namespace seawall::ops
