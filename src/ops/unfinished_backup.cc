#include "ops/unfinished_backup.hh"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "archive/layout.hh"
#include "archive/wal_e.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "ops/archive_identity.hh"
#include "ops/host.hh"
#include "ops/wal_arrival.hh"
#include "ops/wal_e_backup.hh"

namespace seawall::ops {
namespace {

constexpr std::chrono::minutes lease_renewal{1};

}  // namespace

UnfinishedBackup::UnfinishedBackup(const pipeline::Repository& repository, const TakeBackupRequest& request,
                                   const TakeBackupSettings& settings, const PostgresSettings& postgres, const Run& run)
    : repository_(repository),
      request_(request),
      settings_(settings),
      postgres_(postgres),
      run_(run),
      start_time_(run.clock.wall()),
      user_data_(request.user_data ? archive::canonical_user_data(*request.user_data) : std::string{}),
      session_(postgres::connect({}, run)),
      server_(session_->info()),
      next_ping_(run.clock.steady() + settings.alive_check_interval()) {
  check_server();
}

void UnfinishedBackup::enter_archive() {
  check_archive_identity(repository_, server_.system_identifier, run_);
  warn_about_archiving();
}

std::string UnfinishedBackup::label() const { return "seawall " + rfc3339(start_time_); }

std::uint64_t UnfinishedBackup::disk_rate() const { return request_.unlimited ? 0 : settings_.disk_rate_limit().bytes; }

void UnfinishedBackup::check_server() {
  if (server_.wal_level == "minimal") {
    throw Error(Errc::config,
                "wal_level is 'minimal': such WAL cannot recover a backup. Set wal_level to 'replica' or "
                "'logical' and restart the server");
  }
  const std::uint64_t configured = std::uint64_t{postgres_.wal_segment_mb()} << 20;
  if (postgres_.wal_segment_mb.given() && configured != server_.wal_segment_bytes) {
    throw Error(
        Errc::config,
        fmt::format("WALG_PG_WAL_SIZE is {} but the server's WAL segments have {} MB; set it to {}",
                    postgres_.wal_segment_mb(), server_.wal_segment_bytes >> 20, server_.wal_segment_bytes >> 20));
  }
}

void UnfinishedBackup::warn_about_archiving() {
  const bool archiver = server_.archive_mode == "always" || (server_.archive_mode == "on" && !server_.in_recovery);
  const bool command =
      !server_.archive_library.empty() || (!server_.archive_command.empty() && server_.archive_command != "(disabled)");
  if (server_.in_recovery || (archiver && command)) return;
  wait_for_archive_ = false;
  run_.log.warning(
      "WAL archiving is not configured (archive_mode is {}, {}): the backup can be restored only if its WAL reaches "
      "the "
      "archive by other means, which is not waited for",
      server_.archive_mode, command ? "archive_command is set" : "archive_command and archive_library are empty");
}

void UnfinishedBackup::begin(const postgres::BackupStart& started) {
  started_ = started;
  name_ = is_wal_e() ? archive::wal_e_backup_name(started_.timeline, started_.lsn, server_.wal_segment_bytes)
                     : archive::backup_name(started_.segment_name);
  run_.log.info("Started backup with name {} at LSN {}", name_, started_.lsn.text());
  refuse_existing();
  lease_ = std::make_unique<Lease>(repository_, name_, run_);
  next_renewal_ = run_.clock.steady() + lease_renewal;
  record_ = std::make_unique<BackupRecord>(
      repository_, name_,
      archive::ManifestHeader{.tool = "seawall " SEAWALL_VERSION,
                              .system_identifier = server_.system_identifier,
                              .segment_bytes = server_.wal_segment_bytes},
      BackupRecord::Options{.files_metadata = !request_.without_files_metadata && !is_wal_e(),
                            .manifest = !is_wal_e(),
                            .all_corrupt_blocks = request_.store_all_corrupt_blocks},
      run_.stop);
  if (!is_wal_e()) return;
  const std::string version = archive::wal_e_version_object(name_);
  record_->add_object(version, put_text(repository_, version, session_->version_text(), run_.stop));
}

void UnfinishedBackup::keep_alive() {
  const auto now = run_.clock.steady();
  if (now >= next_ping_) {
    session_->ping();
    next_ping_ = now + settings_.alive_check_interval();
  }
  renew_lease_if_due();
}

void UnfinishedBackup::renew_lease_if_due() {
  if (lease_ == nullptr || run_.clock.steady() < next_renewal_) return;
  lease_->renew();
  next_renewal_ = run_.clock.steady() + lease_renewal;
}

void UnfinishedBackup::refuse_existing() {
  const std::string folder = repository_.key(archive::backups_folder);
  std::string found;
  repository_.store->list(
      {.prefix = folder + name_},
      [&](const storage::ObjectInfo& object) {
        const std::string_view rest = std::string_view(object.key).substr(folder.size() + name_.size());
        // A delta of another backup starts with the same letters: base_X_D_Y.
        if (rest.starts_with('/') || rest == archive::sentinel_suffix) found = object.key;
        return found.empty();
      },
      run_.stop);
  if (found.empty()) return;
  throw Error(Errc::exists,
              fmt::format("{} is in the archive already: a backup named {} exists or was left unfinished. A "
                          "standby gets a new name with its next restart point; what an unfinished backup "
                          "left can be removed",
                          found, name_));
}

void work_together(unsigned threads, const std::function<void(const Run&)>& job,
                   const std::function<std::chrono::steady_clock::time_point()>& meanwhile, const Run& run) {
  WorkerGroup workers(run.stop);
  std::vector<std::future<void>> ends;
  for (unsigned i = 0; i < threads; ++i) {
    auto end = std::make_shared<std::promise<void>>();  // owned by the worker and, until it ends, by its job's copy
    ends.push_back(end->get_future());
    workers.start([&, end](std::stop_token stop) {
      struct AtExit {
        std::promise<void>& ended;
        ~AtExit() { ended.set_value(); }
      } at_exit{*end};
      job(run.with(stop));
    });
  }
  for (const std::future<void>& end : ends) {
    while (end.wait_until(meanwhile()) != std::future_status::ready) {
    }
  }
  workers.join();
}

void UnfinishedBackup::work(unsigned threads, const std::function<void(const Run&)>& job) {
  const auto meanwhile = [this] {
    keep_alive();
    return std::min(next_ping_, next_renewal_);
  };
  work_together(threads, job, meanwhile, run_);
}

void UnfinishedBackup::commit(const postgres::BackupStop& stopped, Outcome outcome) {
  stopped_ = stopped;
  outcome_ = std::move(outcome);
  refuse_promoted();
  wait_for_wal();
  write_metadata();
  check_closure();
  write_sentinel();
}

void UnfinishedBackup::refuse_promoted() {
  if (!started_.in_recovery) return;
  const archive::Timeline now = session_->timeline();
  if (session_->in_recovery() && now == started_.timeline) return;
  finish_time_ = run_.clock.wall();
  run_.log.error("backup_label of the unfinished backup {}:\n{}", name_, stopped_.label);
  run_.log.error("tablespace_map of the unfinished backup {}:\n{}", name_, stopped_.tablespace_map);
  run_.log.error("sentinel that was not written: {}", archive::print_sentinel(sentinel()));
  throw Error(
      Errc::incomplete,
      fmt::format("the standby was promoted while backup {} ran (timeline {}, then {}): the backup may miss pages "
                  "and is not finalized. Its parts stay without a sentinel. Take a new backup of the new primary",
                  name_, started_.timeline, now));
}

void UnfinishedBackup::wait_for_wal() {
  if (!wait_for_archive_) return;
  await_wal(
      repository_,
      {.timeline = started_.timeline,
       .from = started_.lsn,
       .to = stopped_.lsn,
       .segment_bytes = server_.wal_segment_bytes,
       .on_standby = started_.in_recovery},
      settings_.archive_timeout(), [&] { renew_lease_if_due(); }, run_);
}

void UnfinishedBackup::write_metadata() {
  finish_time_ = run_.clock.wall();
  if (is_wal_e()) {
    sentinel_text_ = archive::print_wal_e_sentinel(sentinel(), started_.timeline, server_.wal_segment_bytes);
    return;
  }
  if (archive::FilesMetadataWriter* files = record_->finish_files()) {
    if (!settings_.disable_partial_restore()) write_databases(*files);
  }
  const std::string text = archive::print_metadata(metadata());
  pipeline::ObjectWriter object(repository_, archive::metadata_object(name_), {}, text.size(), run_.stop);
  object.write(bytes_of(text));
  record_->add_object("metadata.json", object.commit());
  record_->finish_files_metadata();
  sentinel_text_ = archive::print_sentinel(sentinel());
  record_->finish_manifest(sentinel_text_);
}

void UnfinishedBackup::write_databases(archive::FilesMetadataWriter& files) {
  for (const auto& [database, oid] : session_->databases()) {
    try {
      const std::unique_ptr<postgres::Session> session = postgres::connect(database, run_);
      files.database(database, oid);
      session->relations([&](const archive::RelationEntry& entry) { files.relation(entry); });
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled) throw;
      run_.log.warning("the tables of database {} are not listed in the backup, so they cannot be restored alone: {}",
                       database, error.what());
    }
  }
}

/// What was acknowledged is asked for once more: nothing may be missing, and nothing else may lie among the parts,
/// for a restore would unpack it.
void UnfinishedBackup::check_closure() {
  std::vector<storage::ObjectInfo> expected = record_->objects();
  std::sort(expected.begin(), expected.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  std::size_t at = 0;
  const std::string lease = repository_.key(archive::lease_object(name_));
  repository_.store->list(
      {.prefix = repository_.key(archive::backups_folder) + name_ + "/"},
      [&](const storage::ObjectInfo& object) {
        if (object.key == lease) return true;
        if (at == expected.size() || object.key != expected[at].key) {
          throw Error(Errc::incomplete,
                      fmt::format("backup {} is not finalized: the archive holds {} where {} was expected", name_,
                                  object.key, at < expected.size() ? expected[at].key : "nothing"));
        }
        if (object.bytes != expected[at].bytes) {
          throw Error(Errc::incomplete, fmt::format("backup {} is not finalized: {} has {} bytes, {} were written",
                                                    name_, object.key, object.bytes, expected[at].bytes));
        }
        ++at;
        return true;
      },
      run_.stop);
  if (at < expected.size()) {
    throw Error(Errc::incomplete, fmt::format("backup {} is not finalized: {} is missing", name_, expected[at].key));
  }
}

void UnfinishedBackup::write_sentinel() {
  const storage::PutResult result = repository_.store->put(
      repository_.key(archive::sentinel_object(name_)), bytes_of(sentinel_text_), {.only_if_absent = true}, run_.stop);
  if (!result.created) throw Error(Errc::exists, fmt::format("a backup named {} appeared meanwhile", name_));
  run_.log.info("{} in {} files were stored as {}, peak memory {}", human_bytes(record_->body_bytes()), outcome_.files,
                human_bytes(record_->stored_bytes()), human_bytes(peak_memory_bytes()));
  if (record_->corrupt_blocks() > 0) {
    run_.log.error("{} pages with wrong checksums are in the backup; see CorruptBlocks in its files_metadata.json",
                   record_->corrupt_blocks());
  }
}

archive::Sentinel UnfinishedBackup::sentinel() const {
  archive::Sentinel sentinel;
  sentinel.start_lsn = started_.lsn;
  sentinel.finish_lsn = stopped_.lsn;
  sentinel.pg_version = server_.version;
  sentinel.system_identifier = server_.system_identifier;
  sentinel.uncompressed_bytes = static_cast<std::int64_t>(outcome_.uncompressed_bytes);
  sentinel.compressed_bytes = static_cast<std::int64_t>(record_->stored_bytes());
  sentinel.data_catalog_bytes = static_cast<std::int64_t>(outcome_.data_catalog_bytes);
  sentinel.spec = outcome_.spec;
  sentinel.user_data_json = user_data_;
  sentinel.files_metadata_disabled = request_.without_files_metadata;
  sentinel.start_time = start_time_;
  sentinel.finish_time = finish_time_;
  sentinel.hostname = host_name();
  sentinel.data_dir = outcome_.data_directory;
  sentinel.is_permanent = request_.permanent;
  return sentinel;
}

archive::BackupMetadata UnfinishedBackup::metadata() const {
  const archive::Sentinel s = sentinel();
  archive::BackupMetadata metadata;
  metadata.start_time = s.start_time;
  metadata.finish_time = s.finish_time;
  metadata.hostname = s.hostname;
  metadata.data_dir = s.data_dir;
  metadata.pg_version = s.pg_version;
  metadata.start_lsn = s.start_lsn;
  metadata.finish_lsn = s.finish_lsn;
  metadata.is_permanent = s.is_permanent;
  metadata.system_identifier = s.system_identifier;
  metadata.uncompressed_bytes = s.uncompressed_bytes;
  metadata.compressed_bytes = s.compressed_bytes;
  metadata.user_data_json = s.user_data_json;
  return metadata;
}

}  // namespace seawall::ops
