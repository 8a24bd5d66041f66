#include "archive/catalogue.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/detail/catalogue_linker.hh"
#include "archive/layout.hh"
#include "archive/wal_e.hh"
#include "base/error.hh"

namespace seawall::archive {
namespace {

constexpr std::string_view storage_probe = "wal-g_storage_check";

std::optional<Segment> segment_of_name(std::string_view backup, std::uint64_t segment_bytes) {
  if (!is_backup_name(backup)) return std::nullopt;
  const auto segment = parse_segment(segment_name_of_backup(backup), segment_bytes);
  return segment && segment->timeline != 0 ? segment : std::nullopt;
}

/// Reads both documents of a backup. A document that is no document is a fault of the backup, not of the run.
void load_documents(Backup& backup, const CatalogueLoader& loader) {
  const std::string key = sentinel_object(backup.name);
  try {
    if (const auto text = loader.sentinel(backup.name)) {
      backup.sentinel = parse_sentinel(*text, key);
    } else {
      backup.faults.push_back({BackupFault::Kind::sentinel_unreadable, true, key + " is gone since it was listed"});
    }
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    backup.faults.push_back({BackupFault::Kind::sentinel_unreadable, true, error.what()});
  }
  const std::string metadata_key = metadata_object(backup.name);
  try {
    if (const auto text = loader.metadata(backup.name)) {
      backup.metadata = parse_metadata(*text, metadata_key);
    } else if (!parse_wal_e_name(backup.name)) {  // WAL-E writes none
      backup.faults.push_back({BackupFault::Kind::metadata_missing, false, metadata_key + " is missing"});
    }
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    backup.permanence_known = false;
    backup.faults.push_back({BackupFault::Kind::metadata_unreadable, false, error.what()});
  }
  // backup-mark changes metadata.json only; the sentinel says what was meant when the backup was made.
  backup.permanent = backup.metadata ? backup.metadata->is_permanent : backup.sentinel && backup.sentinel->is_permanent;
}

}  // namespace

std::string_view name_of(BackupFault::Kind kind) noexcept {
  using Kind = BackupFault::Kind;
  switch (kind) {
    case Kind::sentinel_unreadable:
      return "sentinel_unreadable";
    case Kind::metadata_missing:
      return "metadata_missing";
    case Kind::metadata_unreadable:
      return "metadata_unreadable";
    case Kind::name_and_lsn_disagree:
      return "name_and_lsn_disagree";
    case Kind::no_parts:
      return "no_parts";
    case Kind::part_missing:
      return "part_missing";
    case Kind::part_empty:
      return "part_empty";
    case Kind::control_missing:
      return "control_missing";
    case Kind::file_list_missing:
      return "file_list_missing";
    case Kind::parent_missing:
      return "parent_missing";
    case Kind::parent_damaged:
      return "parent_damaged";
    case Kind::parent_differs:
      return "parent_differs";
    case Kind::parents_form_circle:
      return "parents_form_circle";
    case Kind::wal_missing:
      return "wal_missing";
  }
  return "unknown";
}

std::optional<std::uint64_t> Backup::system_identifier() const noexcept {
  if (sentinel && sentinel->system_identifier) return sentinel->system_identifier;
  return metadata ? metadata->system_identifier : std::nullopt;
}

Time Backup::start_time() const noexcept {
  if (metadata && metadata->start_time != Time{}) return metadata->start_time;
  return sentinel ? sentinel->start_time : Time{};
}

Time Backup::finish_time() const noexcept {
  if (metadata && metadata->finish_time != Time{}) return metadata->finish_time;
  return sentinel && sentinel->finish_time != Time{} ? sentinel->finish_time : modified;
}

std::string_view Backup::user_data_json() const noexcept {
  if (metadata) return metadata->user_data_json;
  return sentinel ? std::string_view(sentinel->user_data_json) : std::string_view();
}

Catalogue::Catalogue(const CatalogueSettings& settings) : settings_(settings), wal_(settings.segment_bytes) {
  if (!is_segment_size(settings.segment_bytes)) {
    throw Error(Errc::config, fmt::format("{} bytes is no size of WAL segments", settings.segment_bytes));
  }
}

void Catalogue::add(const ListedObject& object) {
  std::string_view key = object.key;
  if (key.starts_with(wal_folder)) {
    if (!wal_.add(key.substr(wal_folder.size()), object.bytes, object.modified)) add_foreign(object);
  } else if (key.starts_with(backups_folder)) {
    add_to_backups(key.substr(backups_folder.size()), object);
  } else if (key.starts_with("catchup_005/") || key.starts_with("seawall_005/") || key == storage_probe) {
    others_.push_back({std::string(key), object.bytes.value()});
  } else {
    add_foreign(object);
  }
}

void Catalogue::add_to_backups(std::string_view rest, const ListedObject& object) {
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    folder(rest.substr(0, slash)).add(rest.substr(slash + 1), object.bytes.value(), object.modified);
  } else if (auto name = backup_of_sentinel(rest)) {
    Backup backup;
    backup.name = std::move(*name);
    backup.modified = object.modified;
    backup.sentinel_bytes = object.bytes.value();
    backups_.push_back(std::move(backup));
  } else {
    add_foreign(object);
  }
}

void Catalogue::add_foreign(const ListedObject& object) {
  constexpr std::size_t most_examples = 20;
  ++foreign_.objects;
  foreign_.bytes += object.bytes.value_or(0);
  if (foreign_.examples.size() < most_examples) foreign_.examples.emplace_back(object.key);
}

BackupFolder& Catalogue::folder(std::string_view name) {
  if (last_folder_ == nullptr || last_folder_->first != name) {
    auto found = folders_.find(name);
    if (found == folders_.end()) found = folders_.emplace(std::string(name), BackupFolder()).first;
    last_folder_ = &*found;
  }
  return last_folder_->second;
}

void Catalogue::sort_backups() {
  std::sort(backups_.begin(), backups_.end(), [](const Backup& a, const Backup& b) {
    return a.modified != b.modified ? a.modified < b.modified : a.name < b.name;
  });
  for (std::size_t i = 0; i < backups_.size(); ++i) {
    Backup& backup = backups_[i];
    names_.emplace(backup.name, i);
    backup.segment = segment_of_name(backup.name, settings_.segment_bytes);
    const auto found = folders_.find(backup.name);
    if (found == folders_.end()) continue;
    backup.folder = std::move(found->second);
    folders_.erase(found);
  }
  for (auto& [name, folder] : folders_) {
    if (!is_backup_name(name)) {
      folder.visit([&, &name = name](const std::string& object) {
        add_foreign({.key = fmt::format("{}{}/{}", backups_folder, name, object), .bytes = 0, .modified = {}});
      });
      foreign_.bytes += folder.bytes();
      continue;
    }
    const bool young = folder.newest() > settings_.now - settings_.in_flight_for;
    unfinished_.push_back({.name = name,
                           .folder = std::move(folder),
                           .segment = segment_of_name(name, settings_.segment_bytes),
                           .in_flight = young});
  }
  folders_.clear();
  last_folder_ = nullptr;
}

void Catalogue::load_histories(const CatalogueLoader& loader) {
  Timeline last = 0;
  for (const HistoryObject& history : wal_.histories()) {
    if (history.timeline == last || history.name.ends_with(".json")) continue;
    last = history.timeline;
    try {
      const auto text = loader.history(history.timeline);
      auto entries = text ? parse_history(*text, history_name(history.timeline)) : std::vector<HistoryEntry>();
      if (entries.empty()) {
        complaints_.push_back(
            fmt::format("{}{} does not say where timeline {} began", wal_folder, history.name, history.timeline));
      }
      timelines_.add(history.timeline, std::move(entries));
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      complaints_.push_back(fmt::format("{}{}", wal_folder, error.what()));
    }
  }
}

void Catalogue::load(const CatalogueLoader& loader) {
  wal_.settle();
  sort_backups();
  load_histories(loader);
  for (Backup& backup : backups_) load_documents(backup, loader);
  std::sort(foreign_.examples.begin(), foreign_.examples.end());  // folders may have been listed side by side
  CatalogueLinker(*this).link(loader);
}

std::optional<std::size_t> Catalogue::find(std::string_view name) const noexcept {
  const auto found = names_.find(name);
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::size_t> Catalogue::ancestors(std::size_t backup) const {
  std::vector<std::size_t> chain;
  for (auto parent = backups_[backup].parent; parent; parent = backups_[*parent].parent) {
    if (*parent == backup || std::find(chain.begin(), chain.end(), *parent) != chain.end()) break;
    chain.push_back(*parent);
  }
  return chain;
}

std::vector<std::size_t> Catalogue::descendants(std::size_t backup) const {
  std::vector<std::size_t> found;
  std::vector<bool> seen(backups_.size());
  seen[backup] = true;
  const auto visit = [&](std::size_t of) {
    for (const std::size_t child : backups_[of].children) {
      if (!seen[child]) found.push_back(child);
      seen[child] = true;
    }
  };
  visit(backup);
  for (std::size_t i = 0; i < found.size(); ++i) visit(found[i]);
  return found;
}

std::vector<std::size_t> Catalogue::parents_by_name(std::string_view delta) const {
  std::vector<std::size_t> parents;
  const std::size_t mark = delta.find("_D_");
  if (mark == std::string_view::npos) return parents;
  const std::string_view segment = delta.substr(mark + 3, 24);
  for (std::size_t i = 0; i < backups_.size(); ++i) {
    if (backups_[i].name != delta && segment_name_of_backup(backups_[i].name) == segment) parents.push_back(i);
  }
  return parents;
}

std::size_t Catalogue::base_of(std::size_t backup) const {
  std::size_t at = backup;
  for (std::size_t steps = 0; !backups_[at].sentinel || backups_[at].is_delta(); ++steps) {
    std::string why;
    for (const BackupFault& fault : backups_[at].faults) {
      using Kind = BackupFault::Kind;
      const bool breaks = fault.kind == Kind::parent_missing || fault.kind == Kind::parent_differs ||
                          fault.kind == Kind::sentinel_unreadable;
      if (breaks) why = fault.text;
    }
    if (steps > backups_.size()) why = "the backups that it stands on form a circle";
    if (!why.empty()) {
      throw Error(Errc::incomplete, fmt::format("the full backup that {} stands on is not known: of {}, {}",
                                                backups_[backup].name, backups_[at].name, why));
    }
    at = *backups_[at].parent;
  }
  return at;
}

void Catalogue::require_segment_size() const {
  if (!other_segment_bytes_) return;
  throw Error(Errc::config,
              fmt::format("the backups were made with WAL segments of {} MiB, but WALG_PG_WAL_SIZE says {}: no segment "
                          "can be told from another by its number; set WALG_PG_WAL_SIZE={}",
                          *other_segment_bytes_ >> 20, settings_.segment_bytes >> 20, *other_segment_bytes_ >> 20));
}

}  // namespace seawall::archive
