#include "ops/restore_backup.hh"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <set>

#include "archive/files_metadata.hh"
#include "archive/layout.hh"
#include "archive/manifest.hh"
#include "base/text.hh"
#include "ops/backup_selection.hh"
#include "ops/directory_sink.hh"
#include "ops/host.hh"
#include "ops/member_set.hh"
#include "ops/restore_destination.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

/// The members that belong to a backup but not to Files.
bool is_utility(std::string_view relative) {
  return relative == RestoredDirectory::control_file || relative == "backup_label" || relative == "tablespace_map";
}

/// One backup of the chain with what its documents say of it.
struct Level {
  std::string name;
  archive::Sentinel sentinel;
  std::vector<storage::ObjectInfo> parts;  ///< largest first
  std::optional<MemberSet> files;          ///< nothing: no files_metadata.json
  std::optional<archive::Manifest> manifest;
  std::set<std::string, std::less<>> part_names_listed;  ///< parts that TarFileSets names
};

class Restore {
 public:
  Restore(const pipeline::Repository& repository, const RestoreRequest& request, const RestoreSettings& settings,
          const Run& run)
      : repository_(repository), request_(request), settings_(settings), run_(run) {}

  void restore();

 private:
  void load_chain();
  void load_documents(Level& level);
  void load_files(Level& level);
  void load_parts(Level& level);
  void check_parts(const Level& level) const;
  const archive::ManifestObject* manifest_of(const Level& level, const storage::ObjectInfo& part) const;
  archive::TablespaceSpec spec() const;

  void unpack(std::size_t index, RestoredDirectory& directory);
  void unpack_part(std::size_t index, const storage::ObjectInfo& part, RestoredDirectory& directory, const Run& run);
  Treatment treatment(std::size_t index, const archive::Member& member, std::string_view relative) const;
  bool masked_out(std::string_view relative) const;
  void check_complete(std::size_t index, const RestoredDirectory& directory) const;
  void check_files(std::size_t index) const;

  const pipeline::Repository& repository_;
  const RestoreRequest& request_;
  const RestoreSettings& settings_;
  const Run& run_;
  std::vector<Level> chain_;  // full backup first
};

void Restore::restore() {
  masked_out("");  // a malformed mask is told before anything is touched
  load_chain();
  RestoreDestination destination(request_.directory, spec());
  std::uint64_t stored = 0;
  for (const Level& level : chain_) {
    for (const storage::ObjectInfo& part : level.parts) stored += part.bytes;
  }
  run_.log.info(
      "Restoring {} ({} in {} objects) into {}", request_.backup, human_bytes(stored),
      [&] {
        std::size_t n = 0;
        for (const Level& level : chain_) n += level.parts.size();
        return n;
      }(),
      destination.directory().native());
  destination.prepare();
  RestoredDirectory directory(destination.directory(), destination.kept());
  run_.progress.phase("restore", static_cast<std::uint64_t>(std::max<std::int64_t>(
                                     0, chain_.size() == 1 ? chain_.front().sentinel.uncompressed_bytes : 0)));
  for (std::size_t index = 0; index < chain_.size(); ++index) unpack(index, directory);
  directory.make_links();
  destination.finish(!settings_.tar_disable_fsync());
  run_.progress.done();
  run_.log.info("Backup extraction complete: {} files, {}, peak memory {}", directory.files.load(),
                human_bytes(directory.bytes.load()), human_bytes(peak_memory_bytes()));
}

void Restore::load_chain() {
  std::string name = request_.backup;
  std::set<std::string> seen;
  for (;;) {
    if (!seen.insert(name).second) {
      throw Error(Errc::corrupt,
                  fmt::format("the backups that {} stands on form a circle at {}", request_.backup, name));
    }
    Level level{.name = name, .sentinel = read_sentinel(repository_, name, run_)};
    load_documents(level);
    chain_.insert(chain_.begin(), std::move(level));
    const archive::Sentinel& sentinel = chain_.front().sentinel;
    if (!sentinel.is_delta()) break;
    name = *sentinel.delta_from;
  }
}

void Restore::load_documents(Level& level) {
  load_files(level);
  if (level.sentinel.is_delta() && (!level.files || level.files->size() == 0)) {
    throw Error(Errc::incomplete,
                fmt::format("delta {} cannot be restored: without the files that {} should list nobody "
                            "knows which of them are increments",
                            level.name, archive::files_metadata_object(level.name)));
  }
  const std::string manifest = repository_.key(archive::manifest_object(level.name));
  if (const auto source = repository_.store->try_open(manifest, {}, run_.stop)) {
    level.manifest = archive::read_manifest(*source, manifest);
  }
  load_parts(level);
  check_parts(level);
}

void Restore::load_files(Level& level) {
  if (level.sentinel.files_metadata_disabled) return;
  const std::string key = repository_.key(archive::files_metadata_object(level.name));
  const std::unique_ptr<Source> source = repository_.store->try_open(key, {}, run_.stop);
  if (source == nullptr) {
    run_.log.warning("{} is not there: everything in the backup's parts is restored", key);
    return;
  }
  level.files.emplace();
  archive::read_files_metadata(*source, key,
                               {.file =
                                    [&](const archive::FileEntry& entry) {
                                      std::uint8_t flags = 0;
                                      if (entry.is_incremented && level.sentinel.is_delta())
                                        flags |= MemberSet::incremented;
                                      if (entry.is_skipped && level.sentinel.is_delta()) flags |= MemberSet::skipped;
                                      level.files->add(entry.name, flags);
                                    },
                                .part_file = nullptr,
                                .part =
                                    [&](std::string_view part) {
                                      if (!part.empty()) level.part_names_listed.emplace(part);
                                    }});
  level.files->seal();
}

void Restore::load_parts(Level& level) {
  const std::string folder = repository_.key(archive::parts_folder(level.name));
  repository_.store->list(
      {.prefix = folder},
      [&](const storage::ObjectInfo& object) {
        level.parts.push_back(object);
        return true;
      },
      run_.stop);
  // Largest first: otherwise one straggler keeps the other workers idle at the end.
  std::stable_sort(level.parts.begin(), level.parts.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
}

/// Everything that can be known to be missing is said before a byte is written.
void Restore::check_parts(const Level& level) const {
  const std::string folder = repository_.key(archive::parts_folder(level.name));
  if (level.parts.empty()) {
    throw Error(Errc::incomplete, fmt::format("backup {} has a sentinel but no parts under {}", level.name, folder));
  }
  const auto present = [&](std::string_view stem) {
    return std::any_of(level.parts.begin(), level.parts.end(), [&](const storage::ObjectInfo& part) {
      return std::string_view(part.key).substr(folder.size()).starts_with(stem);
    });
  };
  for (const storage::ObjectInfo& part : level.parts) {
    pipeline::codec_of_key(part.key);
    if (part.bytes == 0) throw Error(Errc::corrupt, fmt::format("{} is empty: what it held is lost", part.key));
    manifest_of(level, part);
  }
  if (!present(archive::control_part)) {
    throw Error(Errc::incomplete,
                fmt::format("backup {} is not whole: {}{} is missing", level.name, folder, archive::control_part));
  }
  for (const std::string& part : level.part_names_listed) {
    if (!present(part)) {
      throw Error(Errc::incomplete, fmt::format("backup {} is not whole: {}{} is missing", level.name, folder, part));
    }
  }
  if (!level.manifest) return;
  for (const archive::ManifestObject& object : level.manifest->objects) {
    if (!object.name.starts_with("tar_partitions/")) continue;
    const std::string key = repository_.key(archive::backups_folder) + level.name + "/" + object.name;
    const auto part = std::find_if(level.parts.begin(), level.parts.end(), [&](const auto& p) { return p.key == key; });
    if (part == level.parts.end()) {
      throw Error(Errc::incomplete, fmt::format("backup {} is not whole: {} is missing", level.name, key));
    }
    if (part->bytes != object.bytes) {
      throw Error(Errc::corrupt, fmt::format("{} has {} bytes, but {} were stored", key, part->bytes, object.bytes));
    }
  }
}

const archive::ManifestObject* Restore::manifest_of(const Level& level, const storage::ObjectInfo& part) const {
  if (!level.manifest) return nullptr;
  for (const archive::ManifestObject& object : level.manifest->objects) {
    if (part.key.ends_with(level.name + "/" + object.name)) return &object;
  }
  throw Error(Errc::corrupt,
              fmt::format("{} lies among the parts of backup {} but does not belong to it", part.key, level.name));
}

archive::TablespaceSpec Restore::spec() const {
  if (request_.restore_spec) return *request_.restore_spec;
  return chain_.back().sentinel.spec.value_or(archive::TablespaceSpec{});
}

bool Restore::masked_out(std::string_view relative) const {
  if (request_.mask.empty()) return false;
  const auto matched = glob_match("/" + request_.mask, "/" + std::string(relative));
  if (!matched) throw Error(Errc::usage, fmt::format("--mask '{}' is no valid pattern", request_.mask));
  // WAL-G matches the names as the archive spells them, and the labels carry no slash there: no mask reaches them.
  return !*matched || relative == "backup_label" || relative == "tablespace_map";
}

Treatment Restore::treatment(std::size_t index, const archive::Member& member, std::string_view relative) const {
  const Level& level = chain_[index];
  const bool newest = index + 1 == chain_.size();
  if (is_utility(relative)) {
    if (!newest || masked_out(relative)) return Treatment::skip;
    if (relative == "tablespace_map" && request_.restore_spec) return Treatment::skip;
    return Treatment::whole;
  }
  if (masked_out(relative)) return Treatment::skip;
  // An older backup of the chain brings only what its child does not have whole.
  for (std::size_t above = index + 1; above < chain_.size(); ++above) {
    const auto flags = chain_[above].files->find(member.name);
    if (!flags || (*flags & (MemberSet::incremented | MemberSet::skipped)) == 0) return Treatment::skip;
  }
  if (!level.files || level.files->size() == 0) return Treatment::whole;
  const auto flags = level.files->find(member.name);
  if (!flags) return Treatment::skip;
  return (*flags & MemberSet::incremented) != 0 ? Treatment::patch : Treatment::whole;
}

void Restore::unpack(std::size_t index, RestoredDirectory& directory) {
  const Level& level = chain_[index];
  std::atomic<std::size_t> next{0};
  WorkerGroup workers(run_.stop);
  const std::size_t threads = std::min<std::size_t>(settings_.download_concurrency(), level.parts.size());
  for (std::size_t i = 0; i < threads; ++i) {
    workers.start([&](std::stop_token stop) {
      const Run run = run_.with(stop);
      for (std::size_t part; (part = next++) < level.parts.size();) {
        run.check();
        unpack_part(index, level.parts[part], directory, run);
      }
    });
  }
  workers.join();
  check_complete(index, directory);
}

void Restore::unpack_part(std::size_t index, const storage::ObjectInfo& part, RestoredDirectory& directory,
                          const Run& run) {
  Level& level = chain_[index];
  DirectorySink files(
      directory,
      [&](const archive::Member& member) { return treatment(index, member, directory.relative_path(member.name)); },
      [&](const archive::Member& member) {
        if (level.files) level.files->mark(member.name, MemberSet::restored);
      },
      run);
  try {
    archive::TarReader tar(files, part.key);
    const archive::ManifestObject* recorded = manifest_of(level, part);
    pipeline::pull(repository_, part, pipeline::codec_of_key(part.key), tar, run.stop,
                   recorded != nullptr ? std::optional(recorded->digest) : std::nullopt);
    tar.finish();
  } catch (Error& error) {
    if (std::string_view(error.what()).find(part.key) == std::string_view::npos) error.during(part.key);
    throw;
  }
}

/// A closed world: what the backup lists has come, all of it.
void Restore::check_complete(std::size_t index, const RestoredDirectory& directory) const {
  const Level& level = chain_[index];
  const bool newest = index + 1 == chain_.size();
  if (newest && !masked_out(RestoredDirectory::control_file) && !directory.saw_control_file) {
    throw Error(Errc::incomplete, fmt::format("backup {} brought no global/pg_control", level.name));
  }
  if (newest && request_.mask.empty() && !directory.saw_backup_label) {
    throw Error(Errc::incomplete,
                fmt::format("backup {} brought no backup_label ({}{} or its content is missing): a server "
                            "would start on it and be silently wrong",
                            level.name, archive::parts_folder(level.name), archive::label_part));
  }
  if (request_.mask.empty()) check_files(index);
}

void Restore::check_files(std::size_t index) const {
  const Level& level = chain_[index];
  if (!level.files) return;
  const MemberSet* parent = nullptr;
  // Of a parent without files_metadata.json nobody knows what it should have brought: what is skipped is believed.
  if (index > 0) parent = chain_[index - 1].files ? &*chain_[index - 1].files : &*level.files;
  std::vector<const MemberSet*> above;
  for (std::size_t i = index + 1; i < chain_.size(); ++i) above.push_back(&*chain_[i].files);
  const std::size_t missing = level.files->missing(parent, above);
  if (missing == 0) return;
  std::string first = "?";
  bool was_skipped = false;
  const std::string key = repository_.key(archive::files_metadata_object(level.name));
  if (const std::unique_ptr<Source> source = repository_.store->try_open(key, {}, run_.stop)) {
    archive::read_files_metadata(*source, key,
                                 {.file =
                                      [&](const archive::FileEntry& entry) {
                                        if (first != "?" || !level.files->is_missing(entry.name, parent, above)) return;
                                        first = entry.name;
                                        was_skipped = entry.is_skipped && level.sentinel.is_delta();
                                      },
                                  .part_file = nullptr,
                                  .part = nullptr});
  }
  throw Error(
      Errc::incomplete,
      was_skipped
          ? fmt::format("{} of the files that backup {} lists did not come, {} among them, which it takes unchanged "
                        "from {}",
                        missing, level.name, first, *level.sentinel.delta_from)
          : fmt::format("{} of the files that backup {} lists are in none of its parts, {} among them", missing,
                        level.name, first));
}

}  // namespace

void restore_backup(const pipeline::Repository& repository, const RestoreRequest& request,
                    const RestoreSettings& settings, const Run& run) {
  Restore(repository, request, settings, run).restore();
}

}  // namespace seawall::ops
