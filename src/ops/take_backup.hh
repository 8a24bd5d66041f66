#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "archive/sentinel.hh"
#include "base/run.hh"
#include "config/setting.hh"
#include "ops/concurrency_settings.hh"
#include "ops/part_packer.hh"
#include "ops/postgres_settings.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

struct TakeBackupSettings : UploadSettings {
  config::Setting<unsigned> upload_disk_concurrency{
      *this,
      {.name = "WALG_UPLOAD_DISK_CONCURRENCY",
       .initial = 0,
       .range = {{0, 256}},
       .doc = "Tar parts filled at once. 0: two for each CPU, at most WALG_UPLOAD_CONCURRENCY."}};
  config::Setting<config::ByteSize> tar_size_threshold{
      *this,
      {.name = "WALG_TAR_SIZE_THRESHOLD",
       .initial = {1073741823},
       .range = {{{1}, {std::uint64_t{1} << 50}}},
       .doc = "A tar part is closed when the files in it exceed this size. A file is never split."}};
  config::Setting<config::ByteSize> disk_rate_limit{
      *this,
      {.name = "WALG_DISK_RATE_LIMIT",
       .initial = {0},
       .doc =
           "Bytes per second that a backup reads from the data directory, or that the server sends without one (from "
           "32 KiB to 1 GiB). 0: no limit."}};
  config::Setting<std::string> user_data{
      *this, {.name = "WALG_SENTINEL_USER_DATA", .doc = "JSON that is stored with a backup and can select it later."}};
  config::Setting<bool> verify_page_checksums{
      *this,
      {.name = "WALG_VERIFY_PAGE_CHECKSUMS",
       .initial = true,
       .doc = "Check every page's checksum while it is read, if the cluster has checksums. WAL-G's default is off."}};
  config::Setting<bool> store_all_corrupt_blocks{
      *this,
      {.name = "WALG_STORE_ALL_CORRUPT_BLOCKS",
       .initial = false,
       .doc = "Record every bad block of a file in files_metadata.json instead of the first ten."}};
  config::Setting<bool> without_files_metadata{
      *this,
      {.name = "WALG_WITHOUT_FILES_METADATA",
       .initial = false,
       .doc = "Write no files_metadata.json. Such a backup cannot be the base of a delta."}};
  config::Setting<bool> disable_partial_restore{
      *this,
      {.name = "WALG_DISABLE_PARTIAL_RESTORE",
       .initial = false,
       .doc = "Do not record the names of databases and tables, which restoring a part of a cluster needs."}};
  config::Setting<unsigned> delta_max_steps{
      *this,
      {.name = "WALG_DELTA_MAX_STEPS",
       .initial = 0,
       .doc = "Deltas allowed on a full backup. Accepted; this version always takes a full backup."}};
  config::Setting<std::chrono::nanoseconds> alive_check_interval{
      *this,
      {.name = "WALG_ALIVE_CHECK_INTERVAL",
       .initial = std::chrono::minutes(1),
       .range = {{std::chrono::milliseconds(100), std::chrono::hours(24)}},
       .doc = "How often a running backup asks whether its database session still lives."}};
  config::Setting<std::chrono::nanoseconds> stop_backup_timeout{
      *this,
      {.name = "WALG_STOP_BACKUP_TIMEOUT",
       .initial = std::chrono::nanoseconds(0),
       .doc = "Statement timeout of the call that ends the backup on the server. 0: none."}};
  config::Setting<std::chrono::nanoseconds> archive_timeout{
      *this,
      {.name = "SEAWALL_ARCHIVE_TIMEOUT",
       .initial = std::chrono::minutes(10),
       .doc = "How long backup-push waits for the WAL of the backup to be in the archive."}};
};

struct TakeBackupRequest {
  /// Nothing: the files come over the replication protocol.
  std::optional<std::string> data_directory;
  bool permanent = false;
  bool verify = true;  ///< page checksums; without a directory the server does it, and a bad page fails the backup
  bool store_all_corrupt_blocks = false;
  bool without_files_metadata = false;
  bool unlimited = false;                ///< --turbo: no rate limits
  std::optional<std::string> user_data;  ///< JSON
  /// wal_e: WAL-E's names, part_00000000.tar with pg_control and the label, extended_version.txt and sentinel, without
  /// the server's main configuration files, which WAL-E's users supply themselves, and without our own documents.
  BackupLayout layout = BackupLayout::wal_g;
};

/// Takes a full base backup of a running cluster into `repository`: connects by libpq's own rules, starts a
/// non-exclusive backup, streams tar parts of the files in `data_directory` from several threads (or has the server
/// send them, BASE_BACKUP), stops the backup, waits until all WAL between start and stop is in the archive, verifies
/// that every object it wrote is there, and writes the sentinel last (R5). Whatever fails or stops it before that
/// leaves no sentinel, and no backup running on the server.
///
/// Memory: part buffers (workers × about 5 MiB) and the names of the files, whatever their sizes.
/// Errors: config (wal_level, wrong directory, wrong segment size), foreign (an archive of another cluster), exists (a
/// backup of that name), timeout (WAL did not arrive), incomplete (the standby was promoted), and those of session,
/// walk and store.
std::string take_backup(const pipeline::Repository& repository, const TakeBackupRequest& request,
                        const TakeBackupSettings& settings, const PostgresSettings& postgres, const Run& run);

}  // namespace seawall::ops
