#include "ops/restore_chain.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "archive/layout.hh"
#include "archive/wal_e.hh"
#include "base/text.hh"
#include "ops/backup_selection.hh"
#include "ops/directory_sink.hh"
#include "ops/restore_backup.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

/// WAL-E's have no parts of their own for pg_control and the label, and no list of files.
bool is_wal_e_name(std::string_view name) { return archive::parse_wal_e_name(name).has_value(); }

class DigestedSource final : public Source {
 public:
  explicit DigestedSource(Source& from) : from_(from) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t n = from_.read(into);
    digester_.update(into.first(n));
    return n;
  }
  Digest digest() const noexcept { return digester_.value(); }
  /// Of all, what was not read yet included.
  Digest rest() {
    std::array<std::byte, 16384> buffer;
    while (read(buffer) > 0) {
    }
    return digest();
  }

 private:
  Source& from_;
  Digester digester_;
};

void check_digest(const std::string& key, Digest found, Digest recorded) {
  if (found == recorded) return;
  throw Error(Errc::corrupt, fmt::format("object '{}' does not hold the bytes that were written: their digest is {}, "
                                         "recorded is {}",
                                         key, found.hex(), recorded.hex()));
}

/// "part_001.tar" of "part_001.tar.lz4"
std::string_view stem_of(std::string_view file) {
  const std::size_t tar = file.find(".tar");
  return tar == std::string_view::npos ? file : file.substr(0, tar + std::string_view(".tar").size());
}

bool needs_parent(std::uint8_t flags) { return (flags & (MemberSet::incremented | MemberSet::skipped)) != 0; }

}  // namespace

bool is_utility(std::string_view relative) noexcept {
  return relative == RestoredDirectory::control_file || relative == "backup_label" || relative == "tablespace_map";
}

std::string_view without_root(std::string_view member_name) noexcept {
  while (member_name.starts_with('/') || member_name.starts_with("./")) {
    member_name.remove_prefix(member_name.starts_with('/') ? 1 : 2);
  }
  return member_name;
}

RestoreFilter::RestoreFilter(std::string mask) : mask_(std::move(mask)) { wants(""); }

bool RestoreFilter::wants(std::string_view relative) const {
  if (only && !only->wants(relative)) return false;
  if (mask_.empty()) return true;
  const auto matched = glob_match("/" + mask_, "/" + std::string(relative));
  if (!matched) throw Error(Errc::usage, fmt::format("--mask '{}' is no valid pattern", mask_));
  // WAL-G matches the names as the archive spells them, and the labels carry no slash there: no mask reaches them.
  return *matched && relative != "backup_label" && relative != "tablespace_map";
}

RestoreChain RestoreChain::load(const pipeline::Repository& repository, const std::string& backup, RestoreFilter filter,
                                std::string_view only, const Run& run) {
  RestoreChain chain(repository, std::move(filter), run);
  std::string name = backup;
  std::set<std::string> seen;
  for (;;) {
    if (!seen.insert(name).second) {
      throw Error(Errc::corrupt, fmt::format("the backups that {} stands on form a circle at {}", backup, name));
    }
    refuse_unfinished(repository, name, run);
    RestoreLevel level{.name = name, .sentinel = read_sentinel(repository, name, run)};
    chain.load_level(level, chain.levels_.empty() ? only : std::string_view{});
    const std::optional<std::string> parent = level.sentinel.delta_from;
    chain.levels_.insert(chain.levels_.begin(), std::move(level));
    if (!parent) break;
    name = *parent;
  }
  chain.check_bases();
  return chain;
}

void RestoreChain::load_level(RestoreLevel& level, std::string_view only) {
  load_manifest(level);
  if (!only.empty()) choose(level, only);
  load_stop_of_wal_e(level);
  load_files(level);
  if (level.sentinel.is_delta() && !level.files) {
    throw Error(Errc::incomplete,
                fmt::format("delta {} cannot be restored: without the files that {} should list nobody "
                            "knows which of them are increments",
                            level.name, archive::files_metadata_object(level.name)));
  }
  load_parts(level);
  check_parts(level);
}

/// And holds the sentinel against it, which has been read before.
void RestoreChain::load_manifest(RestoreLevel& level) const {
  const std::string manifest = repository_.key(archive::manifest_object(level.name));
  const auto source = repository_.store->try_open(manifest, {}, run_.stop);
  if (source == nullptr) return;
  level.manifest = archive::read_manifest(*source, manifest);
  if (!level.manifest->sentinel) return;
  const std::string sentinel = archive::sentinel_object(level.name);
  const auto text = pipeline::try_get(repository_, sentinel, run_.stop);
  check_digest(repository_.key(sentinel), digest_of(bytes_of(text.value_or(""))), *level.manifest->sentinel);
}

/// Reads files_metadata.json, or the sentinel that has its lists, to the end.
void RestoreChain::read_lists(const RestoreLevel& level, Source& source,
                              const archive::FilesMetadataEvents& events) const {
  std::optional<Digest> recorded;
  if (level.manifest && level.lists_key == repository_.key(archive::files_metadata_object(level.name))) {
    for (const archive::ManifestObject& object : level.manifest->objects) {
      if (object.name == "files_metadata.json") recorded = object.digest;
    }
  }
  DigestedSource digested(source);
  try {
    archive::read_files_metadata(digested, level.lists_key, events);
  } catch (const Error&) {  // what cannot be understood was changed, if its digest says so
    if (recorded) check_digest(level.lists_key, digested.rest(), *recorded);
    throw;
  }
  if (recorded) check_digest(level.lists_key, digested.digest(), *recorded);
}

/// WAL-E's backup of a cluster that was shut down ends where it starts.
void RestoreChain::load_stop_of_wal_e(RestoreLevel& level) const {
  const auto start = archive::parse_wal_e_name(level.name);
  if (!start) return;
  const std::string name = archive::sentinel_object(level.name);
  const auto text = pipeline::try_get(repository_, name, run_.stop);
  if (!text) return;
  const archive::WalEStop stop = archive::parse_wal_e_stop(*text, repository_.key(name));
  level.needs_label = !stop.is_start(*start);
  level.wal_e_bytes = parse_int<std::uint64_t>(stop.expanded_bytes);
}

/// Null if the backup came without lists.
std::unique_ptr<Source> RestoreChain::open_lists(RestoreLevel& level) const {
  if (level.sentinel.files_metadata_disabled) return nullptr;
  level.lists_key = repository_.key(archive::files_metadata_object(level.name));
  if (auto source = repository_.store->try_open(level.lists_key, {}, run_.stop)) return source;
  if (!level.sentinel.has_files) return nullptr;
  // WAL-G's first form of the sentinel carried the lists itself.
  level.lists_key = repository_.key(archive::sentinel_object(level.name));
  return repository_.store->try_open(level.lists_key, {}, run_.stop);
}

/// --restore-only, by the lists of the newest backup alone: an older one may know a file by another table's name.
void RestoreChain::choose(RestoreLevel& level, std::string_view only) {
  RestoreOnly chosen(only);
  if (const std::unique_ptr<Source> source = open_lists(level)) {
    archive::FilesMetadataEvents events;
    events.relation = [&](const archive::RelationEntry& relation) { chosen.relation(relation); };
    events.database = [&](std::string_view name, std::uint32_t oid) { chosen.database(name, oid); };
    read_lists(level, *source, events);
  }
  if (!chosen.seal()) {
    throw Error(Errc::incomplete,
                fmt::format("--restore-only cannot choose from backup {}: {} does not list its databases, and without "
                            "their catalogues no server could use what would be restored; restore all of it",
                            level.name, archive::files_metadata_object(level.name)));
  }
  for (const RestoreOnly::Unmatched& key : chosen.unmatched()) {
    run_.log.warning("--restore-only {} matches nothing in backup {}{}", key.key, level.name,
                     key.nearest.empty() ? "" : fmt::format("; did you mean {}?", key.nearest));
  }
  if (chosen.names_relations()) {
    run_.log.warning(
        "--restore-only brings the relations that are named; indexes and TOAST tables (pg_toast.pg_toast_N) "
        "are relations of their own");
  }
  filter_.only = std::move(chosen);
}

void RestoreChain::load_files(RestoreLevel& level) {
  const std::unique_ptr<Source> source = open_lists(level);
  if (source == nullptr) {
    if (!level.sentinel.files_metadata_disabled && !is_wal_e_name(level.name)) {
      run_.log.warning("{} is not there: everything in the backup's parts is restored", level.lists_key);
    }
    return;
  }
  MemberSet files;
  bool any = false;
  const bool delta = level.sentinel.is_delta();
  archive::FilesMetadataEvents events;
  events.file = [&](const archive::FileEntry& entry) {
    any = true;
    const std::string_view relative = without_root(entry.name);
    if (is_utility(relative) || !filter_.wants(relative)) return;
    std::uint8_t flags = 0;
    if (delta && entry.is_incremented) flags |= MemberSet::incremented;
    if (delta && entry.is_skipped) flags |= MemberSet::skipped;
    files.add(entry.name, flags);
  };
  events.part = [&](std::string_view part) {
    if (!part.empty()) level.listed_parts.emplace(part);
  };
  read_lists(level, *source, events);
  files.seal();
  if (any) level.files = std::move(files);
}

void RestoreChain::load_parts(RestoreLevel& level) {
  repository_.store->list(
      {.prefix = repository_.key(archive::parts_folder(level.name))},
      [&](const storage::ObjectInfo& object) {
        // Consoles of object stores leave empty objects for folders, and WAL-G looks no deeper than this one.
        const std::string_view file = file_of(level, object);
        if (!file.empty() && file.find('/') == std::string_view::npos) level.parts.push_back(object);
        return true;
      },
      run_.stop);
  if (is_wal_e_name(level.name)) check_volumes(level);
  // Largest first: otherwise one straggler keeps the other workers idle at the end.
  std::stable_sort(level.parts.begin(), level.parts.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  // Of ours an object too many is an error: they say what belongs to them.
  if (!level.manifest && !level.listed_parts.empty()) drop_leftovers(level);
}

bool RestoreChain::listed_parts_bring_everything(RestoreLevel& level) {
  const std::unique_ptr<Source> source = repository_.store->try_open(level.lists_key, {}, run_.stop);
  if (source == nullptr || !level.files) return false;
  archive::FilesMetadataEvents events;
  events.part_file = [&](std::string_view, std::string_view name) { level.files->mark(name, MemberSet::in_a_part); };
  read_lists(level, *source, events);
  return level.files->count([](MemberSet::Key, std::uint8_t flags) {
    return (flags & (MemberSet::in_a_part | MemberSet::skipped)) == 0;
  }) == 0;
}

void RestoreChain::drop_leftovers(RestoreLevel& level) {
  std::set<std::string_view> stems;    // of the parts that are listed, and there
  std::set<std::string_view> endings;  // of their codecs
  for (const storage::ObjectInfo& part : level.parts) {
    const auto listed = level.listed_parts.find(file_of(level, part));
    if (listed == level.listed_parts.end()) continue;
    const std::string_view stem = stem_of(*listed);
    stems.insert(stem);
    // Copied parts keep their codec, which may be another one.
    if (!stem.starts_with("copy_")) endings.insert(std::string_view(*listed).substr(stem.size()));
  }
  std::optional<bool> listed_are_enough;
  const auto is_left_over = [&](const storage::ObjectInfo& part) {
    const std::string_view file = file_of(level, part);
    if (level.listed_parts.contains(file)) return false;
    pipeline::codec_of_key(part.key);  // what no attempt stores is refused
    const std::string_view stem = stem_of(file);
    if (stems.contains(stem)) return true;
    if (stem == archive::control_part) {  // never listed; one attempt has one codec
      return endings.size() == 1 && !endings.contains(file.substr(stem.size()));
    }
    if (stem == archive::label_part) return false;
    if (!listed_are_enough) listed_are_enough = listed_parts_bring_everything(level);
    return *listed_are_enough;
  };
  std::erase_if(level.parts, [&](const storage::ObjectInfo& part) {
    if (!is_left_over(part)) return false;
    run_.log.warning("{} is left over from another attempt to take {} and is passed over: its lists do not name it",
                     part.key, level.name);
    return true;
  });
}

bool RestoreChain::may_be_left_over(const RestoreLevel& level, const storage::ObjectInfo& part) const noexcept {
  return !level.manifest && level.listed_parts.empty() && part.modified < level.sentinel.start_time;
}

/// WAL-E passes over what else lies among its volumes, and over a volume that is lost as well.
void RestoreChain::check_volumes(RestoreLevel& level) const {
  std::vector<std::uint32_t> numbers;
  std::erase_if(level.parts, [&](const storage::ObjectInfo& object) {
    const auto number = archive::wal_e_part_number(file_of(level, object));
    if (number) {
      numbers.push_back(*number);
    } else {
      run_.log.warning("{} is no volume of the backup, and is left alone", object.key);
    }
    return !number;
  });
  const std::vector<std::uint64_t> missing = archive::wal_e_missing_parts(numbers);
  if (missing.empty()) return;
  throw Error(Errc::incomplete,
              fmt::format("backup {} is not whole: {}{} is missing{}", level.name,
                          repository_.key(archive::parts_folder(level.name)),
                          archive::wal_e_part_name(static_cast<unsigned>(missing.front())),
                          missing.size() > 1 ? fmt::format(", and {} more", missing.size() - 1) : ""));
}

std::string_view RestoreChain::file_of(const RestoreLevel& level, const storage::ObjectInfo& part) const {
  return std::string_view(part.key).substr(repository_.key(archive::parts_folder(level.name)).size());
}

/// Everything that can be known to be missing is said before a byte is written.
void RestoreChain::check_parts(RestoreLevel& level) const {
  const std::string folder = repository_.key(archive::parts_folder(level.name));
  if (level.parts.empty()) {
    throw Error(Errc::incomplete, fmt::format("backup {} has a sentinel but no parts under {}", level.name, folder));
  }
  const auto present = [&](std::string_view stem) {
    return std::any_of(level.parts.begin(), level.parts.end(),
                       [&](const storage::ObjectInfo& part) { return file_of(level, part).starts_with(stem); });
  };
  for (const storage::ObjectInfo& part : level.parts) {
    pipeline::codec_of_key(part.key);
    if (part.bytes == 0) throw Error(Errc::corrupt, fmt::format("{} is empty: what it held is lost", part.key));
    manifest_of(level, part);
  }
  level.has_control_part = present(archive::control_part);
  if (!level.has_control_part && (level.sentinel.is_delta() || !is_wal_e_name(level.name))) {
    throw Error(Errc::incomplete,
                fmt::format("backup {} is not whole: {}{} is missing", level.name, folder, archive::control_part));
  }
  for (const std::string& part : level.listed_parts) {
    if (!present(part)) {
      throw Error(Errc::incomplete, fmt::format("backup {} is not whole: {}{} is missing", level.name, folder, part));
    }
  }
  if (level.manifest) check_manifest(level);
}

void RestoreChain::check_manifest(const RestoreLevel& level) const {
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

const archive::ManifestObject* RestoreChain::manifest_of(const RestoreLevel& level,
                                                         const storage::ObjectInfo& part) const {
  if (!level.manifest) return nullptr;
  for (const archive::ManifestObject& object : level.manifest->objects) {
    if (part.key.ends_with(level.name + "/" + object.name)) return &object;
  }
  throw Error(Errc::corrupt,
              fmt::format("{} lies among the parts of backup {} but does not belong to it", part.key, level.name));
}

bool RestoreChain::asked_for(std::size_t index, MemberSet::Key file) const noexcept {
  for (std::size_t above = index + 1; above < levels_.size(); ++above) {
    if (!needs_parent(levels_[above].files->find(file).value_or(0))) return false;
  }
  return true;
}

/// What a delta leaves to its parent the parent must list.
void RestoreChain::check_bases() const {
  for (std::size_t index = 1; index < levels_.size(); ++index) {
    const RestoreLevel& level = levels_[index];
    const RestoreLevel& parent = levels_[index - 1];
    if (!parent.files) continue;  // nobody knows what it has; check_complete() will see
    const auto lost = [&](MemberSet::Key file, std::uint8_t flags) {
      return needs_parent(flags) && asked_for(index, file) && !parent.files->find(file);
    };
    const std::size_t count = level.files->count(lost);
    if (count == 0) continue;
    throw Error(Errc::incomplete,
                fmt::format("backup {} cannot be restored: {} of its files are increments of, or unchanged since, "
                            "files that {} does not have, {} among them",
                            level.name, count, parent.name, first_of(level, lost)));
  }
}

std::string RestoreChain::first_of(const RestoreLevel& level,
                                   const std::function<bool(MemberSet::Key, std::uint8_t)>& wanted) const {
  std::string first = "?";
  const std::unique_ptr<Source> source = repository_.store->try_open(level.lists_key, {}, run_.stop);
  if (source == nullptr) return first;
  archive::FilesMetadataEvents events;
  events.file = [&](const archive::FileEntry& entry) {
    const MemberSet::Key file = MemberSet::key_of(entry.name);
    const auto flags = level.files->find(file);
    if (first == "?" && flags && wanted(file, *flags)) first = entry.name;
  };
  read_lists(level, *source, events);
  return first;
}

void RestoreChain::check_brought(std::size_t index, bool backwards) const {
  const RestoreLevel& level = levels_[index];
  if (!level.files) return;
  const auto missing = [&](MemberSet::Key file, std::uint8_t flags) {
    if ((flags & (MemberSet::restored | MemberSet::skipped)) != 0 || !asked_for(index, file)) return false;
    return !backwards || !levels_.back().files->has(file, MemberSet::complete);
  };
  const std::size_t count = level.files->count(missing);
  if (count == 0) return;
  throw Error(Errc::incomplete,
              fmt::format("{} of the files that backup {} lists are in none of its parts, {} among them", count,
                          level.name, first_of(level, missing)));
}

void RestoreChain::check_complete() const {
  const RestoreLevel& newest = levels_.back();
  if (!newest.files) return;
  const auto missing = [](MemberSet::Key, std::uint8_t flags) { return (flags & MemberSet::complete) == 0; };
  const std::size_t count = newest.files->count(missing);
  if (count == 0) return;
  throw Error(Errc::incomplete,
              fmt::format("{} of the files that backup {} lists did not come, {} among them: {}", count, newest.name,
                          first_of(newest, missing),
                          levels_.size() == 1 ? "no part has them"
                                              : "the backups that it stands on, " + levels_.front().name +
                                                    " the oldest, do not have what it leaves to them"));
}

std::set<std::string, std::less<>> RestoreChain::useful_parts(std::size_t index) const {
  const RestoreLevel& level = levels_[index];
  std::set<std::string, std::less<>> useful;
  for (const storage::ObjectInfo& part : level.parts) {
    if (const std::string_view file = file_of(level, part); !level.listed_parts.contains(file)) useful.emplace(file);
  }
  const std::unique_ptr<Source> source =
      level.files ? repository_.store->try_open(level.lists_key, {}, run_.stop) : nullptr;
  if (source == nullptr) {
    useful.insert(level.listed_parts.begin(), level.listed_parts.end());
    return useful;
  }
  const bool newest = index + 1 == levels_.size();
  const auto wanted = [&](std::string_view name) {
    if (newest && is_utility(without_root(name))) return true;
    const MemberSet::Key file = MemberSet::key_of(name);
    const auto flags = level.files->find(file);
    return flags && (*flags & MemberSet::skipped) == 0 && asked_for(index, file) &&
           !levels_.back().files->has(file, MemberSet::complete);
  };
  archive::FilesMetadataEvents events;
  events.part_file = [&](std::string_view part, std::string_view name) {
    if (!useful.contains(part) && wanted(name)) useful.emplace(part);
  };
  read_lists(level, *source, events);
  return useful;
}

}  // namespace seawall::ops
