#include "postgres/session.hh"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <unordered_map>

#include "base/text.hh"
#include "postgres/libpq.hh"

namespace seawall::postgres {
namespace {

using archive::RelationEntry;

archive::Lsn lsn_of(const Row& row, int column) {
  const auto lsn = archive::parse_lsn(row.text(column));
  if (!lsn) throw Error(Errc::db, fmt::format("the server sent {} as an LSN", json_string(row.text(column))));
  return *lsn;
}

/// On a primary the timeline of what it writes now, which a promotion changes before pg_control tells of it.
constexpr std::string_view timeline_sql =
    "CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id::bigint FROM pg_control_checkpoint()) "
    "ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END";

/// The relations with storage, and partitioned parents, by relkind.
constexpr std::string_view listed_kinds = "('r', 'i', 't', 'S', 'm', 'p', 'I')";

/// Which relations are children, and in whose `subtables` they belong: those of every ancestor without a parent.
class Inheritance {
 public:
  void add(std::uint32_t child, std::uint32_t parent) {
    parents_[child].push_back(parent);
    families_.try_emplace(parent);
  }
  bool is_child(std::uint32_t oid) const { return parents_.contains(oid); }
  bool is_root(std::uint32_t oid) const { return families_.contains(oid) && !is_child(oid); }

  void keep_root(const RelationEntry& entry) {
    RelationEntry& root = families_[entry.oid];  // may have children already
    root.name = entry.name;
    root.oid = entry.oid;
    root.file_node = entry.file_node;
  }
  void keep_child(const RelationEntry& entry) {
    std::vector<std::uint32_t> roots;
    std::vector<std::uint32_t> open = parents_.at(entry.oid);
    while (!open.empty()) {
      const std::uint32_t oid = open.back();
      open.pop_back();
      const auto above = parents_.find(oid);
      if (above == parents_.end()) {
        roots.push_back(oid);
      } else {
        open.insert(open.end(), above->second.begin(), above->second.end());
      }
    }
    std::sort(roots.begin(), roots.end());
    roots.erase(std::unique(roots.begin(), roots.end()), roots.end());
    for (const std::uint32_t root : roots) families_[root].subtables.push_back(entry);
  }

  void visit_roots(const std::function<void(const RelationEntry&)>& visit) {
    for (auto& [oid, root] : families_) {
      if (root.oid == 0) continue;  // a middle generation
      std::sort(root.subtables.begin(), root.subtables.end(),
                [](const RelationEntry& a, const RelationEntry& b) { return a.name < b.name; });
      visit(root);
    }
  }

 private:
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> parents_;
  std::unordered_map<std::uint32_t, RelationEntry> families_;
};

/// Rolls back unless committed, so that the session stays usable whatever ends the block.
class Transaction {
 public:
  Transaction(Connection& connection, std::string_view activity, std::string_view mode)
      : connection_(connection), activity_(activity) {
    connection_.execute({.activity = activity_, .sql = fmt::format("BEGIN {}", mode)});
  }
  ~Transaction() {
    if (committed_) return;
    try {
      connection_.execute({.activity = activity_, .sql = "ROLLBACK"});
    } catch (const Error&) {
      // The connection is gone or the run is stopping; the error under way tells more.
    }
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit() {
    connection_.execute({.activity = activity_, .sql = "COMMIT"});
    committed_ = true;
  }

 private:
  Connection& connection_;
  std::string_view activity_;
  bool committed_ = false;
};

class PqSession final : public Session {
 public:
  PqSession(std::string_view database, const Run& run) : connection_({.database = std::string(database)}, run) {
    version_ = connection_.server_version();
    if (version_ < 100000) {
      throw Error(Errc::unsupported, fmt::format("the server is PostgreSQL {}.{}; versions from 10 on are supported",
                                                 version_ / 10000, version_ / 100 % 100));
    }
    set_up();
  }

  ServerInfo info() override;
  std::string host() const override { return connection_.host(); }
  std::string port() const override { return connection_.port(); }
  std::string version_text() override;
  BackupStart start_backup(std::string_view label) override;
  BackupStop stop_backup(std::chrono::nanoseconds timeout) override;
  archive::Timeline timeline() override;
  bool in_recovery() override;
  archive::Lsn wal_end() override;
  void ping() override { connection_.execute({.activity = "ping", .sql = "SELECT 1"}); }
  std::vector<std::pair<std::string, std::uint32_t>> databases() override;
  void relations(const std::function<void(const RelationEntry&)>& visit) override;

 private:
  void set_up();
  std::string backup_grants() const;
  void read_inheritance(Inheritance& into);

  Connection connection_;
  int version_ = 0;
};

void PqSession::set_up() {
  // Nothing a user can create may stand in for what the statements below name.
  std::string sql = "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)";
  std::vector<std::string_view> timeouts = {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"};
  if (version_ >= 140000) timeouts.push_back("idle_session_timeout");
  if (version_ >= 170000) timeouts.push_back("transaction_timeout");
  for (const auto name : timeouts) sql += fmt::format(", pg_catalog.set_config('{}', '0', false)", name);
  connection_.execute({.activity = "set up the session", .sql = std::move(sql)});
}

ServerInfo PqSession::info() {
  ServerInfo info;
  info.version = version_;
  const Statement statement{
      .activity = "read the server's settings",
      .sql = fmt::format(
          "SELECT (SELECT system_identifier FROM pg_control_system()), current_setting('data_directory'), "
          "pg_is_in_recovery(), {}, bytes_per_wal_segment, database_block_size, current_setting('data_checksums'), "
          "current_setting('wal_level'), current_setting('archive_mode'), current_setting('archive_command'), "
          "current_setting('archive_library', true) FROM pg_control_init()",
          timeline_sql),
      .if_denied =
          fmt::format("a superuser can allow it by: GRANT pg_read_all_settings TO \"{}\"; a backup also needs: {}",
                      connection_.user(), backup_grants())};
  connection_.one_row(statement, [&](const Row& row) {
    // SQL has no unsigned integers: identifiers made since 2038 would show as negative.
    info.system_identifier = static_cast<std::uint64_t>(row.integer(0));
    info.data_directory = row.text(1);
    info.in_recovery = row.truth(2);
    info.timeline = static_cast<archive::Timeline>(row.integer(3));
    info.wal_segment_bytes = static_cast<std::uint64_t>(row.integer(4));
    info.block_bytes = static_cast<std::uint32_t>(row.integer(5));
    info.data_checksums = row.text(6) == "on";
    info.wal_level = row.text(7);
    info.archive_mode = row.text(8);
    info.archive_command = row.text(9);
    info.archive_library = row.text(10);
  });
  return info;
}

std::string PqSession::version_text() {
  std::string text;
  connection_.one_row({.activity = "read the server's version", .sql = "SELECT version()"},
                      [&](const Row& row) { text = row.text(0); });
  return text;
}

std::string PqSession::backup_grants() const {
  const std::string_view functions = version_ >= 150000
                                         ? "pg_backup_start(text, boolean), pg_backup_stop(boolean)"
                                         : "pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean)";
  return fmt::format("GRANT EXECUTE ON FUNCTION {} TO \"{}\" (in the database that is connected to)", functions,
                     connection_.user());
}

BackupStart PqSession::start_backup(std::string_view label) {
  const std::string_view function =
      version_ >= 150000 ? "pg_backup_start($1, true)" : "pg_start_backup($1, true, false)";
  BackupStart started;
  connection_.one_row(
      {.activity = "start the backup",
       .sql =
           fmt::format("SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE (pg_walfile_name_offset(lsn)).file_name END, "
                       "lsn::text, pg_is_in_recovery() FROM {} AS lsn",
                       function),
       .values = {std::string(label)},
       .if_denied = fmt::format("a superuser can allow it by: {}", backup_grants())},
      [&](const Row& row) {
        started.segment_name = row.text(0);
        started.lsn = lsn_of(row, 1);
        started.in_recovery = row.truth(2);
      });
  if (!started.in_recovery) {
    const auto timeline = parse_int<archive::Timeline>(std::string_view(started.segment_name).substr(0, 8), 16);
    if (!timeline) {
      throw Error(Errc::db,
                  fmt::format("start the backup: the server names the segment {}", json_string(started.segment_name)));
    }
    started.timeline = *timeline;
    return started;
  }
  // A standby does not name segments. It began with a restart point, whose timeline pg_control holds now.
  connection_.one_row(
      {.activity = "start the backup",
       .sql = "SELECT timeline_id, bytes_per_wal_segment FROM pg_control_checkpoint(), pg_control_init()"},
      [&](const Row& row) {
        started.timeline = static_cast<archive::Timeline>(row.integer(0));
        const auto segment_bytes = static_cast<std::uint64_t>(row.integer(1));
        // A boundary belongs to the segment before it, as pg_walfile_name has it.
        const archive::Lsn last{started.lsn.value == 0 ? 0 : started.lsn.value - 1};
        started.segment_name = archive::segment_of(started.timeline, last, segment_bytes).name(segment_bytes);
      });
  return started;
}

BackupStop PqSession::stop_backup(std::chrono::nanoseconds timeout) {
  using std::chrono::milliseconds;
  const auto limit =
      timeout.count() <= 0 ? 0 : std::clamp<std::int64_t>(std::chrono::ceil<milliseconds>(timeout).count(), 1, INT_MAX);
  BackupStop stopped;
  const std::string_view function = version_ >= 150000 ? "pg_backup_stop(false)" : "pg_stop_backup(false, false)";
  Transaction transaction(connection_, "stop the backup", "");
  connection_.execute({.activity = "stop the backup", .sql = fmt::format("SET LOCAL statement_timeout = {}", limit)});
  connection_.one_row({.activity = "stop the backup",
                       .sql = fmt::format("SELECT labelfile, spcmapfile, lsn::text FROM {}", function),
                       .if_denied = fmt::format("a superuser can allow it by: {}", backup_grants())},
                      [&](const Row& row) {
                        stopped.label = row.text(0);
                        stopped.tablespace_map = row.text(1);
                        stopped.lsn = lsn_of(row, 2);
                      });
  transaction.commit();
  return stopped;
}

archive::Timeline PqSession::timeline() {
  archive::Timeline timeline = 0;
  connection_.one_row({.activity = "read the timeline", .sql = fmt::format("SELECT {}", timeline_sql)},
                      [&](const Row& row) { timeline = static_cast<archive::Timeline>(row.integer(0)); });
  return timeline;
}

archive::Lsn PqSession::wal_end() {
  archive::Lsn end;
  connection_.one_row({.activity = "ask where the WAL ends",
                       .sql = "SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), "
                              "pg_last_wal_replay_lsn(), '0/0') ELSE pg_current_wal_lsn() END::text"},
                      [&](const Row& row) { end = lsn_of(row, 0); });
  return end;
}

bool PqSession::in_recovery() {
  bool in_recovery = false;
  connection_.one_row({.activity = "ask whether it is a standby", .sql = "SELECT pg_is_in_recovery()"},
                      [&](const Row& row) { in_recovery = row.truth(0); });
  return in_recovery;
}

std::vector<std::pair<std::string, std::uint32_t>> PqSession::databases() {
  std::vector<std::pair<std::string, std::uint32_t>> found;
  connection_.stream(
      {.activity = "list the databases",
       .sql = "SELECT datname, oid FROM pg_database WHERE datallowconn ORDER BY datname"},
      [&](const Row& row) { found.emplace_back(row.text(0), static_cast<std::uint32_t>(row.integer(1))); });
  return found;
}

void PqSession::read_inheritance(Inheritance& into) {
  connection_.stream({.activity = "list the partitions",
                      .sql = fmt::format("SELECT i.inhrelid, i.inhparent FROM pg_inherits i "
                                         "JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent "
                                         "WHERE c.relkind IN {0} AND p.relkind IN {0}",
                                         listed_kinds)},
                     [&](const Row& row) {
                       into.add(static_cast<std::uint32_t>(row.integer(0)), static_cast<std::uint32_t>(row.integer(1)));
                     });
}

void PqSession::relations(const std::function<void(const RelationEntry&)>& visit) {
  // One snapshot for both lists, or a partition made in between would lack its parent.
  Transaction transaction(connection_, "list the relations", "ISOLATION LEVEL REPEATABLE READ READ ONLY");
  Inheritance inheritance;
  read_inheritance(inheritance);
  // pg_relation_filenode is asked for mapped catalogs alone: each call stays in the backend's catalog cache, which
  // a million relations would blow up.
  connection_.stream(
      {.activity = "list the relations",
       .sql = fmt::format("SELECT n.nspname, c.relname, c.oid, CASE WHEN c.relkind IN ('p', 'I') THEN 0 "
                          "WHEN c.relfilenode <> 0 THEN c.relfilenode ELSE pg_relation_filenode(c.oid) END "
                          "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN {}",
                          listed_kinds)},
      [&](const Row& row) {
        RelationEntry entry;
        entry.name = fmt::format("{}.{}", row.text(0), row.text(1));
        entry.oid = static_cast<std::uint32_t>(row.integer(2));
        if (!row.value(3)) return;  // dropped since the snapshot
        entry.file_node = static_cast<std::uint32_t>(row.integer(3));
        if (inheritance.is_child(entry.oid)) {
          inheritance.keep_child(entry);
        } else if (inheritance.is_root(entry.oid)) {
          inheritance.keep_root(entry);
        } else {
          visit(entry);
        }
      });
  inheritance.visit_roots(visit);
  transaction.commit();
}

}  // namespace

std::unique_ptr<Session> connect(std::string_view database, const Run& run) {
  return std::make_unique<PqSession>(database, run);
}

}  // namespace seawall::postgres
