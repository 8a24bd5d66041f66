#include "postgres/walk.hh"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "support/temp_dir.hh"

namespace seawall::postgres {
namespace {

using archive::MemberType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
namespace fs = std::filesystem;

class WalkTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& content = "x") {
    const fs::path path = root() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  void make(const std::string& name) { fs::create_directories(root() / name); }
  fs::path root() const { return directory_ / "data"; }

  Walked walk() {
    return walk_data_directory(
        root(),
        [&](Entry entry) {
          names_.push_back(entry.member.name);
          entries_[entry.member.name] = entry;
          if (on_visit_) on_visit_(entry);
        },
        ::seawall::Run{clock_, log_, progress_, stop_.get_token()});
  }
  Errc failure_of_walk(std::string* message = nullptr) {
    try {
      walk();
    } catch (const Error& error) {
      if (message != nullptr) *message = error.what();
      return error.code();
    }
    ADD_FAILURE() << "the walk did not fail";
    return Errc::bug;
  }

  void SetUp() override { make(""); }

  test::TempDir directory_;
  SystemClock clock_;
  MemoryLog log_;
  SilentProgress progress_;
  std::stop_source stop_;
  std::vector<std::string> names_;
  std::map<std::string, Entry> entries_;
  std::function<void(const Entry&)> on_visit_;
};

TEST_F(WalkTest, VisitsInLexicalOrderDirectoriesBeforeTheirContent) {
  for (const char* name :
       {"base/5/2619", "base/5/1259", "base/1/1259", "base/10/1259", "global/pg_control", "PG_VERSION", "base.txt"}) {
    write(name);
  }
  walk();
  EXPECT_THAT(names_,
              ElementsAre("/", "/PG_VERSION", "/base", "/base/1", "/base/1/1259", "/base/10", "/base/10/1259",
                          "/base/5", "/base/5/1259", "/base/5/2619", "/base.txt", "/global", "/global/pg_control"));
}

TEST_F(WalkTest, DescribesFilesAndDirectories) {
  write("base/1/1259", "twelve bytes");
  fs::permissions(root() / "base/1/1259", fs::perms(0640));
  ASSERT_EQ(chmod((root() / "base").c_str(), 02750), 0);
  const timespec times[2] = {{0, 0}, {1700000000, 500000000}};
  ASSERT_EQ(utimensat(AT_FDCWD, (root() / "base/1/1259").c_str(), times, 0), 0);
  const timespec earlier[2] = {{0, 0}, {1700000000, 499999999}};
  ASSERT_EQ(utimensat(AT_FDCWD, (root() / "base").c_str(), earlier, 0), 0);
  const Walked walked = walk();

  const Entry& file = entries_.at("/base/1/1259");
  EXPECT_EQ(file.path, fs::canonical(root()) / "base/1/1259");
  EXPECT_EQ(file.member.type, MemberType::file);
  EXPECT_EQ(file.member.bytes, 12U);
  EXPECT_EQ(file.member.mode, 0640U);
  EXPECT_EQ(file.member.uid, geteuid());
  EXPECT_EQ(file.member.gid, getegid());
  EXPECT_EQ(file.member.user, getpwuid(geteuid())->pw_name);
  EXPECT_EQ(file.modified.time_since_epoch().count(), 1700000000500000000);
  EXPECT_EQ(file.member.modified, 1700000001);
  EXPECT_FALSE(file.is_control_file);

  const Entry& parent = entries_.at("/base");
  EXPECT_EQ(parent.member.type, MemberType::directory);
  EXPECT_EQ(parent.member.bytes, 0U);
  EXPECT_EQ(parent.member.mode, 02750U);
  EXPECT_EQ(parent.member.modified, 1700000000);
  EXPECT_EQ(entries_.at("/").path, fs::canonical(root()));

  struct stat info {};
  std::uint64_t expected = 12;
  for (const char* name : {"", "base", "base/1"}) {
    ASSERT_EQ(lstat((root() / name).c_str(), &info), 0);
    expected += static_cast<std::uint64_t>(info.st_size);
  }
  EXPECT_EQ(walked.data_catalog_bytes, expected);
}

TEST_F(WalkTest, OnlyTheControlFileInGlobalIsOne) {
  write("global/pg_control");
  write("pg_control");
  walk();
  EXPECT_TRUE(entries_.at("/global/pg_control").is_control_file);
  EXPECT_FALSE(entries_.at("/pg_control").is_control_file);
}

TEST_F(WalkTest, LeavesOutContentsOfTransientDirectoriesDirectlyUnderTheRootOnly) {
  const std::vector<std::string> emptied = {"log",       "pg_dynshmem",  "pg_log",      "pg_notify",   "pg_replslot",
                                            "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans", "pg_wal"};
  for (const auto& name : emptied) {
    write(name + "/inner/file");
    write("elsewhere/" + name + "/file");
  }
  walk();
  for (const auto& name : emptied) {
    EXPECT_TRUE(entries_.contains("/" + name)) << name;
    EXPECT_FALSE(entries_.contains("/" + name + "/inner")) << name;
    EXPECT_TRUE(entries_.contains("/elsewhere/" + name + "/file")) << name;
  }
}

TEST_F(WalkTest, LeavesOutFilesThatARestoredClusterMustNotHave) {
  const std::vector<std::string> left_out = {
      "backup_label",   "backup_manifest", "current_logfiles.tmp",      "postgresql.auto.conf.tmp", "postmaster.opts",
      "postmaster.pid", "recovery.conf",   "recovery.signal",           "standby.signal",           "tablespace_map",
      ".DS_Store",      ".seawall.tmp",    "seawall_restore_incomplete"};
  for (const auto& name : left_out) write(name);
  write("mine/backup_label");
  write("current_logfiles");
  write("recovery.done");
  write("backup_label.old");
  write("postgresql.auto.conf");
  walk();
  EXPECT_THAT(names_, ElementsAre("/", "/backup_label.old", "/current_logfiles", "/mine", "/mine/backup_label",
                                  "/postgresql.auto.conf", "/recovery.done"));
}

TEST_F(WalkTest, LeavesOutTemporaryFilesAndRelations) {
  for (const char* name : {"base/pgsql_tmp/pgsql_tmp12.0", "base/5/pgsql_tmp12.1", "base/5/t3_16384",
                           "base/5/t3_16384.1", "base/5/t3_16384_fsm", "base/5/t10_1_vm.2", "base/5/pg_internal.init",
                           "base/5/pg_internal.init.77", "global/pg_internal.init", "base/5/PG_VERSION", "base/5/t3_x",
                           "base/5/t_1", "base/5/t3_16384_old", "base/5/pg_filenode.map", "t3_16384"}) {
    write(name);
  }
  walk();
  EXPECT_THAT(names_, ElementsAre("/", "/base", "/base/5", "/base/5/PG_VERSION", "/base/5/pg_filenode.map",
                                  "/base/5/t3_16384_old", "/base/5/t3_x", "/base/5/t_1", "/base/pgsql_tmp", "/global",
                                  "/t3_16384"));
}

TEST_F(WalkTest, OfUnloggedRelationsOnlyTheInitForksAreTaken) {
  for (const char* name :
       {"16384", "16384.1", "16384_fsm", "16384_fsm.1", "16384_init", "16384_vm", "163840", "163840_fsm", "1638",
        "1638_init", "16384_init.1", "16384_other", "16384.x", "2000", "2000_vm"}) {
    write(std::string("base/5/") + name);
  }
  write("other/16384");
  write("other/16384_init");
  walk();
  EXPECT_THAT(names_,
              ElementsAre("/", "/base", "/base/5", "/base/5/16384.x", "/base/5/163840", "/base/5/163840_fsm",
                          "/base/5/16384_init", "/base/5/16384_init.1", "/base/5/16384_other", "/base/5/1638_init",
                          "/base/5/2000", "/base/5/2000_vm", "/other", "/other/16384", "/other/16384_init"));
}

TEST_F(WalkTest, WalksTablespacesOfThisMajorUnderTheirNamesInTheDataDirectory) {
  write("PG_VERSION", "15\n");
  const fs::path tablespace = directory_ / "fast";
  for (const char* name : {"PG_15_202209061/5/16390", "PG_15_202209061/5/16390_init", "PG_15_202209061/5/16391",
                           "PG_15_202209061/pgsql_tmp/pgsql_tmp1.0", "PG_14_202107181/5/1", "stray"}) {
    fs::create_directories((tablespace / name).parent_path());
    std::ofstream(tablespace / name) << "x";
  }
  make("pg_tblspc");
  fs::create_directory_symlink(tablespace, root() / "pg_tblspc/16385");
  write("pg_tblspc/16386/PG_15_202209061/5/16400");  // in place
  const Walked walked = walk();
  EXPECT_THAT(names_,
              ElementsAre("/", "/PG_VERSION", "/pg_tblspc", "/pg_tblspc/16385/PG_15_202209061",
                          "/pg_tblspc/16385/PG_15_202209061/5", "/pg_tblspc/16385/PG_15_202209061/5/16390_init",
                          "/pg_tblspc/16385/PG_15_202209061/5/16391", "/pg_tblspc/16385/PG_15_202209061/pgsql_tmp",
                          "/pg_tblspc/16386", "/pg_tblspc/16386/PG_15_202209061", "/pg_tblspc/16386/PG_15_202209061/5",
                          "/pg_tblspc/16386/PG_15_202209061/5/16400"));
  EXPECT_EQ(walked.spec.base_prefix, fs::canonical(root()));
  ASSERT_EQ(walked.spec.tablespaces.size(), 1U);
  EXPECT_EQ(walked.spec.tablespaces[0].oid, "16385");
  EXPECT_EQ(walked.spec.tablespaces[0].location, tablespace);
  EXPECT_EQ(walked.spec.tablespaces[0].link, "pg_tblspc/16385");
  EXPECT_EQ(fs::canonical(entries_.at("/pg_tblspc/16385/PG_15_202209061/5/16391").path),
            fs::canonical(tablespace / "PG_15_202209061/5/16391"));
}

TEST_F(WalkTest, ATablespaceWhoseLocationIsMissingIsAnErrorNotAnEmptyBackup) {
  make("pg_tblspc");
  fs::create_directory_symlink(directory_ / "unmounted", root() / "pg_tblspc/16385");
  std::string message;
  EXPECT_EQ(failure_of_walk(&message), Errc::not_found);
  EXPECT_THAT(message, HasSubstr("16385"));
  EXPECT_THAT(message, HasSubstr((directory_ / "unmounted").string()));
}

TEST_F(WalkTest, LinksKeepTheirTargetsAndTransientOnesBecomeEmptyDirectories) {
  fs::create_directories(directory_ / "wal/archive_status");
  ASSERT_EQ(chmod((directory_ / "wal").c_str(), 0750), 0);
  fs::create_directory_symlink(directory_ / "wal", root() / "pg_wal");
  fs::create_directory_symlink(directory_ / "nowhere", root() / "pg_stat_tmp");
  fs::create_symlink("/etc/postgresql/15/main/postgresql.conf", root() / "postgresql.conf");
  fs::create_symlink("x", root() / "postmaster.pid");
  walk();
  EXPECT_THAT(names_, ElementsAre("/", "/pg_stat_tmp", "/pg_wal", "/postgresql.conf"));
  EXPECT_EQ(entries_.at("/pg_wal").member.type, MemberType::directory);
  EXPECT_EQ(entries_.at("/pg_wal").member.mode, 0750U);
  EXPECT_EQ(entries_.at("/pg_wal").member.link, "");
  EXPECT_EQ(entries_.at("/pg_stat_tmp").member.type, MemberType::directory);
  EXPECT_EQ(entries_.at("/pg_stat_tmp").member.mode, 0700U);
  EXPECT_EQ(entries_.at("/postgresql.conf").member.type, MemberType::symlink);
  EXPECT_EQ(entries_.at("/postgresql.conf").member.link, "/etc/postgresql/15/main/postgresql.conf");
  EXPECT_EQ(entries_.at("/postgresql.conf").member.bytes, 0U);
}

TEST_F(WalkTest, ADirectoryOfDataBehindALinkIsTakenWithItsContent) {
  fs::create_directories(directory_ / "disk/5");
  std::ofstream(directory_ / "disk/5/1259") << "abc";
  fs::create_directory_symlink(directory_ / "disk", root() / "base");
  fs::create_directory_symlink(directory_ / "disk", root() / "notes");
  walk();
  EXPECT_THAT(names_, ElementsAre("/", "/base", "/base/5", "/base/5/1259", "/notes"));
  EXPECT_EQ(entries_.at("/base").member.type, MemberType::directory);
  EXPECT_EQ(entries_.at("/base/5/1259").member.bytes, 3U);
  EXPECT_EQ(entries_.at("/notes").member.type, MemberType::symlink);
}

TEST_F(WalkTest, SocketsAndPipesAreLeftOutWithADebugLine) {
  ASSERT_EQ(mkfifo((root() / "pipe").c_str(), 0600), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (root() / ".s.PGSQL.5432").string();
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  close(socket);
  walk();
  EXPECT_THAT(names_, ElementsAre("/"));
  EXPECT_THAT(log_.text(), HasSubstr("/pipe is neither"));
  EXPECT_THAT(log_.text(), HasSubstr("/.s.PGSQL.5432 is neither"));
}

TEST_F(WalkTest, WhatVanishesMeanwhileIsPassedOver) {
  for (const char* name : {"base/1/1", "base/1/2", "base/1/3", "base/2/1", "global/1"}) write(name);
  on_visit_ = [&](const Entry& entry) {
    if (entry.member.name != "/base/1/1") return;
    fs::remove(root() / "base/1/2");
    fs::remove_all(root() / "base/2");
  };
  walk();
  EXPECT_THAT(names_, ElementsAre("/", "/base", "/base/1", "/base/1/1", "/base/1/3", "/global", "/global/1"));
  EXPECT_THAT(log_.text(), HasSubstr("/base/1/2 vanished"));
  EXPECT_THAT(log_.text(), HasSubstr("/base/2 vanished"));
}

TEST_F(WalkTest, AMissingDataDirectoryIsNamed) {
  fs::remove_all(root());
  std::string message;
  EXPECT_EQ(failure_of_walk(&message), Errc::not_found);
  EXPECT_THAT(message, HasSubstr(root().string()));
}

/// Root may read everything: becomes the user "nobody" while it lives.
class Unprivileged {
 public:
  Unprivileged() {
    if (geteuid() == 0 && seteuid(getpwnam("nobody")->pw_uid) != 0) ADD_FAILURE() << "seteuid";
  }
  ~Unprivileged() {
    if (getuid() == 0 && seteuid(0) != 0) ADD_FAILURE() << "seteuid";
  }
};

TEST_F(WalkTest, ADirectoryThatMayNotBeReadIsNamed) {
  write("base/1/1");
  fs::permissions(directory_.path(), fs::perms(0755));
  fs::permissions(root() / "base/1", fs::perms(0));
  std::string message;
  {
    const Unprivileged now;
    EXPECT_EQ(failure_of_walk(&message), Errc::denied);
  }
  fs::permissions(root() / "base/1", fs::perms(0700));
  EXPECT_THAT(message, HasSubstr("/base/1"));
}

TEST_F(WalkTest, EndsWhenStopIsRequested) {
  for (const char* name : {"a", "b", "c"}) write(name);
  on_visit_ = [&](const Entry& entry) {
    if (entry.member.name == "/a") stop_.request_stop();
  };
  EXPECT_EQ(failure_of_walk(), Errc::cancelled);
  EXPECT_THAT(names_, ElementsAre("/", "/a"));
}

TEST_F(WalkTest, AnOwnerWithoutANameHasNone) {
  if (geteuid() != 0) return;  // only root can give files away
  write("a");
  ASSERT_EQ(chown((root() / "a").c_str(), 3999999, 3999999), 0);
  walk();
  EXPECT_EQ(entries_.at("/a").member.uid, 3999999U);
  EXPECT_EQ(entries_.at("/a").member.user, "");
  EXPECT_EQ(entries_.at("/a").member.group, "");
}

}  // namespace
}  // namespace seawall::postgres
