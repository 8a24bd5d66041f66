#include "support/restore_fixture.hh"

#include <unistd.h>

namespace seawall::ops {
namespace {

using test::BackupBuilder;
using test::noise;
using test::page_of;

class RestoreBackup : public RestoreTest {
 protected:
  static BackupBuilder whole() { return BackupBuilder::whole(std::string(name)); }
};

TEST_F(RestoreBackup, BringsEveryFileWithItsBytesAndModes) {
  BackupBuilder backup = whole();
  backup.directory("/base/2", 0750).file("/base/2/big", noise(3 << 20), 0640).file("/base/2/odd", noise(70001, 3));
  backup.store(repository_);
  restore();
  EXPECT_EQ(restored("PG_VERSION"), "15\n");
  EXPECT_EQ(restored("base/1/1259"), page_of('a') + page_of('b'));
  EXPECT_EQ(restored("base/1/1260"), noise(20000));
  EXPECT_EQ(restored("base/1/empty"), "");
  EXPECT_TRUE(restored("base/2/big") == noise(3 << 20));
  EXPECT_TRUE(restored("base/2/odd") == noise(70001, 3));
  EXPECT_TRUE(restored("global/pg_control") == backup.control);
  EXPECT_EQ(restored("backup_label"), backup.label);
  EXPECT_EQ(restored("tablespace_map"), "");
  EXPECT_EQ(mode_of("base/2/big"), 0640U);
  EXPECT_EQ(mode_of("base/1/1259"), 0600U);
  EXPECT_EQ(mode_of("base/2"), 0750U);
  EXPECT_THAT(names_in(target_),
              testing::ElementsAre("PG_VERSION", "backup_label", "base", "global", "pg_wal", "tablespace_map"));
  EXPECT_THAT(names_in(target_ / "global"), testing::ElementsAre("pg_control"));
}

TEST_F(RestoreBackup, MakesTheDirectoriesAboveTheDestination) {
  whole().store(repository_);
  settings_.tar_disable_fsync.parse("false", {config::Origin::Kind::flag, "test"});
  restore({.directory = (directory_ / "a/b/c/").native(), .backup = {}, .mask = {}, .restore_spec = {}});
  EXPECT_EQ(text_of_file(directory_ / "a/b/c/PG_VERSION"), "15\n");
  EXPECT_EQ(mode_of(directory_ / "a/b/c"), 0700U);
}

TEST_F(RestoreBackup, AnUncompressedBackupUnderAPrefixComesAsWell) {
  repository_.codec = codec::find_codec("none");
  repository_.prefix = "some/path/";
  whole().store(repository_);
  ASSERT_NE(plain(part("part_002.tar")), "<absent>");
  restore();
  EXPECT_EQ(restored("base/1/1260"), noise(20000));
  EXPECT_EQ(restored("PG_VERSION"), "15\n");
}

// What is known to be missing is said before a byte is written.

TEST_F(RestoreBackup, AMissingPartIsNamedBeforeAnythingIsWritten) {
  for (const std::string_view missing :
       {"part_001.tar.lz4", "part_002.tar.lz4", "backup_label.tar.lz4", "pg_control.tar.lz4"}) {
    whole().store(repository_);
    remove(part(missing));
    const Error error = refused();
    EXPECT_EQ(error.code(), Errc::incomplete) << missing;
    EXPECT_THAT(error.what(), HasSubstr(missing.substr(0, missing.size() - 4)));
    expect_untouched();
  }
}

TEST_F(RestoreBackup, AnEmptyPartIsRefused) {
  whole().store(repository_);
  store_plain(part("part_002.tar.lz4"), "");
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(part("part_002.tar.lz4")), HasSubstr("empty")));
  expect_untouched();
}

TEST_F(RestoreBackup, APartInACodecThatNobodyKnowsIsNamed) {
  whole().store(repository_);
  store_plain(part("part_003.tar.xyz"), "?");
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::unsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("part_003.tar.xyz"), HasSubstr(".xyz")));
  expect_untouched();
}

TEST_F(RestoreBackup, AnUnknownBackupIsNotFound) {
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), HasSubstr(name));
  expect_untouched();
}

TEST_F(RestoreBackup, ASentinelWithoutAnyPartIsRefused) {
  BackupBuilder backup{std::string(name)};
  backup.store(repository_);
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), HasSubstr("no parts"));
  expect_untouched();
}

TEST_F(RestoreBackup, APartOfAnotherSizeThanRecordedIsRefused) {
  whole().store(repository_, /*with_manifest=*/true);
  store_plain(part("part_002.tar.lz4"), "short");
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(part("part_002.tar.lz4")), HasSubstr("5 bytes")));
  expect_untouched();
}

TEST_F(RestoreBackup, AnExtraPartIsRefusedIfTheManifestDoesNotHaveIt) {
  whole().store(repository_, /*with_manifest=*/true);
  store(part("part_003.tar"), BackupBuilder("x").file("/base/1/1259", "evil").parts["part_001.tar"]);
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("part_003.tar.lz4"));
  expect_untouched();
}

TEST_F(RestoreBackup, WhatAnExtraPartBringsBeyondTheListIsNotRestored) {
  BackupBuilder backup = whole();
  backup.in("part_003.tar").member({.name = "/base/1/stray", .bytes = 5}, "stray");
  backup.store(repository_);
  restore();
  EXPECT_EQ(restored("base/1/stray"), "<absent>");
  EXPECT_EQ(restored("PG_VERSION"), "15\n");
}

TEST_F(RestoreBackup, WithoutFilesMetadataEverythingComesAndItIsSaid) {
  BackupBuilder backup = whole();
  backup.with_files_metadata = false;
  backup.in("part_003.tar").member({.name = "/base/1/stray", .bytes = 5}, "stray");
  backup.store(repository_);
  restore();
  EXPECT_EQ(restored("base/1/stray"), "stray");
  EXPECT_EQ(restored("base/1/1260"), noise(20000));
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("WARNING"), HasSubstr("files_metadata.json is not there")));
}

TEST_F(RestoreBackup, AMalformedMaskIsToldBeforeAnythingIsWritten) {
  whole().store(repository_);
  EXPECT_EQ(refused({.directory = {}, .backup = {}, .mask = "base/[", .restore_spec = {}}).code(), Errc::usage);
  expect_untouched();
}

// What shows only while the parts are read leaves the marker, and nothing that a server would start on.

TEST_F(RestoreBackup, ACutPartIsRefusedWhereverItIsCut) {
  whole().store(repository_);
  const std::string stored = plain(part("part_002.tar.lz4"));
  ASSERT_GT(stored.size(), 20000U);
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{7}, std::size_t{600}, stored.size() / 2, stored.size() - 9, stored.size() - 1}) {
    std::filesystem::remove_all(target_);
    store_plain(part("part_002.tar.lz4"), stored.substr(0, size));
    const Error error = refused();
    EXPECT_EQ(error.code(), Errc::corrupt) << size;
    EXPECT_THAT(error.what(), HasSubstr(part("part_002.tar.lz4")));
    expect_not_startable();
  }
}

TEST_F(RestoreBackup, AFlippedBitIsFoundByTheFramesOwnChecksum) {
  whole().store(repository_);
  const std::string stored = plain(part("part_002.tar.lz4"));
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{5}, stored.size() / 3, stored.size() / 2, stored.size() - 1}) {
    std::filesystem::remove_all(target_);
    std::string spoilt = stored;
    spoilt[at] = static_cast<char>(spoilt[at] ^ 0x10);
    store_plain(part("part_002.tar.lz4"), spoilt);
    const Error error = refused();
    EXPECT_THAT(error.code(), testing::AnyOf(Errc::corrupt, Errc::unsupported)) << at;
    EXPECT_THAT(error.what(), HasSubstr(part("part_002.tar.lz4")));
    expect_not_startable();
  }
}

TEST_F(RestoreBackup, AFlippedBitInAnUncompressedPartIsFoundByTheManifest) {
  repository_.codec = codec::find_codec("none");
  whole().store(repository_, /*with_manifest=*/true);
  std::string stored = plain(part("part_002.tar"));
  stored[5000] = static_cast<char>(stored[5000] ^ 1);
  store_plain(part("part_002.tar"), stored);
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(part("part_002.tar")), HasSubstr("digest")));
  expect_not_startable();
}

TEST_F(RestoreBackup, AFailureAfterPgControlWasUnpackedStillLeavesNone) {
  one_thread();
  BackupBuilder backup{std::string(name)};
  backup.directory("/global").file("/PG_VERSION", "15\n").utilities().store(repository_);
  const std::string stored = plain(part("part_001.tar.lz4"));
  ASSERT_LT(stored.size(), plain(part("pg_control.tar.lz4")).size()) << "larger parts come first";
  store_plain(part("part_001.tar.lz4"), stored.substr(0, stored.size() - 1));
  EXPECT_EQ(refused().code(), Errc::corrupt);
  EXPECT_TRUE(restored("global/pg_control.seawall_restore") == backup.control);
  expect_not_startable();
}

TEST_F(RestoreBackup, AnInterruptedRestoreIsNotTakenForAnEmptyDirectory) {
  whole().store(repository_);
  write_file(target_ / marker, "");
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::exists);
  EXPECT_THAT(error.what(), HasSubstr("unfinished restore"));
}

TEST_F(RestoreBackup, AControlPartWithoutPgControlIsRefused) {
  BackupBuilder backup = whole();
  backup.parts["pg_control.tar"] = "";
  backup.store(repository_);
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), HasSubstr("global/pg_control"));
  expect_not_startable();
}

TEST_F(RestoreBackup, ALabelPartWithoutBackupLabelIsRefused) {
  BackupBuilder backup = whole();
  backup.parts["backup_label.tar"] = "";
  backup.store(repository_);
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), HasSubstr("backup_label"));
  expect_not_startable();
}

TEST_F(RestoreBackup, AListedFileThatNoPartHasIsNamed) {
  whole().list("/base/1/lost").list("/base/1/lost_too").store(repository_);
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("2 of the files"), HasSubstr("/base/1/lost"), HasSubstr(name)));
  expect_not_startable();
}

TEST_F(RestoreBackup, AMemberThatWouldLeaveTheDirectoryIsRefused) {
  for (const std::string evil : {"../evil", "/base/../../evil", "base/1/.."}) {
    std::filesystem::remove_all(target_);
    BackupBuilder backup = whole();
    backup.file(evil, "evil").store(repository_);
    const Error error = refused();
    EXPECT_EQ(error.code(), Errc::corrupt) << evil;
    EXPECT_THAT(error.what(), AllOf(HasSubstr(evil), HasSubstr("part_001.tar")));
    EXPECT_FALSE(std::filesystem::exists(directory_ / "evil"));
    expect_not_startable();
  }
}

TEST_F(RestoreBackup, NothingIsWrittenThroughALinkThatTheBackupBrings) {
  const std::filesystem::path outside = directory_ / "outside";
  std::filesystem::create_directory(outside);
  BackupBuilder backup = whole();
  backup.member({.name = "/base/way", .type = archive::MemberType::symlink, .link = outside}, "").list("/base/way");
  backup.member({.name = "/base/link", .type = archive::MemberType::symlink, .link = outside}, "").list("/base/link");
  backup.file("/base/way/evil", "evil").store(repository_);
  restore();
  EXPECT_THAT(names_in(outside), IsEmpty());
  EXPECT_EQ(restored("base/way/evil"), "evil");
  EXPECT_EQ(std::filesystem::read_symlink(target_ / "base/link"), outside);
}

TEST_F(RestoreBackup, AHardLinkIsASecondNameOfAFileOfTheBackup) {
  BackupBuilder backup = whole();
  backup.member({.name = "/base/1/hard", .type = archive::MemberType::hard_link, .link = "base/1/1260"}, "");
  backup.store(repository_);
  restore();
  EXPECT_EQ(restored("base/1/hard"), noise(20000));
  EXPECT_TRUE(std::filesystem::equivalent(target_ / "base/1/hard", target_ / "base/1/1260"));
}

TEST_F(RestoreBackup, AHardLinkToWhatIsNotInTheBackupIsRefused) {
  for (const auto& [link, code] : {std::pair{"/etc/passwd", Errc::incomplete}, {"../../etc/passwd", Errc::corrupt}}) {
    std::filesystem::remove_all(target_);
    BackupBuilder backup = whole();
    backup.member({.name = "/base/1/hard", .type = archive::MemberType::hard_link, .link = link}, "");
    backup.store(repository_);
    const Error error = refused();
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("etc/passwd"));
    expect_not_startable();
  }
}

TEST_F(RestoreBackup, AMaskBringsOnlyWhatItMatches) {
  whole().store(repository_);
  restore({.directory = {}, .backup = {}, .mask = "base/1/126*", .restore_spec = {}});
  EXPECT_EQ(restored("base/1/1260"), noise(20000));
  EXPECT_EQ(restored("base/1/1259"), "<absent>");
  EXPECT_EQ(restored("PG_VERSION"), "<absent>");
  EXPECT_EQ(restored("global/pg_control"), "<absent>");
  EXPECT_FALSE(std::filesystem::exists(target_ / marker));
}

TEST_F(RestoreBackup, AMaskThatMatchesPgControlBringsIt) {
  BackupBuilder backup = whole();
  backup.store(repository_);
  restore({.directory = {}, .backup = {}, .mask = "global/*", .restore_spec = {}});
  EXPECT_TRUE(restored("global/pg_control") == backup.control);
  EXPECT_EQ(restored("backup_label"), "<absent>");
}

TEST_F(RestoreBackup, PartsWithoutASentinelAreCalledUnfinished) {
  whole().store(repository_);
  remove(archive::sentinel_object(name));
  const Error error = thrown_by([&] { refuse_unfinished(repository_, name, run()); });
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr(name), HasSubstr("not finished"), HasSubstr(archive::sentinel_object(name))));
  refuse_unfinished(repository_, "base_000000010000000000000099", run());  // for whoever tells that it does not exist
}

TEST_F(RestoreBackup, ListsMayStandInTheSentinel) {
  BackupBuilder backup = whole();
  backup.lists_in_sentinel = true;
  backup.in("part_002.tar").member({.name = "/base/1/stray", .bytes = 5}, "stray");
  backup.list("/base/1/lost").store(repository_);
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), HasSubstr("/base/1/lost"));
  std::filesystem::remove_all(target_);
  backup = whole();
  backup.lists_in_sentinel = true;
  backup.in("part_002.tar").member({.name = "/base/1/stray", .bytes = 5}, "stray");
  backup.store(repository_);
  restore();
  EXPECT_EQ(restored("base/1/1260"), noise(20000));
  EXPECT_EQ(restored("base/1/stray"), "<absent>") << "the list counts";
}

TEST_F(RestoreBackup, AnOldBackupHasPgControlAndTheLabelAmongItsFiles) {
  constexpr const char* old_name = "base_000000010000000000000002_00000040";
  BackupBuilder backup{old_name};
  backup.with_files_metadata = false;
  backup.in("part_00000000.tar").directory("base").directory("global").file("./PG_VERSION", "9.4\n");
  backup.file("global/pg_control", backup.control).file("backup_label", backup.label).file("base/1/1259", page_of('a'));
  backup.store(repository_);
  restore({.directory = {}, .backup = old_name, .mask = {}, .restore_spec = {}});
  EXPECT_EQ(restored("PG_VERSION"), "9.4\n");
  EXPECT_TRUE(restored("global/pg_control") == backup.control);
  EXPECT_EQ(restored("backup_label"), backup.label);
  EXPECT_TRUE(restored("base/1/1259") == page_of('a'));
}

TEST_F(RestoreBackup, AnOldBackupWithoutPgControlIsRefused) {
  constexpr const char* old_name = "base_000000010000000000000002_00000040";
  BackupBuilder backup{old_name};
  backup.with_files_metadata = false;
  backup.in("part_00000000.tar").file("/PG_VERSION", "9.4\n").file("/backup_label", backup.label).store(repository_);
  const Error error = refused({.directory = {}, .backup = old_name, .mask = {}, .restore_spec = {}});
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), HasSubstr("global/pg_control"));
  expect_not_startable();
}

TEST_F(RestoreBackup, OfPgControlInTwoPartsItsOwnPartCounts) {
  BackupBuilder backup = whole();
  backup.file("/global/pg_control", "an older one").store(repository_);
  restore();
  EXPECT_TRUE(restored("global/pg_control") == backup.control);
}

/// A push that was broken off, or an earlier one from the same restart point of a standby, had the same name.
class RestoreSecondAttempt : public RestoreBackup {
 protected:
  RestoreSecondAttempt() { one_thread(); }

  /// More parts than the second one has, with other content in the same files.
  static BackupBuilder first() {
    BackupBuilder backup{std::string(name)};
    backup.directory("/").directory("/base").directory("/base/1").directory("/global").directory("/pg_wal");
    backup.label = "START WAL LOCATION: of the first attempt\n";
    backup.control = noise(8192, 99);
    backup.in("part_001.tar").file("/PG_VERSION", "first attempt\n").file("/gone", "dropped since");
    backup.in("part_004.tar").file("/base/1/1259", page_of('z'));
    backup.in("part_005.tar").file("/base/1/1260", "smaller than the second one's, so unpacked after it");
    return std::move(backup.utilities());
  }
  void expect_the_second() {
    const BackupBuilder second = whole();
    EXPECT_EQ(restored("PG_VERSION"), "15\n");
    EXPECT_TRUE(restored("base/1/1259") == page_of('a') + page_of('b'));
    EXPECT_TRUE(restored("base/1/1260") == noise(20000));
    EXPECT_EQ(restored("gone"), "<absent>");
    EXPECT_EQ(restored("backup_label"), second.label);
    EXPECT_TRUE(restored("global/pg_control") == second.control);
  }
};

TEST_F(RestoreSecondAttempt, PartsThatItsListsDoNotNameAreLeftOut) {
  first().store(repository_);
  whole().store(repository_);
  restore();
  expect_the_second();
  EXPECT_THAT(log_.text(), HasSubstr("part_004.tar"));
}

TEST_F(RestoreSecondAttempt, SoArePartsOfAnotherCodec) {
  repository_.codec = codec::find_codec("zstd");
  first().store(repository_);
  repository_.codec = codec::find_codec("lz4");
  whole().store(repository_);
  restore();
  expect_the_second();
}

TEST_F(RestoreSecondAttempt, WithoutListsOfPartsTheirTimeTells) {
  first().store(repository_);
  clock_.advance(std::chrono::minutes(1));
  BackupBuilder second = whole();
  second.sentinel.start_time = clock_.wall();
  second.lists_parts = false;
  second.store(repository_);
  restore();
  expect_the_second();
}

TEST_F(RestoreSecondAttempt, APartThatIsNotListedIsNoLeftoverWhileOnlyItHasAFile) {
  BackupBuilder backup = whole();
  backup.in("part_003.tar").file("/base/1/3", "three");
  backup.unlisted_part = "part_003.tar";
  backup.store(repository_);
  restore();
  EXPECT_EQ(restored("base/1/3"), "three");
}

TEST_F(RestoreBackup, StopsWhenAsked) {
  whole().store(repository_);
  std::stop_source stop;
  stop.request_stop();
  const Error error = thrown_by([&] {
    restore_backup(repository_, {.directory = target_, .backup = std::string(name), .mask = {}, .restore_spec = {}},
                   settings_, run().with(stop.get_token()));
  });
  EXPECT_EQ(error.code(), Errc::cancelled);
  EXPECT_FALSE(std::filesystem::exists(target_ / "global/pg_control"));
}

}  // namespace
}  // namespace seawall::ops
