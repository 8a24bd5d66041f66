#include "ops/restore_backup.hh"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "archive/layout.hh"
#include "archive/wal_e.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "ops/directory_sink.hh"
#include "ops/host.hh"
#include "ops/restore_chain.hh"
#include "ops/restore_destination.hh"
#include "ops/server_manifest_check.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

class Restore {
 public:
  Restore(const pipeline::Repository& repository, const RestoreRequest& request, const RestoreSettings& settings,
          const Run& run)
      : repository_(repository),
        request_(request),
        settings_(settings),
        run_(run),
        chain_(RestoreChain::load(repository, request.backup, RestoreFilter(request.mask), request.restore_only, run)) {
  }

  void restore();

 private:
  bool backwards() const;
  bool skips_parts() const;
  archive::TablespaceSpec spec() const;
  void announce(const RestoreDestination& destination) const;
  std::vector<const storage::ObjectInfo*> parts_of(std::size_t index) const;
  void unpack(std::size_t index, RestoredDirectory& directory);
  void unpack_parts(std::size_t index, std::span<const storage::ObjectInfo* const> parts, RestoredDirectory& directory);
  void unpack_part(std::size_t index, const storage::ObjectInfo& part, RestoredDirectory& directory, const Run& run);
  Treatment treatment(std::size_t index, bool control_part, const archive::Member& member,
                      std::string_view relative) const;
  Treatment treatment_of_utility(const RestoreLevel& level, bool control_part, std::string_view relative) const;
  bool is_newest(std::size_t index) const { return index + 1 == chain_.levels().size(); }
  void warn_of_absent_pages(const RestoredDirectory& directory) const;
  void warn_of_absent_bytes() const;
  void check_utilities(const RestoredDirectory& directory) const;
  const archive::ManifestObject* server_manifest() const;
  void check_server_manifest(const archive::ManifestObject& object, RestoredDirectory& directory);

  const pipeline::Repository& repository_;
  const RestoreRequest& request_;
  const RestoreSettings& settings_;
  const Run& run_;
  RestoreChain chain_;
  ServerManifestCheck received_;
  std::atomic<std::uint64_t> file_bytes_{0};  ///< of the files in the parts, restored or not
};

/// Hands what it is given to the body of a member.
class BodySink final : public Sink {
 public:
  explicit BodySink(archive::MemberSink& to) : to_(to) {}
  void write(Bytes data) override { to_.body(data); }

 private:
  archive::MemberSink& to_;
};

bool Restore::backwards() const {
  const bool asked = request_.reverse_unpack || settings_.reverse_unpack() || !request_.restore_only.empty();
  return asked && chain_.levels().size() > 1;
}

/// Worth the second reading of the lists only where something is known to be superfluous.
bool Restore::skips_parts() const {
  if (!request_.restore_only.empty()) return true;
  return backwards() && (request_.skip_redundant_tars || settings_.skip_redundant_tars());
}

archive::TablespaceSpec Restore::spec() const {
  if (request_.restore_spec) return *request_.restore_spec;
  return chain_.levels().back().sentinel.spec.value_or(archive::TablespaceSpec{});
}

void Restore::announce(const RestoreDestination& destination) const {
  std::uint64_t bytes = 0;
  std::size_t objects = 0;
  for (const RestoreLevel& level : chain_.levels()) {
    objects += level.parts.size();
    for (const storage::ObjectInfo& part : level.parts) bytes += part.bytes;
  }
  run_.log.info("Restoring {} ({} in {} objects) into {}", request_.backup, human_bytes(bytes), objects,
                destination.directory().native());
}

void Restore::restore() {
  RestoreDestination destination(request_.directory, spec());
  announce(destination);
  destination.prepare();
  PageLedger ledger(destination.directory());
  RestoredDirectory directory(destination.directory(), destination.kept(), backwards() ? &ledger : nullptr);
  const std::size_t levels = chain_.levels().size();
  run_.progress.phase("restore", static_cast<std::uint64_t>(std::max<std::int64_t>(
                                     0, levels == 1 ? chain_.newest().sentinel.uncompressed_bytes : 0)));
  for (std::size_t i = 0; i < levels; ++i) unpack(backwards() ? levels - 1 - i : i, directory);
  chain_.check_complete();
  warn_of_absent_pages(directory);
  warn_of_absent_bytes();
  directory.make_links();
  destination.finish(!settings_.tar_disable_fsync());
  run_.progress.done();
  run_.log.info("Backup extraction complete: {} files, {}, peak memory {}", directory.files.load(),
                human_bytes(directory.bytes.load()), human_bytes(peak_memory_bytes()));
}

Treatment Restore::treatment_of_utility(const RestoreLevel& level, bool control_part, std::string_view relative) const {
  if (!chain_.filter().wants(relative)) return Treatment::skip;
  // With it the server would make the links anew, to where the tablespaces once were.
  if (relative == "tablespace_map" && request_.restore_spec && !request_.keep_tablespace_map) return Treatment::skip;
  // Backups over the replication protocol have pg_control twice; two threads must not write one file.
  const bool twice = relative == RestoredDirectory::control_file && level.has_control_part && !control_part;
  return twice ? Treatment::skip : Treatment::whole;
}

Treatment Restore::treatment(std::size_t index, bool control_part, const archive::Member& member,
                             std::string_view relative) const {
  const RestoreLevel& level = chain_.levels()[index];
  const bool file = member.type == archive::MemberType::file;
  // Directories and links are in every delta: those of an older backup are as they were then, or dropped since.
  if (!is_newest(index) && (!file || is_utility(relative))) return Treatment::skip;
  if (is_utility(relative)) return treatment_of_utility(level, control_part, relative);
  if (!file) return Treatment::whole;
  if (!chain_.filter().wants(relative)) return Treatment::skip;
  const MemberSet::Key key = MemberSet::key_of(member.name);
  if (!chain_.asked_for(index, key)) return Treatment::skip;
  if (!is_newest(index) && backwards() && chain_.levels().back().files->has(key, MemberSet::complete)) {
    return Treatment::skip;
  }
  if (!level.files) return Treatment::whole;
  const auto flags = level.files->find(key);
  if (!flags) return Treatment::skip;
  return (*flags & MemberSet::incremented) != 0 ? Treatment::patch : Treatment::whole;
}

std::vector<const storage::ObjectInfo*> Restore::parts_of(std::size_t index) const {
  const RestoreLevel& level = chain_.levels()[index];
  std::optional<std::set<std::string, std::less<>>> useful;
  if (skips_parts()) useful = chain_.useful_parts(index);
  std::vector<const storage::ObjectInfo*> parts;
  for (const storage::ObjectInfo& part : level.parts) {
    const std::string_view file = chain_.file_of(level, part);
    const bool utility = file.starts_with(archive::control_part) || file.starts_with(archive::label_part);
    if (utility ? is_newest(index) : !useful || useful->contains(file)) parts.push_back(&part);
  }
  if (useful) {
    run_.log.info("{}: {} of {} parts are needed", level.name, parts.size(), level.parts.size());
  }
  return parts;
}

void Restore::unpack(std::size_t index, RestoredDirectory& directory) {
  std::vector<const storage::ObjectInfo*> parts = parts_of(index);
  // What an earlier attempt may have left is unpacked first, so that this one's files take the place of it.
  const auto own = std::stable_partition(parts.begin(), parts.end(), [&](const storage::ObjectInfo* part) {
    return chain_.may_be_left_over(chain_.levels()[index], *part);
  });
  unpack_parts(index, {parts.begin(), own}, directory);
  unpack_parts(index, {own, parts.end()}, directory);
  if (is_newest(index)) check_utilities(directory);
  chain_.check_brought(index, backwards());
  if (const archive::ManifestObject* object = server_manifest()) check_server_manifest(*object, directory);
}

void Restore::unpack_parts(std::size_t index, std::span<const storage::ObjectInfo* const> parts,
                           RestoredDirectory& directory) {
  std::atomic<std::size_t> next{0};
  WorkerGroup workers(run_.stop);
  const std::size_t threads = std::min<std::size_t>(settings_.download_concurrency(), parts.size());
  for (std::size_t i = 0; i < threads; ++i) {
    workers.start([&](std::stop_token stop) {
      const Run run = run_.with(stop);
      for (std::size_t part; (part = next++) < parts.size();) {
        run.check();
        unpack_part(index, *parts[part], directory, run);
      }
    });
  }
  workers.join();
}

/// Of a backup that the server sent; null if there is none, or deltas have changed since what it says.
const archive::ManifestObject* Restore::server_manifest() const {
  const RestoreLevel& level = chain_.levels().back();
  if (chain_.levels().size() > 1 || !level.manifest) return nullptr;
  for (const archive::ManifestObject& object : level.manifest->objects) {
    if (archive::server_manifest_object(level.name).ends_with("/" + object.name.substr(0, object.name.find('.')))) {
      return &object;
    }
  }
  return nullptr;
}

/// The manifest of a whole restore is kept among the files, where pg_verifybackup looks for it.
void Restore::check_server_manifest(const archive::ManifestObject& object, RestoredDirectory& directory) {
  const std::string key = repository_.key(archive::backups_folder) + chain_.levels().back().name + "/" + object.name;
  const std::filesystem::path path = directory.root() / "backup_manifest";
  archive::Member member{.name = path.filename(), .bytes = object.raw_bytes};
  if (const auto label = try_open_file(directory.root() / "backup_label", O_RDONLY)) {
    const struct stat status = stat_of(*label, "backup_label");
    member.uid = status.st_uid;
    member.gid = status.st_gid;
  }
  DirectorySink files(
      directory, [](const archive::Member&) { return Treatment::whole; }, [](const archive::Member&, bool) {}, run_);
  files.begin(member, 0);
  BodySink body(files);
  pipeline::pull(repository_, {.key = key, .bytes = object.bytes}, pipeline::codec_of_key(object.name), body, run_.stop,
                 object.digest);
  files.end();
  FileSource manifest(open_file(path, O_RDONLY), path);
  const bool everything = chain_.filter().wants_everything();
  received_.compare(manifest, key, everything);
  // Of a part of the files it would only make pg_verifybackup complain.
  if (!everything) std::filesystem::remove(path);
}

void Restore::unpack_part(std::size_t index, const storage::ObjectInfo& part, RestoredDirectory& directory,
                          const Run& run) {
  RestoreLevel& level = chain_.levels()[index];
  const bool control_part = chain_.file_of(level, part).starts_with(archive::control_part);
  DirectorySink files(
      directory,
      [&](const archive::Member& member) {
        if (member.type == archive::MemberType::file) file_bytes_ += member.bytes;
        return treatment(index, control_part, member, directory.relative_path(member.name));
      },
      [&](const archive::Member& member, bool complete) {
        if (level.files) level.files->mark(member.name, MemberSet::restored);
        if (complete && chain_.newest().files) chain_.newest().files->mark(member.name, MemberSet::complete);
      },
      run);
  SummingSink summed(files, received_);
  const bool sums = server_manifest() != nullptr;
  try {
    archive::TarReader tar(sums ? static_cast<archive::MemberSink&>(summed) : files, part.key);
    const archive::ManifestObject* recorded = chain_.manifest_of(level, part);
    pipeline::pull(repository_, part, pipeline::codec_of_key(part.key), tar, run.stop,
                   recorded != nullptr ? std::optional(recorded->digest) : std::nullopt);
    tar.finish();
  } catch (Error& error) {
    if (std::string_view(error.what()).find(part.key) == std::string_view::npos) error.during(part.key);
    throw;
  }
}

/// No failure: WAL-G leaves a page out that vanished while the file was read (recovery cuts the file there as the
/// server did) or, when it works from recorded WAL, one that the server never wrote. Whether it is one of those nobody
/// can tell.
void Restore::warn_of_absent_pages(const RestoredDirectory& directory) const {
  const RestoredDirectory::AbsentPages absent = directory.absent_pages();
  if (absent.pages == 0) return;
  run_.log.warning(
      "{} pages that files had when {} was taken are in no backup that it consists of, {} has some; they are "
      "zeros now, as new pages are",
      absent.pages, request_.backup, absent.first_file);
}

/// No failure: WAL-E counts files before it reads them, and those that are dropped meanwhile are not stored. But the
/// last volume may be lost as well, and nothing else in such an archive tells.
void Restore::warn_of_absent_bytes() const {
  const RestoreLevel& level = chain_.levels().back();
  if (!level.wal_e_bytes || *level.wal_e_bytes <= file_bytes_) return;
  run_.log.warning(
      "{} holds {} bytes less than its sentinel says: files were dropped while it was taken, or what is behind {} is "
      "lost; verify the restored cluster",
      level.name, *level.wal_e_bytes - file_bytes_,
      archive::wal_e_part_name(static_cast<unsigned>(level.parts.size() - 1)));
}

/// A server would start without them, on what is silently wrong.
void Restore::check_utilities(const RestoredDirectory& directory) const {
  const RestoreLevel& level = chain_.levels().back();
  const bool control = chain_.filter().wants(RestoredDirectory::control_file);
  if (control && !directory.saw_control_file) {
    throw Error(Errc::incomplete, fmt::format("backup {} brought no global/pg_control", level.name));
  }
  if (level.needs_label && chain_.filter().wants("backup_label") && !directory.saw_backup_label) {
    throw Error(Errc::incomplete,
                fmt::format("backup {} brought no backup_label ({}{} or its content is missing): a server "
                            "would start on it and be silently wrong",
                            level.name, archive::parts_folder(level.name), archive::label_part));
  }
}

}  // namespace

std::optional<archive::TablespaceSpec> read_restore_spec(const std::string& path) {
  if (path.empty()) return std::nullopt;
  const std::optional<std::string> text = try_read_file(path);
  if (!text) throw Error(Errc::not_found, fmt::format("--restore-spec {}: no such file", path));
  return archive::parse_tablespace_spec(*text, path);
}

void restore_backup(const pipeline::Repository& repository, const RestoreRequest& request,
                    const RestoreSettings& settings, const Run& run) {
  Restore(repository, request, settings, run).restore();
}

void refuse_unfinished(const pipeline::Repository& repository, std::string_view backup, const Run& run) {
  if (repository.store->stat(repository.key(archive::sentinel_object(backup)), run.stop)) return;
  const std::string folder = repository.key(archive::parts_folder(backup));
  bool parts = false;
  repository.store->list(
      {.prefix = folder},
      [&](const storage::ObjectInfo&) {
        parts = true;
        return false;
      },
      run.stop);
  if (!parts) return;
  throw Error(Errc::not_found,
              fmt::format("Backup '{}' does not exist: parts lie under {}, but {} is not there, so it was not finished "
                          "or its deletion was begun",
                          backup, folder, archive::sentinel_object(backup)));
}

}  // namespace seawall::ops
