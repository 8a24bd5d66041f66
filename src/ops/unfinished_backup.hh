#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "archive/sentinel.hh"
#include "base/run.hh"
#include "ops/backup_record.hh"
#include "ops/lease.hh"
#include "ops/take_backup.hh"
#include "postgres/session.hh"

namespace seawall::ops {

/// A backup on its way into the archive, from its name to its sentinel: what all backups have in common, wherever their
/// files come from. One thread, but for record(). Destruction before commit() leaves no sentinel, and the backup that
/// the session started ends on the server with it.
class UnfinishedBackup {
 public:
  /// Connects, and refuses a server whose backup could not be restored. All must outlive it. Errors: config, and those
  /// of session and store.
  UnfinishedBackup(const pipeline::Repository& repository, const TakeBackupRequest& request,
                   const TakeBackupSettings& settings, const PostgresSettings& postgres, const Run& run);

  const postgres::ServerInfo& server() const noexcept { return server_; }
  postgres::Session& session() noexcept { return *session_; }
  /// For backup_label: "seawall 2026-11-20T23:58:49Z".
  std::string label() const;
  /// Bytes per second that may be read; 0: no limit.
  std::uint64_t disk_rate() const;

  /// Refuses the archive of another cluster (Errc::foreign), and warns if WAL is not archived.
  void enter_archive();
  /// The server has started it: gives it its name and marks it as being in progress. Errc::exists if the archive has
  /// anything of that name.
  void begin(const postgres::BackupStart& started);
  const std::string& name() const noexcept { return name_; }
  const postgres::BackupStart& started() const noexcept { return started_; }
  BackupRecord& record() noexcept { return *record_; }

  /// Cheap, to be called at least once a second: asks from time to time whether the session still lives, for with it
  /// the backup would be lost, and keeps the mark of a backup in progress fresh.
  void keep_alive();
  /// Runs `job` in `threads` threads until all have ended, and meanwhile keeps alive. The first failure is thrown.
  void work(unsigned threads, const std::function<void(const Run&)>& job);

  /// What the sentinel says beside what is known here.
  struct Outcome {
    std::string data_directory;
    std::optional<archive::TablespaceSpec> spec = {};
    std::uint64_t uncompressed_bytes = 0;
    std::uint64_t data_catalog_bytes = 0;
    std::size_t files = 0;  ///< for the log
  };
  /// The server has ended it and every part is stored: waits until its WAL is in the archive, writes the documents,
  /// verifies that everything is there, and writes the sentinel last (R5). Errc::incomplete if the standby was
  /// promoted meanwhile or an object is missing, timeout if WAL does not come.
  void commit(const postgres::BackupStop& stopped, Outcome outcome);

 private:
  bool is_wal_e() const { return request_.layout == BackupLayout::wal_e; }
  void check_server();
  void warn_about_archiving();
  void refuse_existing();
  void renew_lease_if_due();
  void refuse_promoted();
  void wait_for_wal();
  void write_metadata();
  void write_databases(archive::FilesMetadataWriter& files);
  void check_closure();
  void write_sentinel();
  archive::Sentinel sentinel() const;
  archive::BackupMetadata metadata() const;

  const pipeline::Repository& repository_;
  const TakeBackupRequest& request_;
  const TakeBackupSettings& settings_;
  const PostgresSettings& postgres_;
  const Run& run_;
  const Time start_time_;
  Time finish_time_{};
  std::string sentinel_text_;
  const std::string user_data_;
  bool wait_for_archive_ = true;
  std::unique_ptr<postgres::Session> session_;
  postgres::ServerInfo server_;
  postgres::BackupStart started_;
  postgres::BackupStop stopped_;
  Outcome outcome_;
  std::string name_;
  std::unique_ptr<Lease> lease_;
  std::chrono::steady_clock::time_point next_renewal_{};
  std::chrono::steady_clock::time_point next_ping_;
  std::unique_ptr<BackupRecord> record_;
};

/// Runs `job` in `threads` threads until all have ended. Meanwhile `meanwhile` is called by the calling thread and says
/// when it wants to be called again; what it throws ends them.
void work_together(unsigned threads, const std::function<void(const Run&)>& job,
                   const std::function<std::chrono::steady_clock::time_point()>& meanwhile, const Run& run);

}  // namespace seawall::ops
