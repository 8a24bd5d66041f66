#include "ops/take_remote_backup.hh"

#include <fmt/format.h>

#include <map>

#include "archive/layout.hh"
#include "archive/tar.hh"
#include "ops/part_packer.hh"
#include "ops/unfinished_backup.hh"
#include "postgres/base_backup.hh"
#include "postgres/control_file.hh"

namespace seawall::ops {
namespace {

constexpr std::string_view control_file = "global/pg_control";
constexpr std::string_view label_file = "backup_label";
constexpr std::string_view map_file = "tablespace_map";

/// What the server sends, on its way into parts. A part never holds files of two archives.
class StreamedBackup final : public postgres::BaseBackupEvents, private archive::MemberSink {
 public:
  StreamedBackup(const pipeline::Repository& repository, UnfinishedBackup& backup, std::uint64_t part_threshold,
                 const Run& run)
      : repository_(repository), backup_(backup), part_threshold_(part_threshold), run_(run) {
    if (usable_cpus() > 1) pool_.emplace(usable_cpus());
  }

  void started(const postgres::BaseBackupStart& start) override;
  void begin_archive(std::string_view oid) override;
  void data(Bytes data) override;
  void end_archive() override;
  void begin_manifest() override;
  void manifest(Bytes data) override;
  void end_manifest() override;
  void waiting() override { backup_.keep_alive(); }

  /// Once everything has come: stores pg_control. Errc::db if the server left out what no backup can be without.
  void finish();
  const std::string& kept(std::string_view name) const { return kept_.find(name)->second.content; }
  UnfinishedBackup::Outcome outcome() const;

 private:
  void begin(const archive::Member& member, std::uint64_t offset) override;
  void body(Bytes data) override;
  void end() override;
  void close_part();
  void check_kept() const;

  /// A small member that is needed beyond its part.
  struct Kept {
    archive::Member member;
    std::string content;
  };

  const pipeline::Repository& repository_;
  UnfinishedBackup& backup_;
  const std::uint64_t part_threshold_;
  const Run& run_;
  std::optional<CpuPool> pool_;  // outlives the part
  postgres::BaseBackupStart start_;
  std::string prefix_;  // of the archive's members: "pg_tblspc/16385/"
  std::optional<archive::TarReader> tar_;
  std::uint64_t archive_bytes_ = 0;
  std::uint64_t raw_bytes_ = 0;
  std::optional<PartWriter> part_;
  unsigned last_part_ = 0;
  std::size_t files_ = 0;
  std::map<std::string, Kept, std::less<>> kept_;
  Kept* keeping_ = nullptr;
  std::optional<pipeline::EncodedObjectWriter> manifest_;
  std::uint64_t manifest_bytes_ = 0;
};

void StreamedBackup::started(const postgres::BaseBackupStart& start) {
  start_ = start;
  const std::uint64_t segment_bytes = backup_.server().wal_segment_bytes;
  backup_.begin({.lsn = start.lsn,
                 .timeline = start.timeline,
                 .segment_name = archive::segment_of(start.timeline, start.lsn, segment_bytes).name(segment_bytes),
                 .in_recovery = backup_.server().in_recovery});
  run_.progress.phase("backup", std::nullopt);
}

void StreamedBackup::begin_archive(std::string_view oid) {
  prefix_ = oid.empty() ? "" : fmt::format("pg_tblspc/{}/", oid);
  archive::MemberSink& members = *this;
  tar_.emplace(members, oid.empty() ? "the server's base.tar" : fmt::format("the server's {}.tar", oid));
  archive_bytes_ = 0;
}

void StreamedBackup::data(Bytes data) {
  tar_->write(data);
  archive_bytes_ += data.size();
  raw_bytes_ += data.size();
  run_.progress.advance(data.size());
  backup_.keep_alive();
}

void StreamedBackup::end_archive() {
  // Of a tablespace that nobody has used there is not even a directory.
  if (archive_bytes_ > 0) tar_->finish();
  tar_.reset();
  if (part_) close_part();
}

void StreamedBackup::begin(const archive::Member& member, std::uint64_t /*offset*/) {
  archive::Member named = member;
  named.name = prefix_ + member.name;
  if (part_ && part_->body_bytes() > 0 && part_->body_bytes() + named.bytes > part_threshold_) close_part();
  if (!part_) {
    part_.emplace(repository_, backup_.name(), archive::part_name(++last_part_), run_.stop,
                  PartAlone{.pool = pool_ ? &*pool_ : nullptr, .expected_bytes = part_threshold_});
  }
  part_->begin(named, Time(std::chrono::seconds(named.modified)));
  if (named.type != archive::MemberType::file) return part_->end();
  ++files_;
  if (named.name == control_file || named.name == label_file || named.name == map_file) {
    keeping_ = &kept_.insert_or_assign(named.name, Kept{.member = named, .content = {}}).first->second;
  }
}

void StreamedBackup::body(Bytes data) {
  part_->body(data);
  if (keeping_ != nullptr) keeping_->content.append(text_of(data));
}

void StreamedBackup::end() {
  part_->end();
  keeping_ = nullptr;
}

void StreamedBackup::close_part() {
  backup_.record().add(part_->finish(), PartKind::streamed);
  part_.reset();
}

void StreamedBackup::begin_manifest() {
  manifest_.emplace(repository_, archive::server_manifest_object(backup_.name()), storage::PutOptions{},
                    codec::ObjectContext{.key = "backup_manifest", .size_hint = std::nullopt}, run_.stop);
}

void StreamedBackup::manifest(Bytes data) {
  manifest_->filter().write(data);
  manifest_bytes_ += data.size();
}

void StreamedBackup::end_manifest() {
  backup_.record().add_object(pipeline::with_suffix("backup_manifest", *repository_.codec), manifest_->commit(),
                              manifest_bytes_);
  manifest_.reset();
}

void StreamedBackup::check_kept() const {
  for (const std::string_view name : {control_file, label_file}) {
    if (kept_.contains(name)) continue;
    throw Error(Errc::db, fmt::format("backup {} is not finalized: the server sent no {}", backup_.name(), name));
  }
  const postgres::ControlFile control =
      postgres::parse_control_file(bytes_of(kept(control_file)), fmt::format("{} as the server sent it", control_file));
  if (control.system_identifier != backup_.server().system_identifier) {
    throw Error(Errc::foreign, fmt::format("the server sent the files of cluster {}, but {} was asked for a backup",
                                           control.system_identifier, backup_.server().system_identifier));
  }
  // Two connections are at work, and PGHOST may name several servers, or an address that moves between them.
  const bool of_standby = kept(label_file).find("\nBACKUP FROM: standby\n") != std::string::npos;
  if (of_standby != backup_.started().in_recovery) {
    throw Error(
        Errc::incomplete,
        fmt::format("backup {} is not finalized: by its backup_label it is one of a {}, but the server that was "
                    "asked before is a {}: was it promoted, or does PGHOST name several?",
                    backup_.name(), of_standby ? "standby" : "primary", of_standby ? "primary" : "standby"));
  }
}

void StreamedBackup::finish() {
  kept_.try_emplace(std::string(map_file));
  check_kept();
  const Kept& control = kept_.find(control_file)->second;
  PartWriter part(repository_, backup_.name(), archive::control_part, run_.stop);
  part.add(control.member, Time(std::chrono::seconds(control.member.modified)), bytes_of(control.content));
  backup_.record().add(part.finish(), PartKind::control);
  run_.progress.done();
}

UnfinishedBackup::Outcome StreamedBackup::outcome() const {
  archive::TablespaceSpec spec{.base_prefix = backup_.server().data_directory, .tablespaces = {}};
  for (const postgres::BaseBackupTablespace& tablespace : start_.tablespaces) {
    // One in place lies within the data directory, as its files do in the backup.
    if (!tablespace.location.starts_with('/')) continue;
    spec.tablespaces.push_back({tablespace.oid, tablespace.location, "pg_tblspc/" + tablespace.oid});
  }
  return {.data_directory = spec.base_prefix,
          .spec = spec,
          .uncompressed_bytes = raw_bytes_,
          .data_catalog_bytes = 0,
          .files = files_};
}

}  // namespace

std::string take_remote_backup(const pipeline::Repository& repository, const TakeBackupRequest& request,
                               const TakeBackupSettings& settings, const PostgresSettings& postgres, const Run& run) {
  UnfinishedBackup backup(repository, request, settings, postgres, run);
  postgres::BaseBackup server(backup.session(), run);
  if (const std::uint64_t reached = server.system_identifier(); reached != backup.server().system_identifier) {
    throw Error(Errc::foreign, fmt::format("two connections reached two clusters, {} and {}: does PGHOST name several?",
                                           backup.server().system_identifier, reached));
  }
  backup.enter_archive();
  const std::uint64_t rate = backup.disk_rate();
  if (rate > 0 && rate < postgres::least_rate_kib * 1024) {
    run.log.warning("WALG_DISK_RATE_LIMIT is {}, but no server sends less than {} bytes per second", rate,
                    postgres::least_rate_kib * 1024);
  }
  if (request.verify && !backup.server().data_checksums) run.log.debug("the cluster has no page checksums to verify");
  if (request.verify && backup.server().data_checksums && backup.server().version < postgres::verification_since) {
    run.log.warning("PostgreSQL 10 does not verify the checksums of the pages that it sends");
  }
  StreamedBackup stream(repository, backup, settings.tar_size_threshold().bytes, run);
  const archive::Lsn end =
      server.receive({.label = backup.label(), .bytes_per_second = rate, .verify_checksums = request.verify}, stream);
  run.log.info("Stopped backup {} at LSN {}", backup.name(), end.text());
  stream.finish();
  backup.commit({.lsn = end, .label = stream.kept(label_file), .tablespace_map = stream.kept(map_file)},
                stream.outcome());
  return backup.name();
}

}  // namespace seawall::ops
