#include "ops/wal_e_backup.hh"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "archive/layout.hh"
#include "archive/wal_e.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "ops/archive_identity.hh"
#include "ops/backup_record.hh"
#include "ops/data_directory_source.hh"
#include "ops/lease.hh"
#include "ops/unfinished_backup.hh"
#include "postgres/control_file.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view wal_directory = "pg_wal";

class OfflineBackup {
 public:
  OfflineBackup(const pipeline::Repository& repository, const TakeBackupRequest& request,
                const TakeBackupSettings& settings, const Run& run)
      : repository_(repository), request_(request), settings_(settings), run_(run) {}

  std::string take() {
    check_data_directory();
    check_archive_identity(repository_, control_.system_identifier, run_);
    name_ = archive::wal_e_backup_name(control_.timeline, control_.checkpoint, control_.wal_segment_bytes);
    refuse_existing();
    run_.log.info("Started backup with name {} of a cluster that is shut down", name_);
    lease_ = std::make_unique<Lease>(repository_, name_, run_);
    pack();
    commit();
    return name_;
  }

 private:
  void check_data_directory();
  void refuse_existing() const;
  void pack();
  void store_last();
  void commit();

  const pipeline::Repository& repository_;
  const TakeBackupRequest& request_;
  const TakeBackupSettings& settings_;
  const Run& run_;
  std::string data_directory_;
  postgres::ControlFile control_;
  std::string name_;
  std::unique_ptr<Lease> lease_;
  std::unique_ptr<DataDirectorySource> source_;
  std::unique_ptr<BackupRecord> record_;
  std::unique_ptr<PackingPlan> plan_;
};

void OfflineBackup::check_data_directory() {
  std::error_code failure;
  const fs::path directory = fs::canonical(*request_.data_directory, failure);
  if (failure) throw system_error(failure.value(), *request_.data_directory);
  data_directory_ = directory.native();
  if (fs::exists(directory / "postmaster.pid", failure)) {
    throw Error(Errc::in_use, fmt::format("{} holds postmaster.pid: a server runs on it, or did not end cleanly; for a "
                                          "running server leave --while-offline out",
                                          data_directory_));
  }
  const auto control = postgres::try_read_control_file(directory);
  if (!control) throw Error(Errc::config, fmt::format("{} holds no global/pg_control", data_directory_));
  if (!control->shut_down) {
    throw Error(Errc::config, fmt::format("the server on {} did not end cleanly, and without its WAL such files cannot "
                                          "be used: start it and stop it first, or back up the running server",
                                          data_directory_));
  }
  control_ = *control;
}

void OfflineBackup::refuse_existing() const {
  if (!repository_.store->stat(repository_.key(archive::sentinel_object(name_)), run_.stop)) return;
  throw Error(Errc::exists,
              fmt::format("a backup named {} is in the archive already: the cluster has not run since", name_));
}

void OfflineBackup::pack() {
  DataDirectorySource::Options options{.verify_pages = control_.data_checksum_version != 0 && request_.verify,
                                       .backup_start = control_.checkpoint,
                                       .leave_out = wal_e_leaves_out};
  if (settings_.disk_rate_limit().bytes > 0) {
    options.limiter = std::make_shared<storage::RateLimiter>(settings_.disk_rate_limit().bytes, run_.clock);
  }
  source_ = std::make_unique<DataDirectorySource>(data_directory_, std::move(options), run_);
  record_ =
      std::make_unique<BackupRecord>(repository_, name_, archive::ManifestHeader{},
                                     BackupRecord::Options{.files_metadata = false, .manifest = false}, run_.stop);
  const std::string version = try_read_file(fs::path(data_directory_) / "PG_VERSION", 64).value_or("");
  record_->add_object("extended_version.txt", put_text(repository_, archive::wal_e_version_object(name_),
                                                       fmt::format("PostgreSQL {}", trim(version)), run_.stop));
  run_.progress.phase("backup", source_->total_bytes());
  plan_ = std::make_unique<PackingPlan>(repository_, name_, settings_.tar_size_threshold().bytes);
  plan_->layout = BackupLayout::wal_e;
  unsigned threads = settings_.upload_disk_concurrency();
  if (threads == 0) threads = std::min(2 * usable_cpus(), settings_.upload_concurrency());
  const auto meanwhile = [this] {
    lease_->renew();
    return run_.clock.steady() + std::chrono::minutes(1);
  };
  const auto pack = [this](const Run& run) { pack_members(*source_, *plan_, *record_, run); };
  work_together(threads, pack, meanwhile, run_);
  store_last();
  run_.progress.done();
}

/// The control file, and the WAL that the server reads first: its archive need not have that segment.
void OfflineBackup::store_last() {
  const std::string segment = archive::segment_of(control_.timeline, control_.checkpoint, control_.wal_segment_bytes)
                                  .name(control_.wal_segment_bytes);
  PartWriter part(repository_, name_, plan_->next_part_name(), run_.stop, {}, BackupLayout::wal_e);
  for (const std::string& name : {std::string("global/pg_control"), fmt::format("{}/{}", wal_directory, segment)}) {
    const fs::path path = fs::path(data_directory_) / name;
    const auto content = try_read_file(path, std::size_t{1} << 30);
    if (!content) throw Error(Errc::not_found, path.native() + " is not there");
    archive::Member member = source_->root();
    member.name = name;
    member.type = archive::MemberType::file;
    member.mode = 0600;
    member.bytes = content->size();
    part.add(member, {}, bytes_of(*content));
  }
  record_->add(part.finish(), PartKind::control);
}

void OfflineBackup::commit() {
  if (fs::exists(fs::path(data_directory_) / "postmaster.pid")) {
    throw Error(Errc::in_use, fmt::format("a server was started on {} while backup {} ran; it is not finalized",
                                          data_directory_, name_));
  }
  archive::Sentinel sentinel;
  sentinel.start_lsn = control_.checkpoint;
  sentinel.finish_lsn = control_.checkpoint;
  const std::string version = try_read_file(fs::path(data_directory_) / "PG_VERSION", 64).value_or("");
  sentinel.pg_version = parse_int<int>(trim(version)).value_or(0) * 10000;
  sentinel.system_identifier = control_.system_identifier;
  sentinel.uncompressed_bytes = static_cast<std::int64_t>(record_->body_bytes());
  sentinel.data_dir = data_directory_;
  sentinel.spec = source_->walked().spec;
  const std::string text = archive::print_wal_e_sentinel(sentinel, control_.timeline, control_.wal_segment_bytes);
  const auto put = repository_.store->put(repository_.key(archive::sentinel_object(name_)), bytes_of(text),
                                          {.only_if_absent = true}, run_.stop);
  if (!put.created) throw Error(Errc::exists, fmt::format("a backup named {} appeared meanwhile", name_));
}

}  // namespace

bool wal_e_leaves_out(std::string_view name) {
  static constexpr std::array<std::string_view, 6> supplied{"/postgresql.conf", "/pg_hba.conf",   "/pg_ident.conf",
                                                            "/recovery.conf",   "/recovery.done", "/promote"};
  return std::find(supplied.begin(), supplied.end(), name) != supplied.end();
}

pipeline::Stored put_text(const pipeline::Repository& repository, std::string_view name, std::string_view text,
                          std::stop_token stop) {
  pipeline::ObjectWriter object(repository, name, {}, text.size(), stop);
  object.write(bytes_of(text));
  return object.commit();
}

std::string take_offline_backup(const pipeline::Repository& repository, const TakeBackupRequest& request,
                                const TakeBackupSettings& settings, const Run& run) {
  return OfflineBackup(repository, request, settings, run).take();
}

}  // namespace seawall::ops
