#include "support/restore_fixture.hh"

namespace seawall::ops {
namespace {

using test::BackupBuilder;
using test::increment;
using test::page_of;

/// In which order the backups of a chain are unpacked; the outcome is the same.
struct Order {
  const char* name;
  bool backwards;
  bool skip_parts;
};

/// A full backup and deltas on it: rows is patched, same never changes, gone is dropped, new_size rewritten.
class RestoreChainTest : public RestoreTest, public testing::WithParamInterface<Order> {
 protected:
  static constexpr const char* full_name = "base_000000010000000000000002";
  static constexpr const char* first_name = "base_000000010000000000000004_D_000000010000000000000002";
  static constexpr const char* second_name = "base_000000010000000000000006_D_000000010000000000000004";

  RestoreChainTest() {
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
    return {.directory = {},
            .backup = backup,
            .mask = {},
            .restore_spec = {},
            .restore_only = {},
            .reverse_unpack = GetParam().backwards,
            .skip_redundant_tars = GetParam().skip_parts};
  }

  BackupBuilder full_{full_name};
  BackupBuilder first_ = BackupBuilder::delta(first_name, full_name);
  BackupBuilder second_ = BackupBuilder::delta(second_name, first_name);
};

TEST_P(RestoreChainTest, ADeltaIsPatchedOntoItsParent) {
  store_all();
  restore_named(first_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + page_of('X') + page_of('c'));
  EXPECT_EQ(restored("base/1/same"), "same");
  EXPECT_EQ(restored("base/1/gone"), "gone");
  EXPECT_EQ(restored("base/1/rewritten"), "before");
  EXPECT_TRUE(restored("global/pg_control") == first_.control) << "the newest one's, not the parent's";
}

TEST_P(RestoreChainTest, ThreeLevelsGiveTheNewestState) {
  store_all();
  restore_named(second_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + page_of('X') + page_of('Y') + page_of('Z'));
  EXPECT_EQ(restored("base/1/same"), "same");
  EXPECT_EQ(restored("base/1/rewritten"), "after");
  EXPECT_EQ(restored("base/1/new"), "new");
  EXPECT_EQ(restored("base/1/gone"), "<absent>") << "dropped between the first delta and the second";
  EXPECT_FALSE(std::filesystem::exists(target_ / marker));
}

TEST_P(RestoreChainTest, AFileThatShrankIsCut) {
  first_.parts.clear();
  first_ = BackupBuilder::delta(first_name, full_name);
  first_.patched("/base/1/rows", increment(8192, {}));
  full_.store(repository_);
  first_.store(repository_);
  restore_named(first_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a'));
  EXPECT_EQ(restored("base/1/same"), "<absent>");
}

TEST_P(RestoreChainTest, ASkippedFileThatTheParentDoesNotHaveIsNamed) {
  first_.skipped("/base/1/ghost");
  store_all();
  const Error error = refused_named(first_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/base/1/ghost"), HasSubstr(full_name)));
  expect_untouched();
}

TEST_P(RestoreChainTest, ASkippedFileThatTheParentListsButLacksIsNamed) {
  full_.list("/base/1/lost");
  first_.skipped("/base/1/lost");
  store_all();
  const Error error = refused_named(first_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/base/1/lost"), HasSubstr(full_name)));
  expect_not_startable();
}

TEST_P(RestoreChainTest, WhatTheParentLacksIsNoMatterIfTheChildHasItWhole) {
  full_.list("/base/1/lost");
  first_.file("/base/1/lost", "found");
  store_all();
  restore_named(first_name);
  EXPECT_EQ(restored("base/1/lost"), "found");
}

TEST_P(RestoreChainTest, AnIncrementWithoutItsFileIsNamed) {
  first_.patched("/base/1/ghost", increment(8192, {{0, page_of('X')}}));
  store_all();
  const Error error = refused_named(first_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/base/1/ghost"), HasSubstr("increment")));
  expect_untouched();
}

TEST_P(RestoreChainTest, AnIncrementLostInTheMiddleIsNotPassedOver) {
  // The second delta patches what the full backup brought; the pages of the first would silently be old.
  first_ = BackupBuilder::delta(first_name, full_name);
  first_.list("/base/1/rows", {.incremented = true}).skipped("/base/1/same").skipped("/base/1/rewritten");
  store_all();
  const Error error = refused_named(second_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/base/1/rows"), HasSubstr(first_name)));
  expect_not_startable();
}

TEST_P(RestoreChainTest, ACutIncrementIsRefused) {
  const std::string whole = increment(3 * 8192, {{1, page_of('X')}});
  first_.patched("/base/1/same", whole.substr(0, whole.size() - 1));
  store_all();
  const Error error = refused_named(first_name);
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("/base/1/same"));
  expect_not_startable();
}

TEST_P(RestoreChainTest, APartOfTheParentIsAskedForBeforeAnythingIsWritten) {
  store_all();
  remove(part("part_001.tar.lz4", full_name));
  const Error error = refused_named(second_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), HasSubstr(part("part_001.tar.lz4", full_name)));
  expect_untouched();
}

TEST_P(RestoreChainTest, AParentThatIsGoneIsNamed) {
  store_all();
  remove(archive::sentinel_object(full_name));
  const Error error = refused_named(second_name);
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), HasSubstr(fmt::format("'{}'", full_name)));
  expect_untouched();
}

TEST_P(RestoreChainTest, BackupsThatStandOnEachOtherAreRefused) {
  first_.sentinel.delta_from = second_name;
  store_all();
  const Error error = refused_named(second_name);
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("circle"), HasSubstr(second_name)));
  expect_untouched();
}

TEST_P(RestoreChainTest, ADeltaWhoseFilesAreNotListedIsRefused) {
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

TEST_P(RestoreChainTest, AParentWithoutAListBringsEverything) {
  full_.with_files_metadata = false;
  store_all();
  restore_named(second_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + page_of('X') + page_of('Y') + page_of('Z'));
  EXPECT_EQ(restored("base/1/same"), "same");
  EXPECT_EQ(restored("base/1/gone"), "<absent>");
}

TEST_P(RestoreChainTest, AParentWithoutAListThatLacksWhatItShouldHaveIsNoticed) {
  full_.with_files_metadata = false;
  first_.skipped("/base/1/ghost");
  store_all();
  const Error error = refused_named(first_name);
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/base/1/ghost"), HasSubstr(first_name)));
  expect_not_startable();
}

TEST_P(RestoreChainTest, AParentWhosePartsAreThereButNotItsSentinelIsCalledUnfinished) {
  store_all();
  remove(archive::sentinel_object(first_name));
  const Error error = refused_named(second_name);
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(fmt::format("'{}'", first_name)), HasSubstr("not finished"),
                                  HasSubstr(archive::sentinel_object(first_name))));
  expect_untouched();
}

TEST_P(RestoreChainTest, ListsMayStandInTheSentinels) {
  for (BackupBuilder* backup : {&full_, &first_, &second_}) backup->lists_in_sentinel = true;
  store_all();
  ASSERT_EQ(plain(archive::files_metadata_object(first_name)), "<absent>");
  restore_named(second_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + page_of('X') + page_of('Y') + page_of('Z'));
  EXPECT_EQ(restored("base/1/same"), "same");
  EXPECT_EQ(restored("base/1/rewritten"), "after");
  EXPECT_EQ(restored("base/1/gone"), "<absent>");
}

TEST_P(RestoreChainTest, WhatTheFileLostAndGotAgainIsNotTheOldContent) {
  // Cut to one page, then three pages again of which only the last was written: the second is a new page.
  first_ = BackupBuilder::delta(first_name, full_name);
  first_.patched("/base/1/rows", increment(8192, {}));
  second_ = BackupBuilder::delta(second_name, first_name);
  second_.patched("/base/1/rows", increment(3 * 8192, {{2, page_of('Z')}}));
  store_all();
  restore_named(second_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + std::string(8192, '\0') + page_of('Z'));
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("WARNING"), HasSubstr("1 pages"), HasSubstr("base/1/rows")));
}

TEST_P(RestoreChainTest, PagesThatNoBackupHasAreZerosAndItIsSaid) {
  first_ = BackupBuilder::delta(first_name, full_name);
  first_.patched("/base/1/rows", increment(7 * 8192, {{4, page_of('X')}}));
  full_.store(repository_);
  first_.store(repository_);
  restore_named(first_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + page_of('b') + page_of('c') + std::string(8192, '\0') +
                                             page_of('X') + std::string(2 * 8192, '\0'));
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("WARNING"), HasSubstr("3 pages"), HasSubstr("base/1/rows")));
}

TEST_P(RestoreChainTest, ANewerPageOfZerosIsNotFilledWithAnOlderOne) {
  first_ = BackupBuilder::delta(first_name, full_name);
  first_.patched("/base/1/rows", increment(3 * 8192, {{1, std::string(8192, '\0')}}));
  full_.store(repository_);
  first_.store(repository_);
  restore_named(first_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + std::string(8192, '\0') + page_of('c'));
}

TEST_P(RestoreChainTest, PagesBehindTheRecordedSizeAreKept) {
  // The file grew while it was read: what recovery does not need does no harm, and the classic order keeps it.
  first_ = BackupBuilder::delta(first_name, full_name);
  first_.patched("/base/1/rows", increment(2 * 8192, {{0, page_of('X')}, {3, page_of('Y')}}));
  full_.store(repository_);
  first_.store(repository_);
  restore_named(first_name);
  EXPECT_TRUE(restored("base/1/rows") == page_of('X') + page_of('b') + std::string(8192, '\0') + page_of('Y'));
}

TEST_P(RestoreChainTest, OtherBlockSizesAreRecognised) {
  const std::string block(32768, 'n');
  full_.file("/base/1/wide", std::string(3 * 32768, 'o'));
  first_.patched("/base/1/wide", increment(3 * 32768, {{1, block}}));
  full_.store(repository_);
  first_.store(repository_);
  restore_named(first_name);
  EXPECT_TRUE(restored("base/1/wide") == std::string(32768, 'o') + block + std::string(32768, 'o'));
}

TEST_P(RestoreChainTest, TheNewestBackupThatHasAnythingOfAFileGivesItsMode) {
  first_ = BackupBuilder::delta(first_name, full_name);
  first_.patched("/base/1/rows", increment(3 * 8192, {}), 0640).skipped("/base/1/wide");
  full_.file("/base/1/wide", "wide", 0644);
  full_.store(repository_);
  first_.store(repository_);
  restore_named(first_name);
  EXPECT_EQ(mode_of("base/1/rows"), 0640U);
  EXPECT_EQ(mode_of("base/1/wide"), 0644U);
}

TEST_P(RestoreChainTest, ADirectoryThatIsGoneDoesNotComeBackAndTheNewestModeCounts) {
  full_.directory("/base/77").file("/base/77/1", "x").directory("/pg_wal", 0750);
  first_.directory("/pg_wal", 0700);
  full_.store(repository_);
  first_.store(repository_);
  restore_named(first_name);
  EXPECT_FALSE(std::filesystem::exists(target_ / "base/77"));
  EXPECT_EQ(mode_of("pg_wal"), 0700U);
}

TEST_P(RestoreChainTest, TablespacesAreFilledThroughTheirLinks) {
  const std::filesystem::path location = directory_ / "fast";
  archive::TablespaceSpec spec{.base_prefix = "/old", .tablespaces = {{"16500", location, "pg_tblspc/16500"}}};
  for (BackupBuilder* backup : {&full_, &first_}) {
    backup->directory("/pg_tblspc").directory("/pg_tblspc/16500/PG_15").directory("/pg_tblspc/16500/PG_15/1");
  }
  full_.file("/pg_tblspc/16500/PG_15/1/16501", page_of('a') + page_of('b'));
  first_.patched("/pg_tblspc/16500/PG_15/1/16501", increment(2 * 8192, {{0, page_of('X')}}));
  first_.sentinel.spec = spec;
  full_.store(repository_);
  first_.store(repository_);
  restore_named(first_name);
  EXPECT_EQ(std::filesystem::read_symlink(target_ / "pg_tblspc/16500"), location);
  EXPECT_TRUE(text_of_file(location / "PG_15/1/16501") == page_of('X') + page_of('b'));
}

TEST_P(RestoreChainTest, AMaskBringsTheWholeOfWhatItMatches) {
  store_all();
  RestoreRequest wanted = request(second_name);
  wanted.mask = "base/1/r*";
  restore(wanted);
  EXPECT_TRUE(restored("base/1/rows") == page_of('a') + page_of('X') + page_of('Y') + page_of('Z'));
  EXPECT_EQ(restored("base/1/rewritten"), "after");
  EXPECT_EQ(restored("base/1/same"), "<absent>");
}

TEST_P(RestoreChainTest, OnlyTheNewestPgControlIsRead) {
  store_all();
  store_plain(part("pg_control.tar.lz4", full_name), "not read");
  store_plain(part("backup_label.tar.lz4", first_name), "not read");
  restore_named(second_name);
  EXPECT_TRUE(restored("global/pg_control") == second_.control);
}

INSTANTIATE_TEST_SUITE_P(Orders, RestoreChainTest,
                         testing::Values(Order{"oldest_first", false, false}, Order{"newest_first", true, false},
                                         Order{"newest_first_without_redundant_parts", true, true}),
                         [](const auto& order) { return std::string(order.param.name); });

/// What only the order from the newest backup backwards has.
class RestoreBackwards : public RestoreTest {
 protected:
  static constexpr const char* full_name = "base_000000010000000000000002";
  static constexpr const char* delta_name = "base_000000010000000000000004_D_000000010000000000000002";

  RestoreBackwards() {
    full_.directory("/").directory("/base").directory("/base/1").directory("/global").utilities();
    full_.file("/base/1/rows", page_of('a') + page_of('b')).in("part_002.tar").file("/base/1/same", "same");
    delta_.patched("/base/1/rows", increment(2 * 8192, {{0, page_of('X')}, {1, page_of('Y')}})).skipped("/base/1/same");
    full_.store(repository_);
    delta_.store(repository_);
  }
  static RestoreRequest request(bool skip) {
    return {.directory = {},
            .backup = delta_name,
            .mask = {},
            .restore_spec = {},
            .restore_only = {},
            .reverse_unpack = true,
            .skip_redundant_tars = skip};
  }

  BackupBuilder full_{full_name};
  BackupBuilder delta_ = BackupBuilder::delta(delta_name, full_name);
};

TEST_F(RestoreBackwards, PartsOfWhichNothingWouldBeKeptAreNotRead) {
  store_plain(part("part_001.tar.lz4", full_name), "spoilt");
  EXPECT_EQ(refused(request(false)).code(), Errc::corrupt);
  std::filesystem::remove_all(target_);
  restore(request(true));
  EXPECT_TRUE(restored("base/1/rows") == page_of('X') + page_of('Y'));
  EXPECT_EQ(restored("base/1/same"), "same");
  EXPECT_THAT(log_.text(), HasSubstr(fmt::format("{}: 1 of 4 parts are needed", full_name)));
}

TEST_F(RestoreBackwards, ARedundantPartMustExistAllTheSame) {
  remove(part("part_001.tar.lz4", full_name));
  const Error error = refused(request(true));
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), HasSubstr(part("part_001.tar.lz4", full_name)));
  expect_untouched();
}

TEST_F(RestoreBackwards, PartsThatAreNotListedAreRead) {
  full_.with_files_metadata = false;
  remove(archive::files_metadata_object(full_name));
  restore(request(true));
  EXPECT_EQ(restored("base/1/same"), "same");
}

TEST_F(RestoreBackwards, TheSettingsDoTheSameAsTheRequest) {
  store_plain(part("part_001.tar.lz4", full_name), "spoilt");
  for (config::Setting<bool>* setting : {&settings_.reverse_unpack, &settings_.skip_redundant_tars}) {
    RestoreRequest plain_request = request(false);
    plain_request.reverse_unpack = false;
    EXPECT_EQ(refused(plain_request).code(), Errc::corrupt);
    std::filesystem::remove_all(target_);
    setting->parse("true", {config::Origin::Kind::flag, "test"});
  }
  RestoreRequest plain_request = request(false);
  plain_request.reverse_unpack = false;
  restore(plain_request);
  EXPECT_EQ(restored("base/1/same"), "same");
}

TEST_F(RestoreBackwards, NothingIsLeftOfTheNotesThatItMakes) {
  delta_ = BackupBuilder::delta(delta_name, full_name);
  delta_.patched("/base/1/rows", increment(2 * 8192, {{0, page_of('X')}})).skipped("/base/1/same").store(repository_);
  restore(request(false));
  EXPECT_THAT(names_in(target_), testing::ElementsAre("backup_label", "base", "global", "tablespace_map"));
  EXPECT_TRUE(restored("base/1/rows") == page_of('X') + page_of('b'));
}

TEST_F(RestoreBackwards, IncrementsOfDifferentBlockSizesAreRefused) {
  const char* newest = "base_000000010000000000000006_D_000000010000000000000004";
  BackupBuilder second = BackupBuilder::delta(newest, delta_name);
  second.patched("/base/1/rows", increment(2 * 8192, {{0, std::string(4096, 'x')}})).skipped("/base/1/same");
  second.store(repository_);
  RestoreRequest wanted = request(false);
  wanted.backup = newest;
  const Error error = refused(wanted);
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("base/1/rows"), HasSubstr("4096"), HasSubstr("8192")));
  expect_not_startable();
}

}  // namespace
}  // namespace seawall::ops
