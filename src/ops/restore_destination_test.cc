#include "ops/restore_destination.hh"

#include <unistd.h>

#include "support/restore_fixture.hh"

namespace seawall::ops {
namespace {

using test::BackupBuilder;

class RestoreInto : public RestoreTest {
 protected:
  static BackupBuilder whole() { return BackupBuilder::whole(std::string(name)); }
  static archive::TablespaceSpec spec_at(const std::filesystem::path& location) {
    return {.base_prefix = "/somewhere/else", .tablespaces = {{"16385", location, "pg_tblspc/16385"}}};
  }
  /// A backup with a file in a tablespace that lay in `location`.
  void store_with_tablespace(const std::filesystem::path& location) {
    BackupBuilder backup = whole();
    backup.sentinel.spec = spec_at(location);
    backup.directory("/pg_tblspc").directory("/pg_tblspc/16385", 0750).directory("/pg_tblspc/16385/PG_15_1");
    backup.file("/pg_tblspc/16385/PG_15_1/16400", "rows").store(repository_);
  }

  const std::filesystem::path location_ = directory_ / "fast disk/ts";
};

TEST_F(RestoreInto, ADirectoryThatHoldsSomethingIsLeftAlone) {
  whole().store(repository_);
  write_file(target_ / "precious", "data");
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::exists);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(target_.native()), HasSubstr("precious")));
  EXPECT_THAT(names_in(target_), testing::ElementsAre("precious"));
  EXPECT_EQ(restored("precious"), "data");
}

TEST_F(RestoreInto, ADirectoryNamedLikeConfigurationIsInTheWay) {
  whole().store(repository_);
  std::filesystem::create_directories(target_ / "base.conf");
  EXPECT_EQ(refused().code(), Errc::exists);
}

TEST_F(RestoreInto, AFileIsNoDirectory) {
  whole().store(repository_);
  write_file(target_, "a file");
  EXPECT_THAT(refused().what(), HasSubstr(target_.native()));
  EXPECT_EQ(text_of_file(target_), "a file");
}

TEST_F(RestoreInto, ARunningServersDirectoryIsInUse) {
  whole().store(repository_);
  write_file(target_ / "postmaster.pid", fmt::format("{}\n{}\n", ::getppid(), target_.native()));
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::in_use);
  EXPECT_THAT(error.what(), HasSubstr(fmt::format("process {}", ::getppid())));
  EXPECT_THAT(names_in(target_), testing::ElementsAre("postmaster.pid"));
}

TEST_F(RestoreInto, LinksOfTablespacesMayBeThere) {
  store_with_tablespace(location_);
  std::filesystem::create_directories(location_);
  std::filesystem::create_directories(target_ / "pg_tblspc");
  std::filesystem::create_symlink(directory_ / "wrong", target_ / "pg_tblspc/16385");
  EXPECT_THAT(refused().what(), HasSubstr("pg_tblspc/16385"));
  std::filesystem::remove(target_ / "pg_tblspc/16385");
  std::filesystem::create_symlink(location_, target_ / "pg_tblspc/16385");
  std::filesystem::create_symlink(location_, target_ / "pg_tblspc/4711");
  EXPECT_THAT(refused().what(), HasSubstr("pg_tblspc/4711"));
  std::filesystem::remove(target_ / "pg_tblspc/4711");
  restore();
  EXPECT_EQ(text_of_file(location_ / "PG_15_1/16400"), "rows");
}

TEST_F(RestoreInto, ConfigurationThatStandsThereIsKept) {
  BackupBuilder backup = whole();
  backup.file("/postgresql.conf", "the backup's").file("/pg_hba.conf", "the backup's").directory("/conf.d");
  backup.file("/conf.d/a.conf", "the backup's").store(repository_);
  write_file(target_ / "postgresql.conf", "the operator's");
  write_file(target_ / "recovery.conf", "restore_command = ''");
  write_file(target_ / "standby.signal", "");
  write_file(target_ / "conf.d/a.conf", "the operator's");
  restore();
  EXPECT_EQ(restored("postgresql.conf"), "the operator's");
  EXPECT_EQ(restored("recovery.conf"), "restore_command = ''");
  EXPECT_EQ(restored("conf.d/a.conf"), "the operator's");
  EXPECT_EQ(restored("standby.signal"), "");
  EXPECT_EQ(restored("pg_hba.conf"), "the backup's");
  EXPECT_EQ(restored("PG_VERSION"), "15\n");
  EXPECT_THAT(log_.text(), HasSubstr("postgresql.conf stands in"));
  EXPECT_THAT(log_.text(), HasSubstr("conf.d/a.conf stands in"));
}

TEST_F(RestoreInto, TablespacesGoWhereTheyWereAndTheirLinksUnderTheDestination) {
  store_with_tablespace(location_);
  restore();
  EXPECT_EQ(std::filesystem::read_symlink(target_ / "pg_tblspc/16385"), location_);
  EXPECT_EQ(text_of_file(location_ / "PG_15_1/16400"), "rows");
  EXPECT_EQ(mode_of(location_), 0750U);
  EXPECT_TRUE(std::filesystem::exists(target_ / "tablespace_map"));
}

TEST_F(RestoreInto, ARestoreSpecMovesThemAndLeavesOutTheMapOfTheOldPlaces) {
  store_with_tablespace(location_);
  const std::filesystem::path elsewhere = directory_ / "elsewhere";
  restore({.directory = {}, .backup = {}, .mask = {}, .restore_spec = spec_at(elsewhere)});
  EXPECT_EQ(std::filesystem::read_symlink(target_ / "pg_tblspc/16385"), elsewhere);
  EXPECT_EQ(text_of_file(elsewhere / "PG_15_1/16400"), "rows");
  EXPECT_FALSE(std::filesystem::exists(location_));
  EXPECT_FALSE(std::filesystem::exists(target_ / "tablespace_map")) << "the server would follow it";
}

TEST_F(RestoreInto, ATablespaceLocationThatHoldsSomethingIsLeftAlone) {
  store_with_tablespace(location_);
  write_file(location_ / "postgresql.conf", "no exception here");
  const Error error = refused();
  EXPECT_EQ(error.code(), Errc::exists);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(location_.native()), HasSubstr("postgresql.conf")));
  expect_untouched();
}

TEST_F(RestoreInto, LocationsThatCannotBeAreToldBeforeAnythingIsWritten) {
  whole().store(repository_);
  const auto code_with = [&](const archive::TablespaceSpec& spec) {
    const Error error = refused({.directory = {}, .backup = {}, .mask = {}, .restore_spec = spec});
    expect_untouched();
    return error.code();
  };
  EXPECT_EQ(code_with(spec_at("relative/path")), Errc::config);
  EXPECT_EQ(code_with(spec_at(target_ / "")), Errc::config) << "the cluster's own directory";
  archive::TablespaceSpec twice = spec_at(location_);
  twice.tablespaces.push_back({"16386", location_ / "../ts/", "pg_tblspc/16386"});
  EXPECT_EQ(code_with(twice), Errc::config) << "their files would overwrite one another";
  archive::TablespaceSpec outside = spec_at(location_);
  outside.tablespaces.front().oid = "../../evil";
  EXPECT_EQ(code_with(outside), Errc::corrupt);
}

TEST_F(RestoreInto, ThePlaceIsCheckedWithoutBeingChanged) {
  RestoreDestination destination(target_ / ".." / "restored" / "", spec_at(location_));
  EXPECT_EQ(destination.directory(), target_);
  EXPECT_THAT(destination.kept(), IsEmpty());
  expect_untouched();
  destination.prepare();
  EXPECT_THAT(names_in(target_), testing::ElementsAre("pg_tblspc", marker));
  destination.finish(/*durable=*/true);
  EXPECT_THAT(names_in(target_), testing::ElementsAre("pg_tblspc")) << "a mask may have left pg_control out";
}

}  // namespace
}  // namespace seawall::ops
