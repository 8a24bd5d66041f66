#include "postgres/session.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "postgres/control_file.hh"
#include "postgres/libpq.hh"
#include "postgres/walk.hh"
#include "support/postgres_server.hh"

namespace seawall::postgres {
namespace {

using archive::RelationEntry;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// What `action` throws.
template <class F>
Error failure_of(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return Error(Errc::bug, "nothing was thrown");
}

class SessionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = std::make_unique<test::PostgresServer>(
        test::PostgresServer::Options{.configuration = "archive_mode = on\narchive_command = 'true'"});
  }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override { server_->use_by_environment(); }

  ::seawall::Run run() { return {clock_, log_, progress_, stop_.get_token()}; }
  static std::string sql(const std::string& statements, const std::string& database = "postgres") {
    return server_->sql(statements, database);
  }
  static int version() { return std::stoi(sql("SHOW server_version_num")); }
  static std::uint64_t number(const std::string& statement) { return std::stoull(sql(statement)); }
  static std::string start_function() { return version() >= 150000 ? "pg_backup_start" : "pg_start_backup"; }
  /// The server learns of a lost client some moments later.
  static void wait_until_none(const std::string& count) {
    while (sql(count) != "0") usleep(20000);
  }

  static std::unique_ptr<test::PostgresServer> server_;
  SystemClock clock_;
  MemoryLog log_;
  SilentProgress progress_;
  std::stop_source stop_;
};
std::unique_ptr<test::PostgresServer> SessionTest::server_;

TEST_F(SessionTest, InfoIsWhatTheServerAndItsControlFileSay) {
  const ServerInfo info = connect("", run())->info();
  const auto control = try_read_control_file(server_->data());
  ASSERT_TRUE(control.has_value());
  EXPECT_EQ(info.version, version());
  EXPECT_EQ(info.system_identifier, control->system_identifier);
  EXPECT_EQ(info.data_directory, server_->data());
  EXPECT_FALSE(info.in_recovery);
  EXPECT_EQ(info.timeline, control->timeline);
  EXPECT_EQ(info.wal_segment_bytes, control->wal_segment_bytes);
  EXPECT_EQ(info.block_bytes, control->block_bytes);
  EXPECT_EQ(info.data_checksums, control->data_checksum_version != 0);
  EXPECT_TRUE(info.data_checksums);
  EXPECT_EQ(info.wal_level, "replica");
  EXPECT_EQ(info.archive_mode, "on");
  EXPECT_EQ(info.archive_command, "true");
  EXPECT_EQ(info.archive_library, "");
}

TEST_F(SessionTest, ABackupsLabelNamesTheReportedStart) {
  const auto session = connect("", run());
  const BackupStart started = session->start_backup("it's a label");
  EXPECT_FALSE(started.in_recovery);
  EXPECT_EQ(started.timeline, 1U);
  EXPECT_EQ(started.segment_name, sql("SELECT (pg_walfile_name_offset('" + started.lsn.text() + "')).file_name"));
  sql("CREATE TABLE written_meanwhile AS SELECT generate_series(1, 1000) n");
  const BackupStop stopped = session->stop_backup(std::chrono::seconds(60));
  EXPECT_THAT(stopped.label,
              StartsWith("START WAL LOCATION: " + started.lsn.text() + " (file " + started.segment_name + ")\n"));
  EXPECT_THAT(stopped.label, HasSubstr("\nLABEL: it's a label\n"));
  EXPECT_EQ(stopped.tablespace_map, "");
  EXPECT_GT(stopped.lsn, started.lsn);
  session->ping();
}

TEST_F(SessionTest, TablespacesAreInTheMap) {
  const auto location = server_->make_directory("space");
  sql("CREATE TABLESPACE space LOCATION '" + location.string() + "'");
  const auto session = connect("", run());
  session->start_backup("label");
  const BackupStop stopped = session->stop_backup(std::chrono::nanoseconds(0));
  EXPECT_EQ(stopped.tablespace_map,
            sql("SELECT oid FROM pg_tablespace WHERE spcname = 'space'") + " " + location.string() + "\n");
  sql("DROP TABLESPACE space");
}

TEST_F(SessionTest, WithoutPrivilegeTheErrorSaysWhatToGrant) {
  sql("CREATE ROLE clerk LOGIN");
  setenv("PGUSER", "clerk", 1);
  const auto session = connect("", run());
  const Error info = failure_of([&] { session->info(); });
  EXPECT_EQ(info.code(), Errc::denied);
  EXPECT_THAT(info.what(), AllOf(HasSubstr("GRANT pg_read_all_settings TO \"clerk\""), HasSubstr("42501")));
  const Error start = failure_of([&] { session->start_backup("label"); });
  EXPECT_EQ(start.code(), Errc::denied);
  EXPECT_THAT(start.what(), HasSubstr("GRANT EXECUTE ON FUNCTION " + start_function() + "(text, boolean"));

  // What the messages say must be enough.
  sql("GRANT pg_read_all_settings TO clerk");
  const std::string grant = start.what();
  sql(grant.substr(grant.find("GRANT EXECUTE"), grant.find(" (in the database") - grant.find("GRANT EXECUTE")));
  EXPECT_EQ(session->info().data_directory, server_->data());
  const BackupStart started = session->start_backup("label");
  EXPECT_THAT(session->stop_backup(std::chrono::seconds(60)).label, HasSubstr(started.lsn.text()));
}

TEST_F(SessionTest, AnUnreachableServerIsNamed) {
  setenv("PGHOST", "/nonexistent/sockets", 1);
  setenv("PGPASSWORD", "hunter2", 1);
  const Error error = failure_of([&] { connect("", run()); });
  EXPECT_EQ(error.code(), Errc::network);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/nonexistent/sockets"), Not(HasSubstr("hunter2"))));
}

TEST_F(SessionTest, AnUnknownDatabaseIsTheServersError) {
  const Error error = failure_of([&] { connect("no=such", run()); });
  EXPECT_EQ(error.code(), Errc::db);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("\"no=such\" does not exist"), HasSubstr("(SQLSTATE 3D000)"), Not(HasSubstr(".c:"))));
}

TEST_F(SessionTest, AWrongPasswordIsDeniedAndNotShown) {
  sql("CREATE ROLE locked LOGIN PASSWORD 'correct'");
  std::string rules;
  {
    std::ifstream old(server_->data() / "pg_hba.conf");
    rules.assign(std::istreambuf_iterator<char>(old), {});
  }
  server_->write("pg_hba.conf", "local all locked md5\n" + rules);
  sql("SELECT pg_reload_conf()");
  setenv("PGUSER", "locked", 1);
  setenv("PGPASSFILE", "/nonexistent", 1);
  // The postmaster takes its time to reload.
  Error error = failure_of([&] {
    for (;;) connect("", run());
  });
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_THAT(error.what(), HasSubstr("PGPASSWORD"));
  setenv("PGPASSWORD", "hunter2", 1);
  error = failure_of([&] { connect("", run()); });
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("locked"), HasSubstr("(SQLSTATE 28P01)"), Not(HasSubstr("hunter2"))));
  setenv("PGPASSWORD", "correct", 1);
  connect("", run())->ping();
  unsetenv("PGPASSWORD");
}

TEST_F(SessionTest, StopEndsAStatementAndLeavesNoBackupRunning) {
  const std::string ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wal-g'";
  wait_until_none(ours);
  Error error(Errc::bug, "not run");
  {
    Connection connection({}, run());
    connection.execute({.activity = "start",
                        .sql = version() >= 150000 ? "SELECT pg_backup_start('l', true)"
                                                   : "SELECT pg_start_backup('l', true, false)"});
    std::jthread sleeper([&] {
      error = failure_of([&] { connection.execute({.activity = "sleep", .sql = "SELECT pg_sleep(3600)"}); });
    });
    while (sql(ours + " AND query LIKE '%pg_sleep%' AND state = 'active'") == "0") usleep(20000);
    stop_.request_stop();
    sleeper.join();
    EXPECT_EQ(sql(ours + " AND state = 'active'"), "0");
    EXPECT_EQ(failure_of([&] { connection.execute({.activity = "again", .sql = "SELECT 1"}); }).code(),
              Errc::cancelled);
  }
  EXPECT_EQ(error.code(), Errc::cancelled);
  wait_until_none(ours);
  EXPECT_THAT(server_->log(), HasSubstr("aborting backup due to backend exiting"));
  EXPECT_EQ(failure_of([&] { connect("", run()); }).code(), Errc::cancelled);
}

TEST_F(SessionTest, AStatementThatTakesTooLongIsATimeout) {
  Connection connection({}, run());
  connection.execute({.activity = "limit", .sql = "SET statement_timeout = 10"});
  const Error error = failure_of([&] { connection.execute({.activity = "nap", .sql = "SELECT pg_sleep(3600)"}); });
  EXPECT_EQ(error.code(), Errc::timeout);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("nap"), HasSubstr("57014")));
}

TEST_F(SessionTest, AServerThatBreaksOffIsANetworkError) {
  const auto session = connect("", run());
  sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wal-g'");
  const Error error = failure_of([&] { session->ping(); });
  EXPECT_EQ(error.code(), Errc::network);
  EXPECT_THAT(error.what(), HasSubstr(server_->socket_directory().string()));
  EXPECT_EQ(failure_of([&] { session->ping(); }).code(), Errc::network);
}

TEST_F(SessionTest, TimeoutsOfTheRoleDoNotCount) {
  sql("CREATE ROLE hasty SUPERUSER LOGIN");
  sql("ALTER ROLE hasty SET statement_timeout = '300ms'");
  sql("ALTER ROLE hasty SET lock_timeout = '300ms'");
  setenv("PGUSER", "hasty", 1);
  const auto session = connect("", run());
  std::jthread blocker([] { sql("BEGIN; LOCK TABLE pg_inherits; SELECT pg_sleep(1); COMMIT"); });
  while (sql("SELECT count(*) FROM pg_locks WHERE relation = 'pg_inherits'::regclass AND granted") == "0")
    usleep(20000);
  std::size_t seen = 0;
  session->relations([&](const RelationEntry&) { ++seen; });
  EXPECT_GT(seen, 100U);
}

TEST_F(SessionTest, NamesOfAUsersOwnDoNotStandInForTheServers) {
  sql("CREATE SCHEMA trap; CREATE FUNCTION trap.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'");
  sql("CREATE ROLE trapped SUPERUSER LOGIN");
  sql("ALTER ROLE trapped SET search_path = trap, pg_catalog");
  setenv("PGUSER", "trapped", 1);
  EXPECT_FALSE(connect("", run())->in_recovery());
}

TEST_F(SessionTest, DatabasesAreThoseThatAcceptConnections) {
  sql("CREATE DATABASE closed ALLOW_CONNECTIONS false");
  std::string shown;
  for (const auto& [name, oid] : connect("", run())->databases()) shown += name + "|" + std::to_string(oid) + "\n";
  EXPECT_THAT(shown, AllOf(HasSubstr("postgres|"), HasSubstr("template1|"), Not(HasSubstr("closed|"))));
  EXPECT_EQ(shown, sql("SELECT datname, oid FROM pg_database WHERE datallowconn ORDER BY 1") + "\n");
}

TEST_F(SessionTest, RelationsHaveTheirRealFileNodesAndNestPartitions) {
  sql("CREATE DATABASE shop");
  sql("CREATE SCHEMA cold;"
      "CREATE TABLE sales (day int) PARTITION BY RANGE (day);"
      "CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE sales_2 PARTITION OF sales FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (day);"
      "CREATE TABLE cold.sales_2a PARTITION OF sales_2 FOR VALUES FROM (10) TO (15);"
      "CREATE TABLE father (a int); CREATE TABLE mother (b int); CREATE TABLE child () INHERITS (father, mother);"
      "CREATE TABLE moved (a int); CREATE SEQUENCE numbers; CREATE VIEW no_storage AS SELECT 1;"
      "CREATE MATERIALIZED VIEW kept AS SELECT 1",
      "shop");
  sql("VACUUM FULL moved", "shop");
  std::map<std::string, RelationEntry> found;
  connect("shop", run())->relations([&](const RelationEntry& entry) {
    EXPECT_TRUE(found.emplace(entry.name, entry).second) << entry.name;
  });
  const auto expect_real = [&](const RelationEntry& entry) {
    const std::string name = "'" + entry.name + "'::regclass";
    EXPECT_EQ(std::to_string(entry.oid), sql("SELECT " + name + "::oid", "shop")) << entry.name;
    EXPECT_EQ(std::to_string(entry.file_node), sql("SELECT coalesce(pg_relation_filenode(" + name + "), 0)", "shop"))
        << entry.name;
  };
  for (const char* name : {"pg_catalog.pg_class", "pg_catalog.pg_class_oid_index", "pg_catalog.pg_database",
                           "public.moved", "public.numbers", "public.kept", "public.sales", "public.father"}) {
    ASSERT_TRUE(found.contains(name)) << name;
    expect_real(found.at(name));
  }
  EXPECT_NE(found.at("pg_catalog.pg_class").file_node, 0U);
  EXPECT_NE(found.at("public.moved").file_node, found.at("public.moved").oid);
  EXPECT_FALSE(found.contains("public.no_storage"));

  const auto& parts = found.at("public.sales").subtables;
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].name, "cold.sales_2a");
  EXPECT_EQ(parts[1].name, "public.sales_1");
  EXPECT_EQ(parts[2].name, "public.sales_2");
  for (const auto& part : parts) {
    expect_real(part);
    EXPECT_FALSE(found.contains(part.name)) << part.name;
  }
  for (const char* parent : {"public.father", "public.mother"}) {
    ASSERT_EQ(found.at(parent).subtables.size(), 1U);
    EXPECT_EQ(found.at(parent).subtables[0].name, "public.child");
  }
  EXPECT_EQ(std::to_string(found.size() + parts.size() + 1),
            sql("SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'i', 't', 'S', 'm', 'p', 'I')", "shop"));
}

TEST_F(SessionTest, ASessionOutlivesAVisitorThatThrows) {
  const auto session = connect("", run());
  const Error error =
      failure_of([&] { session->relations([](const RelationEntry&) { throw Error(Errc::no_space, "full"); }); });
  EXPECT_EQ(error.code(), Errc::no_space);
  EXPECT_EQ(sql("SELECT state FROM pg_stat_activity WHERE application_name = 'wal-g' AND state <> 'active'"), "idle");
  EXPECT_EQ(session->timeline(), 1U);
  EXPECT_FALSE(session->in_recovery());
}

TEST_F(SessionTest, NoticesAreDebugLines) {
  Connection connection({}, run());
  connection.execute({.activity = "warn", .sql = "DO $$ BEGIN RAISE WARNING 'mind the gap'; END $$"});
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("DEBUG"), HasSubstr("mind the gap")));
}

TEST_F(SessionTest, AWalkOfTheRunningServerFollowsItsRules) {
  sql("CREATE UNLOGGED TABLE fleeting AS SELECT generate_series(1, 1000) n");
  sql("VACUUM fleeting");
  const std::string fleeting = "/" + sql("SELECT pg_relation_filepath('fleeting')");
  const std::string lasting = "/" + sql("SELECT pg_relation_filepath('pg_class')");
  std::set<std::string> names;
  std::set<std::string> control_files;
  walk_data_directory(
      server_->data(),
      [&](const Entry& entry) {
        names.insert(entry.member.name);
        if (entry.is_control_file) control_files.insert(entry.member.name);
      },
      run());
  EXPECT_THAT(control_files, ElementsAre("/global/pg_control"));
  for (const std::string& name : {std::string("/PG_VERSION"), lasting, fleeting + "_init", std::string("/pg_wal")}) {
    EXPECT_THAT(names, Contains(name));
  }
  for (const std::string& name : {std::string("/postmaster.pid"), fleeting, fleeting + "_fsm",
                                  std::string("/pg_wal/archive_status"), std::string("/global/pg_internal.init")}) {
    EXPECT_TRUE(std::filesystem::exists(server_->data().string() + name)) << name;
    EXPECT_THAT(names, Not(Contains(name)));
  }
}

TEST(StandbySession, SegmentsAreNamedByTheTimelineOfTheReplayAndPromotionIsSeen) {
  test::PostgresServer server;
  server.use_by_environment();
  const bool has_signal_files = std::stoi(server.sql("SHOW server_version_num")) >= 120000;
  server.stop();
  server.write(has_signal_files ? "standby.signal" : "recovery.conf", has_signal_files ? "" : "standby_mode = on\n");
  server.start();
  SystemClock clock;
  MemoryLog log;
  SilentProgress progress;
  const auto session = connect("", ::seawall::Run{clock, log, progress, {}});
  EXPECT_TRUE(session->in_recovery());
  const ServerInfo info = session->info();
  EXPECT_TRUE(info.in_recovery);
  EXPECT_EQ(info.timeline, 1U);
  EXPECT_EQ(info.archive_mode, "off");

  const BackupStart started = session->start_backup("label");
  EXPECT_TRUE(started.in_recovery);
  EXPECT_EQ(started.timeline, 1U);
  const BackupStop stopped = session->stop_backup(std::chrono::seconds(60));
  EXPECT_THAT(stopped.label,
              StartsWith("START WAL LOCATION: " + started.lsn.text() + " (file " + started.segment_name + ")\n"));
  EXPECT_THAT(stopped.label, HasSubstr("BACKUP FROM: standby"));

  session->start_backup("to be promoted");
  server.program({"pg_ctl", "promote", "-w", "-D", server.data().string()});
  EXPECT_FALSE(session->in_recovery());
  EXPECT_EQ(session->timeline(), 2U);
  const Error error = failure_of([&] { session->stop_backup(std::chrono::seconds(60)); });
  EXPECT_EQ(error.code(), Errc::db);
  EXPECT_THAT(error.what(), HasSubstr("promoted"));
}

}  // namespace
}  // namespace seawall::postgres
