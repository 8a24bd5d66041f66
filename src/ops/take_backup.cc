#include "ops/take_backup.hh"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "archive/layout.hh"
#include "base/file.hh"
#include "ops/data_directory_source.hh"
#include "ops/part_packer.hh"
#include "ops/take_remote_backup.hh"
#include "ops/unfinished_backup.hh"
#include "ops/wal_e_backup.hh"
#include "postgres/control_file.hh"

namespace seawall::ops {
namespace {

/// Below this a file is compressed in the time that it takes to share the work.
constexpr std::uint64_t huge_file_bytes = std::uint64_t{64} << 20;

/// A backup of the files of a data directory on this machine.
class LocalBackup {
 public:
  LocalBackup(const pipeline::Repository& repository, const TakeBackupRequest& request,
              const TakeBackupSettings& settings, const PostgresSettings& postgres, const Run& run)
      : repository_(repository),
        request_(request),
        settings_(settings),
        run_(run),
        backup_(repository, request, settings, postgres, run) {}

  std::string take();

 private:
  void check_data_directory();
  void pack();
  void store_control_file();
  postgres::BackupStop stop();
  void store_labels(const postgres::BackupStop& stopped);
  bool is_wal_e() const { return request_.layout == BackupLayout::wal_e; }
  PartWriter utility_part(std::string_view walg_name);
  archive::Member owned(archive::Member member) const;

  const pipeline::Repository& repository_;
  const TakeBackupRequest& request_;
  const TakeBackupSettings& settings_;
  const Run& run_;
  UnfinishedBackup backup_;
  std::string data_directory_;  // as the server sees it, links resolved
  std::unique_ptr<DataDirectorySource> source_;
  std::unique_ptr<PackingPlan> plan_;
};

std::string LocalBackup::take() {
  check_data_directory();
  backup_.enter_archive();
  backup_.begin(backup_.session().start_backup(backup_.label()));
  pack();
  store_control_file();
  const postgres::BackupStop stopped = stop();
  store_labels(stopped);
  const postgres::Walked& walked = source_->walked();
  backup_.commit(stopped, {.data_directory = data_directory_,
                           .spec = walked.spec.empty() ? std::nullopt : std::optional(walked.spec),
                           .uncompressed_bytes = backup_.record().body_bytes(),
                           .data_catalog_bytes = walked.data_catalog_bytes,
                           .files = source_->files()});
  return backup_.name();
}

void LocalBackup::check_data_directory() {
  std::error_code failure;
  const std::filesystem::path given = std::filesystem::canonical(*request_.data_directory, failure);
  if (failure) throw system_error(failure.value(), *request_.data_directory);
  const std::filesystem::path servers = std::filesystem::weakly_canonical(backup_.server().data_directory);
  if (given != servers) {
    throw Error(Errc::config, fmt::format("the data directory given is {}, but the server reached runs on {}; check "
                                          "PGHOST and PGPORT, or give {}",
                                          given.native(), servers.native(), servers.native()));
  }
  data_directory_ = given.native();
  const std::optional<postgres::ControlFile> control = postgres::try_read_control_file(given);
  if (!control) throw Error(Errc::config, fmt::format("{} holds no global/pg_control", data_directory_));
  if (control->system_identifier != backup_.server().system_identifier) {
    throw Error(Errc::foreign,
                fmt::format("{} belongs to cluster {}, but the server reached is cluster {}", data_directory_,
                            control->system_identifier, backup_.server().system_identifier));
  }
}

void LocalBackup::pack() {
  const bool checksums = backup_.server().data_checksums;
  if (request_.verify && !checksums) run_.log.debug("the cluster has no page checksums to verify");
  DataDirectorySource::Options options{.verify_pages = request_.verify && checksums,
                                       .backup_start = backup_.started().lsn};
  if (const std::uint64_t rate = backup_.disk_rate(); rate > 0) {
    options.limiter = std::make_shared<storage::RateLimiter>(rate, run_.clock);
  }
  if (is_wal_e()) options.leave_out = wal_e_leaves_out;
  source_ = std::make_unique<DataDirectorySource>(data_directory_, std::move(options), run_);
  run_.progress.phase("backup", source_->total_bytes());
  plan_ = std::make_unique<PackingPlan>(repository_, backup_.name(), settings_.tar_size_threshold().bytes);
  plan_->layout = request_.layout;
  unsigned threads = settings_.upload_disk_concurrency();
  // Two for each CPU: while one waits for the disk or the store, the other computes.
  if (threads == 0) threads = std::min(2 * usable_cpus(), settings_.upload_concurrency());
  std::optional<CpuPool> pool;
  if (usable_cpus() > 1) plan_->pool = &pool.emplace(usable_cpus());
  plan_->pool_from_bytes = std::max(huge_file_bytes, source_->total_bytes() / usable_cpus());
  backup_.work(threads, [&](const Run& run) { pack_members(*source_, *plan_, backup_.record(), run); });
  plan_->pool = nullptr;
  run_.progress.done();
}

/// WAL-E's parts are all alike: what WAL-G keeps apart goes into further ones.
PartWriter LocalBackup::utility_part(std::string_view walg_name) {
  return {repository_, backup_.name(), is_wal_e() ? plan_->next_part_name() : std::string(walg_name), run_.stop,
          {},          request_.layout};
}

/// WAL-E gives every member to its recorded owner when root restores: those made here get the data directory's.
archive::Member LocalBackup::owned(archive::Member member) const {
  if (!is_wal_e()) return member;
  const archive::Member& root = source_->root();
  member.uid = root.uid;
  member.gid = root.gid;
  member.user = root.user;
  member.group = root.group;
  if (member.modified == 0) {
    member.modified = std::chrono::floor<std::chrono::seconds>(run_.clock.wall()).time_since_epoch().count();
  }
  return member;
}

void LocalBackup::store_control_file() {
  const std::string path = data_directory_ + "/global/pg_control";
  std::optional<std::string> content;
  // The server rewrites it in one write of a sector, but a reader may still catch it half-way: the CRC tells.
  constexpr int tries = 10;
  for (int i = 1;; ++i) {
    content = try_read_file(path);
    if (!content) throw Error(Errc::not_found, path + " is gone");
    try {
      postgres::parse_control_file(bytes_of(*content), path);
      break;
    } catch (const Error&) {
      if (i == tries) throw;
      run_.clock.sleep(std::chrono::milliseconds(50), run_.stop);
    }
  }
  const Fd fd = open_file(path, O_RDONLY);
  const struct stat status = stat_of(fd, path);
  archive::Member header{.name = "/global/pg_control",
                         .mode = status.st_mode & 07777U,
                         .uid = status.st_uid,
                         .gid = status.st_gid,
                         .bytes = content->size(),
                         .modified = status.st_mtim.tv_sec};
  PartWriter part = utility_part(archive::control_part);
  part.add(owned(std::move(header)), {}, bytes_of(*content));
  backup_.record().add(part.finish(), PartKind::control);
}

postgres::BackupStop LocalBackup::stop() {
  backup_.session().ping();
  postgres::BackupStop stopped = backup_.session().stop_backup(settings_.stop_backup_timeout());
  run_.log.info("Stopped backup {} at LSN {}", backup_.name(), stopped.lsn.text());
  return stopped;
}

void LocalBackup::store_labels(const postgres::BackupStop& stopped) {
  PartWriter part = utility_part(archive::label_part);
  for (const auto& [name, content] :
       {std::pair{"backup_label", &stopped.label}, std::pair{"tablespace_map", &stopped.tablespace_map}}) {
    // WAL-E makes the links itself or asks for them; by the map the server would make them anew to the old places.
    if (is_wal_e() && content != &stopped.label) continue;
    part.add(owned({.name = name, .mode = 0600, .bytes = content->size()}), {}, bytes_of(*content));
  }
  backup_.record().add(part.finish(), PartKind::labels);
}

}  // namespace

std::string take_backup(const pipeline::Repository& repository, const TakeBackupRequest& request,
                        const TakeBackupSettings& settings, const PostgresSettings& postgres, const Run& run) {
  if (!request.data_directory) return take_remote_backup(repository, request, settings, postgres, run);
  return LocalBackup(repository, request, settings, postgres, run).take();
}

}  // namespace seawall::ops
