#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/run.hh"
#include "config/setting.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// How old what is in an archive may be; the names are those of the backup container.
struct CheckSettings : config::Group {
  config::Setting<std::uint64_t> backup_interval{
      *this,
      {.name = "BASE_BACKUP_INTERVAL_MINUTES",
       .initial = 10080,
       .range = {{1, 100'000'000}},
       .doc = "check backup: how many minutes apart base backups are; five more are allowed."}};
  config::Setting<std::uint64_t> checkpoint_timeout{
      *this,
      {.name = "CHECKPOINT_TIMEOUT_SECONDS",
       .initial = 300,
       .range = {{1, 1'000'000'000}},
       .doc = "check backup: how many seconds apart WAL files are; two minutes more are allowed."}};

  std::chrono::seconds backup_limit() const {
    return std::chrono::minutes(backup_interval()) + std::chrono::minutes(5);
  }
  std::chrono::seconds wal_limit() const { return std::chrono::seconds(checkpoint_timeout() + 120); }
};

/// Something in the archive and how long ago it was stored.
struct Dated {
  std::string name;
  std::chrono::seconds age{};
};

/// What the server says of its archiving (pg_stat_archiver).
struct ArchiverState {
  std::string last_archived;  ///< file name; empty: none since the statistics began
  std::optional<std::chrono::seconds> archived_ago;
  std::string last_failed;
  std::optional<std::chrono::seconds> failed_ago;
  std::uint64_t waiting = 0;  ///< finished segments behind the last archived one; of a standby 0
  bool archives = true;       ///< archive_mode
};
/// By libpq's own rules; errors as postgres::Session's.
ArchiverState ask_archiver(const Run& run);

struct BackupHealth {
  std::chrono::seconds backup_limit{};
  std::chrono::seconds wal_limit{};
  std::optional<Dated> backup;  ///< the newest that is complete
  std::optional<Dated> wal;     ///< the newest file
  std::uint64_t segments = 0;   ///< since the beginning of the backup
  std::string missing;          ///< the first segment that is missing since then; empty: none
  std::optional<ArchiverState> server;
  bool server_file_missing = false;  ///< what the server last archived is not here

  bool backup_fresh() const { return backup && backup->age <= backup_limit; }
  /// Also old WAL is fresh where the server says that there is nothing to archive.
  bool wal_fresh() const;
  bool server_well() const;
  bool ok() const { return backup_fresh() && wal_fresh() && missing.empty() && server_well(); }
};

/// Lists the backups, and the WAL since the newest one. Base backups count once they are complete: half a backup is
/// none. `server`: asked before. `segment_bytes`: of the cluster, unless the backup itself tells.
BackupHealth check_backups(const pipeline::Repository& repository, const CheckSettings& limits,
                           std::optional<ArchiverState> server, std::uint64_t segment_bytes, const Run& run);

}  // namespace seawall::ops
