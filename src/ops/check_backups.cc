#include "ops/check_backups.hh"

#include <algorithm>
#include <map>

#include "archive/layout.hh"
#include "archive/wal_object.hh"
#include "base/text.hh"
#include "ops/backup_selection.hh"
#include "postgres/libpq.hh"

namespace seawall::ops {
namespace {

std::chrono::seconds age_of(Time modified, const Run& run) {
  return std::max(std::chrono::seconds(0), std::chrono::floor<std::chrono::seconds>(run.clock.wall() - modified));
}

/// The size by which the backup's name and its LSN agree, if that is one only; `otherwise` where nothing tells.
std::uint64_t segment_bytes_of(const archive::Sentinel& sentinel, const std::string& backup, std::uint64_t otherwise) {
  const std::string segment = archive::segment_name_of_backup(backup);
  const auto timeline = parse_int<archive::Timeline>(segment.substr(0, 8), 16);
  if (!sentinel.start_lsn || !timeline) return otherwise;
  std::optional<std::uint64_t> found;
  for (std::uint64_t bytes = std::uint64_t{1} << 20; archive::is_segment_size(bytes); bytes *= 2) {
    if (archive::segment_of(*timeline, *sentinel.start_lsn, bytes).name(bytes) != segment) continue;
    if (bytes == otherwise || found) return otherwise;
    found = bytes;
  }
  return found.value_or(otherwise);
}

/// The WAL since a backup, in one listing that begins where it does.
class WalSince {
 public:
  WalSince(const pipeline::Repository& repository, std::uint64_t segment_bytes, const Run& run)
      : folder_(repository.key(archive::wal_folder)), repository_(repository), bytes_(segment_bytes), run_(run) {}

  /// `from`: a segment's name; empty: everything.
  void list(const std::string& from, const std::string& server_file) {
    const std::string start = from.empty() ? std::string() : folder_ + from.substr(0, from.size() - 1);
    repository_.store->list(
        {.prefix = folder_, .start_after = start},
        [&](const storage::ObjectInfo& object) {
          take(object, server_file);
          return true;
        },
        run_.stop);
  }
  void take(const storage::ObjectInfo& object, const std::string& server_file) {
    const std::string_view file = std::string_view(object.key).substr(folder_.size());
    if (!newest_ || object.modified > newest_->modified) newest_ = object;
    if (!server_file.empty() && file.starts_with(server_file)) has_server_file_ = true;
    const auto wal = archive::parse_wal_object(file, bytes_);
    if (wal && wal->kind == archive::WalObjectKind::segment) {
      numbers_[wal->segment.timeline].push_back(wal->segment.number);
    }
  }

  std::optional<Dated> newest() const {
    if (!newest_) return std::nullopt;
    const std::string file = newest_->key.substr(folder_.size());
    return Dated{.name = file.substr(0, file.find('.')), .age = age_of(newest_->modified, run_)};
  }
  bool has_server_file() const noexcept { return has_server_file_; }

  /// From the backup's first segment on its timeline, and within every later one from what is its first here.
  void look_for_gaps(archive::Segment first, BackupHealth& health) {
    if (!numbers_.contains(first.timeline)) health.missing = first.name(bytes_);
    for (auto& [timeline, numbers] : numbers_) {
      if (timeline < first.timeline) continue;
      std::sort(numbers.begin(), numbers.end());
      numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
      std::uint64_t expected = timeline == first.timeline ? first.number : numbers.front();
      for (const std::uint64_t number : numbers) {
        if (number < expected) continue;
        ++health.segments;
        if (number > expected && health.missing.empty()) {
          health.missing = archive::Segment{timeline, expected}.name(bytes_);
        }
        expected = number + 1;
      }
    }
  }

 private:
  const std::string folder_;
  const pipeline::Repository& repository_;
  const std::uint64_t bytes_;
  const Run& run_;
  std::optional<storage::ObjectInfo> newest_;
  bool has_server_file_ = false;
  std::map<archive::Timeline, std::vector<std::uint64_t>> numbers_;
};

std::optional<std::chrono::seconds> seconds_of(const postgres::Row& row, int column) {
  if (!row.value(column)) return std::nullopt;
  return std::chrono::seconds(std::max<std::int64_t>(0, row.integer(column)));
}

}  // namespace

bool BackupHealth::wal_fresh() const {
  if (!wal) return false;
  if (wal->age <= wal_limit) return true;
  return server && server->archives && !server->last_archived.empty() && server->waiting == 0 && !server_file_missing;
}

bool BackupHealth::server_well() const {
  if (!server) return true;
  const bool failing = server->failed_ago && (!server->archived_ago || *server->failed_ago < *server->archived_ago);
  return server->archives && !failing && !server_file_missing;
}

ArchiverState ask_archiver(const Run& run) {
  postgres::Connection connection({}, run);
  ArchiverState state;
  // A standby has no present segment of its own; what waits there is not counted. The division is by the segment's
  // size.
  const std::string waiting =
      "case when pg_is_in_recovery() or last_archived_wal !~ '^[0-9A-F]{24}$' then 0 else greatest(0, "
      "(pg_current_wal_lsn() - '0/0'::pg_lsn) / size.bytes - "
      "(('x' || substr(last_archived_wal, 9, 8))::bit(32)::bigint * (4294967296 / size.bytes) + "
      "('x' || substr(last_archived_wal, 17, 8))::bit(32)::bigint) - 1)::bigint end";
  connection.one_row(
      {.activity = "ask for the state of archiving",
       .sql = "select last_archived_wal, extract(epoch from now() - last_archived_time)::bigint, last_failed_wal, "
              "extract(epoch from now() - last_failed_time)::bigint, " +
              waiting +
              ", current_setting('archive_mode') <> 'off' from pg_stat_archiver, (select pg_size_bytes("
              "current_setting('wal_segment_size'))::numeric as bytes) size"},
      [&](const postgres::Row& row) {
        state.last_archived = row.text(0);
        state.archived_ago = seconds_of(row, 1);
        state.last_failed = row.text(2);
        state.failed_ago = seconds_of(row, 3);
        state.waiting = row.value(4) ? static_cast<std::uint64_t>(row.integer(4)) : 0;
        state.archives = row.truth(5);
      });
  return state;
}

BackupHealth check_backups(const pipeline::Repository& repository, const CheckSettings& limits,
                           std::optional<ArchiverState> server, std::uint64_t segment_bytes, const Run& run) {
  BackupHealth health{.backup_limit = limits.backup_limit(),
                      .wal_limit = limits.wal_limit(),
                      .backup = {},
                      .wal = {},
                      .missing = {},
                      .server = std::move(server)};
  const std::string server_file = health.server ? health.server->last_archived : std::string();
  const std::vector<ListedBackup> backups = list_sentinels(repository, run);
  if (backups.empty()) {
    WalSince all(repository, segment_bytes, run);
    all.list("", server_file);
    health.wal = all.newest();
    health.server_file_missing = !server_file.empty() && !all.has_server_file();
    return health;
  }
  const ListedBackup& newest = backups.back();
  health.backup = {.name = newest.name, .age = age_of(newest.modified, run)};
  const std::uint64_t bytes = segment_bytes_of(read_sentinel(repository, newest.name, run), newest.name, segment_bytes);
  const std::string first = archive::segment_name_of_backup(newest.name);
  WalSince wal(repository, bytes, run);
  wal.list(first, server_file);
  health.wal = wal.newest();
  health.server_file_missing = !server_file.empty() && !wal.has_server_file();
  if (const auto segment = archive::parse_segment(first, bytes)) wal.look_for_gaps(*segment, health);
  // Before the backup there may be younger ones: of an older timeline, or what the server archived last.
  if (!health.wal_fresh() || health.server_file_missing) {
    WalSince all(repository, bytes, run);
    all.list("", server_file);
    health.wal = all.newest();
    health.server_file_missing = !server_file.empty() && !all.has_server_file();
  }
  return health;
}

}  // namespace seawall::ops
