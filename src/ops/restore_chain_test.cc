#include "support/restore_fixture.hh"

namespace seawall::ops {
namespace {

using test::BackupBuilder;
using test::increment;
using test::page_of;

/// A full backup and deltas on it: rows is patched, same never changes, gone is dropped, new_size rewritten.
class RestoreChain : public RestoreTest {
 protected:
  static constexpr const char* full_name = "base_000000010000000000000002";
  static constexpr const char* first_name = "base_000000010000000000000004_D_000000010000000000000002";
  static constexpr const char* second_name = "base_000000010000000000000006_D_000000010000000000000004";

  RestoreChain() {
    full_.directory("/").directory("/base").directory("/base/1").directory("/global").utilities();
    full_.control = test::noise(8192, 1);
    full_.file("/base/1/rows", page_of('a') + page_of('b') + page_of('c')).file("/base/1/same", "same");
    full_.file("/base/1/gone", "gone").file("/base/1/rewritten", "before");
    first_.patched("/base/1/rows", increment(3 * 8192, {{1, page_of('X')}}));
    first_.skipped("/base/1/same").skipped("/base/1/gone").skipped("/base/1/rewritten");
    second_.patched("/base/1/rows", increment(4 * 8192, {{2, page_of('Y')}, {3, page_of('Z')}}));
    second_.skipped("/base/1/same").file("/base/1/rewritten", "after").file("/base/1/new", "new");
  }
  void store_all() {
    full_.store(repository_);
    first_.store(repository_);
    second_.store(repository_);
  }
  void restore_named(const char* backup) { restore(request(backup)); }
  Error refused_named(const char* backup) { return refused(request(backup)); }
  static RestoreRequest request(const char* backup) {
    return {.directory = {}, .backup = backup, .mask = {}, .restore_spec = {}};
  }

  BackupBuilder full_{full_name};
  BackupBuilder first_ = BackupBuilder::delta(first_name, full_name);
  BackupBuilder second_ = BackupBuilder::delta(second_name, first_name);
};

TEST_F(RestoreChain, ADeltaIsPatchedOntoItsParent) {
  store_all();
  restore_named(first_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + page_of('X') + page_of('c'));
  EXPECT_EQ(restored("base/1/same"), "same");
  EXPECT_EQ(restored("base/1/gone"), "gone");
  EXPECT_EQ(restored("base/1/rewritten"), "before");
  EXPECT_TRUE(restored("global/pg_control") == first_.control) << "the newest one's, not the parent's";
}

TEST_F(RestoreChain, ThreeLevelsGiveTheNewestState) {
  store_all();
  restore_named(second_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + page_of('X') + page_of('Y') + page_of('Z'));
  EXPECT_EQ(restored("base/1/same"), "same");
  EXPECT_EQ(restored("base/1/rewritten"), "after");
  EXPECT_EQ(restored("base/1/new"), "new");
  EXPECT_EQ(restored("base/1/gone"), "<absent>") << "dropped between the first delta and the second";
  EXPECT_FALSE(std::filesystem::exists(target_ / marker));
}

TEST_F(RestoreChain, AFileThatShrankIsCut) {
  first_.parts.clear();
  first_ = BackupBuilder::delta(first_name, full_name);
  first_.patched("/base/1/rows", increment(8192, {}));
  full_.store(repository_);
  first_.store(repository_);
  restore_named(first_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a'));
  EXPECT_EQ(restored("base/1/same"), "<absent>");
}

TEST_F(RestoreChain, ASkippedFileThatTheParentDoesNotHaveIsNamed) {
  first_.skipped("/base/1/ghost");
  store_all();
  const Error error = refused_named(first_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/base/1/ghost"), HasSubstr(full_name)));
  expect_not_startable();
}

TEST_F(RestoreChain, ASkippedFileThatTheParentListsButLacksIsNamed) {
  full_.list("/base/1/lost");
  first_.skipped("/base/1/lost");
  store_all();
  const Error error = refused_named(first_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/base/1/lost"), HasSubstr(full_name)));
  expect_not_startable();
}

TEST_F(RestoreChain, WhatTheParentLacksIsNoMatterIfTheChildHasItWhole) {
  full_.list("/base/1/lost");
  first_.file("/base/1/lost", "found");
  store_all();
  restore_named(first_name);
  EXPECT_EQ(restored("base/1/lost"), "found");
}

TEST_F(RestoreChain, AnIncrementWithoutItsFileIsNamed) {
  first_.patched("/base/1/ghost", increment(8192, {{0, page_of('X')}}));
  store_all();
  const Error error = refused_named(first_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/base/1/ghost"), HasSubstr("increment")));
  expect_not_startable();
}

TEST_F(RestoreChain, AnIncrementLostInTheMiddleIsNotPassedOver) {
  // The second delta patches what the full backup brought; the pages of the first would silently be old.
  first_ = BackupBuilder::delta(first_name, full_name);
  first_.list("/base/1/rows", {.incremented = true}).skipped("/base/1/same").skipped("/base/1/rewritten");
  store_all();
  const Error error = refused_named(second_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/base/1/rows"), HasSubstr(first_name)));
  expect_not_startable();
}

TEST_F(RestoreChain, ACutIncrementIsRefused) {
  const std::string whole = increment(3 * 8192, {{1, page_of('X')}});
  first_.patched("/base/1/same", whole.substr(0, whole.size() - 1));
  store_all();
  const Error error = refused_named(first_name);
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("/base/1/same"));
  expect_not_startable();
}

TEST_F(RestoreChain, APartOfTheParentIsAskedForBeforeAnythingIsWritten) {
  store_all();
  remove(part("part_001.tar.lz4", full_name));
  const Error error = refused_named(second_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), HasSubstr(part("part_001.tar.lz4", full_name)));
  expect_untouched();
}

TEST_F(RestoreChain, AParentThatIsGoneIsNamed) {
  store_all();
  remove(archive::sentinel_object(full_name));
  const Error error = refused_named(second_name);
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), HasSubstr(fmt::format("'{}'", full_name)));
  expect_untouched();
}

TEST_F(RestoreChain, BackupsThatStandOnEachOtherAreRefused) {
  first_.sentinel.delta_from = second_name;
  store_all();
  const Error error = refused_named(second_name);
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("circle"), HasSubstr(second_name)));
  expect_untouched();
}

TEST_F(RestoreChain, ADeltaWhoseFilesAreNotListedIsRefused) {
  store_all();
  for (const char* document : {"{}", static_cast<const char*>(nullptr)}) {
    if (document != nullptr) store_plain(archive::files_metadata_object(first_name), document);
    if (document == nullptr) remove(archive::files_metadata_object(first_name));
    const Error error = refused_named(second_name);
    EXPECT_EQ(error.code(), Errc::incomplete);
    EXPECT_THAT(error.what(), HasSubstr(archive::files_metadata_object(first_name)));
    expect_untouched();
  }
}

TEST_F(RestoreChain, AParentWithoutAListBringsEverything) {
  full_.with_files_metadata = false;
  store_all();
  restore_named(second_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + page_of('X') + page_of('Y') + page_of('Z'));
  EXPECT_EQ(restored("base/1/same"), "same");
  EXPECT_EQ(restored("base/1/gone"), "<absent>");
}

}  // namespace
}  // namespace seawall::ops
