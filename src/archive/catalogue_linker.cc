#include <fmt/format.h>

#include <algorithm>

#include "archive/detail/catalogue_linker.hh"
#include "archive/layout.hh"
#include "archive/wal_e.hh"

namespace seawall::archive {
namespace {

using Kind = BackupFault::Kind;

/// Servers before 17 name the segment before when the LSN stands exactly on a boundary; the name follows the server.
bool starts_in(std::uint64_t number, Lsn start, std::uint64_t segment_bytes) noexcept {
  const std::uint64_t of_lsn = start.value / segment_bytes;
  return number == of_lsn || (start.value % segment_bytes == 0 && number + 1 == of_lsn);
}

void fault(Backup& backup, Kind kind, std::string text) { backup.faults.push_back({kind, true, std::move(text)}); }

}  // namespace

void CatalogueLinker::link(const CatalogueLoader& loader) {
  find_systems();
  for (std::size_t i = 0; i < catalogue_.backups_.size(); ++i) {
    find_parent(i);
    find_wal(catalogue_.backups_[i]);
  }
  find_other_segment_size();
  if (loader.wal_bytes) look_up_wal(loader.wal_bytes);
  for (Backup& backup : catalogue_.backups_) {
    check_objects(backup);
    check_wal(backup);
  }
  states_.assign(catalogue_.backups_.size(), State::open);
  for (std::size_t i = 0; i < catalogue_.backups_.size(); ++i) check_chain(i);
}

void CatalogueLinker::find_systems() {
  std::vector<std::uint64_t>& systems = catalogue_.systems_;
  for (const Backup& backup : catalogue_.backups_) {
    if (const auto system = backup.system_identifier()) systems.push_back(*system);
  }
  std::sort(systems.begin(), systems.end());
  systems.erase(std::unique(systems.begin(), systems.end()), systems.end());
  // A history file may be any cluster's: the second one to reach a timeline could not store its own.
  if (systems.size() > 1) catalogue_.timelines_.distrust();
}

void CatalogueLinker::find_parent(std::size_t index) {
  Backup& backup = catalogue_.backups_[index];
  if (!backup.is_delta()) return;
  const std::string& name = *backup.sentinel->delta_from;
  const auto parent = catalogue_.find(name);
  if (!parent) {
    fault(backup, Kind::parent_missing, fmt::format("{}, which it stands on, is not there", name));
    return;
  }
  backup.parent = parent;
  Backup& other = catalogue_.backups_[*parent];
  other.children.push_back(index);
  if (!other.sentinel) return;
  const auto mine = backup.system_identifier();
  const auto others = other.system_identifier();
  if (mine && others && mine != others) {
    fault(backup, Kind::parent_differs,
          fmt::format("it was made on a {} of system {}, but the one here is of system {}", name, *mine, *others));
  } else if (other.sentinel->start_lsn != backup.sentinel->delta_lsn) {
    fault(backup, Kind::parent_differs,
          fmt::format("it was made on a {} that began at {}, but the one here began at {}: the name was used again",
                      name, backup.sentinel->delta_lsn.value_or(Lsn{}).text(),
                      other.sentinel->start_lsn.value_or(Lsn{}).text()));
  }
}

void CatalogueLinker::find_wal(Backup& backup) {
  if (!backup.segment) return;
  const std::uint64_t segment_bytes = catalogue_.settings_.segment_bytes;
  BackupWal wal{.timeline = backup.segment->timeline,
                .first = backup.segment->number,
                .last = no_last,
                .reach = backup.segment->start(segment_bytes)};
  if (backup.sentinel && backup.sentinel->start_lsn) {
    const Lsn start = *backup.sentinel->start_lsn;
    if (!starts_in(wal.first, start, segment_bytes)) {
      fault(backup, Kind::name_and_lsn_disagree,
            fmt::format("it began at {}, which is not in the segment of its name", start.text()));
      return;
    }
    wal.reach = start;
    if (const auto finish = backup.sentinel->finish_lsn; finish && *finish >= start && finish->value != 0) {
      wal.reach = *finish;
      wal.last = std::max(wal.first, (finish->value - 1) / segment_bytes);
    }
  }
  backup.wal = wal;
}

/// If every backup that can be asked contradicts the setting, and one size makes all of them right, the setting is
/// wrong and not the backups. Names are read anew: with another size they are other numbers.
void CatalogueLinker::find_other_segment_size() {
  const auto asked = [](const Backup& backup) {
    return is_backup_name(backup.name) && backup.sentinel && backup.sentinel->start_lsn;
  };
  const auto agrees = [&](const Backup& backup, std::uint64_t segment_bytes) {
    const auto segment = parse_segment(segment_name_of_backup(backup.name), segment_bytes);
    return segment && starts_in(segment->number, *backup.sentinel->start_lsn, segment_bytes);
  };
  const std::vector<Backup>& backups = catalogue_.backups_;
  const auto each = [&](std::uint64_t segment_bytes) {
    return std::all_of(backups.begin(), backups.end(),
                       [&](const Backup& backup) { return !asked(backup) || agrees(backup, segment_bytes); });
  };
  const bool any_agrees = std::any_of(backups.begin(), backups.end(), [&](const Backup& backup) {
    return asked(backup) && agrees(backup, catalogue_.settings_.segment_bytes);
  });
  if (any_agrees || std::none_of(backups.begin(), backups.end(), asked)) return;
  for (std::uint64_t bytes = std::uint64_t{1} << 20; bytes <= std::uint64_t{1} << 30; bytes <<= 1) {
    if (each(bytes)) {
      catalogue_.other_segment_bytes_ = bytes;
      return;
    }
  }
}

void CatalogueLinker::check_objects(Backup& backup) {
  const BackupFolder& folder = backup.folder;
  const std::string at = fmt::format("{}{}/", backups_folder, backup.name);
  if (folder.parts() == 0) {
    fault(backup, Kind::no_parts, fmt::format("nothing is under {}tar_partitions/", at));
    return;
  }
  const bool of_wal_e = parse_wal_e_name(backup.name).has_value();
  if (const auto missing = folder.missing_parts(); !missing.empty()) {
    const auto first = static_cast<unsigned>(missing.front());
    fault(backup, Kind::part_missing,
          fmt::format("{}tar_partitions/ lacks {}{}", at, of_wal_e ? wal_e_part_name(first) : part_name(first),
                      missing.size() > 1 ? fmt::format(" and {} more", missing.size() - 1) : ""));
  }
  for (const std::string& name : folder.empty_objects()) {
    fault(backup, Kind::part_empty, fmt::format("{}{} is empty: what it held is lost", at, name));
  }
  // WAL-E keeps pg_control in an ordinary part and lists no files.
  if (!of_wal_e && !folder.has_part(control_part)) {
    fault(backup, Kind::control_missing, fmt::format("{}tar_partitions/{} is missing", at, control_part));
  }
  if (!of_wal_e && backup.sentinel && !folder.has("files_metadata.json") &&
      (backup.is_delta() || !(backup.sentinel->files_metadata_disabled || backup.sentinel->has_files))) {
    backup.faults.push_back({Kind::file_list_missing, backup.is_delta(), at + "files_metadata.json is missing"});
  }
}

/// Sizes that decide whether a backup restores must be known, whatever the listing left out.
void CatalogueLinker::look_up_wal(const WalListing::SizeOf& size_of) {
  for (const Backup& backup : catalogue_.backups_) {
    if (!backup.wal || backup.wal->last == no_last) continue;
    catalogue_.wal_.look_up(backup.wal->timeline, {backup.wal->first, backup.wal->last}, size_of);
  }
  catalogue_.wal_.settle();
}

void CatalogueLinker::check_wal(Backup& backup) {
  // Without a single segment the WAL is kept elsewhere, and nothing can be said.
  if (!backup.wal || backup.wal->last == no_last || catalogue_.wal_.timelines().empty()) return;
  const BackupWal& need = *backup.wal;
  const TimelineWal* wal = catalogue_.wal_.timeline(need.timeline);
  const std::vector<NumberRange> gaps =
      wal == nullptr ? std::vector<NumberRange>{{need.first, need.last}} : wal->usable.gaps({need.first, need.last});
  if (gaps.empty()) return;
  std::uint64_t lost = 0;
  for (const NumberRange& gap : gaps) lost += gap.count();
  fault(backup, Kind::wal_missing,
        fmt::format("{}{} is missing{}: without it the backup cannot become consistent", wal_folder,
                    Segment{need.timeline, gaps.front().first}.name(catalogue_.settings_.segment_bytes),
                    lost > 1 ? fmt::format(", and {} more", lost - 1) : ""));
}

/// Parents first. `restorable` is final once a backup is done.
void CatalogueLinker::check_chain(std::size_t index) {
  std::vector<std::size_t> chain{index};
  while (true) {
    const std::size_t at = chain.back();
    states_[at] = State::busy;
    const auto parent = catalogue_.backups_[at].parent;
    if (!parent || states_[*parent] == State::done) break;
    if (states_[*parent] == State::busy) {
      fault(catalogue_.backups_[at], Kind::parents_form_circle, "the backups that it stands on form a circle");
      break;
    }
    chain.push_back(*parent);
  }
  for (; !chain.empty(); chain.pop_back()) {
    Backup& backup = catalogue_.backups_[chain.back()];
    states_[chain.back()] = State::done;
    if (backup.parent && !catalogue_.backups_[*backup.parent].restorable) {
      const Backup& parent = catalogue_.backups_[*backup.parent];
      const bool by_wal_only = std::all_of(parent.faults.begin(), parent.faults.end(), [](const BackupFault& f) {
        return !f.damages || f.kind == Kind::wal_missing;
      });
      // A delta brings its own WAL: a parent that only lacks its own serves it well.
      if (!by_wal_only)
        fault(backup, Kind::parent_damaged, fmt::format("{}, which it stands on, is damaged", parent.name));
    }
    backup.restorable = backup.sentinel && std::none_of(backup.faults.begin(), backup.faults.end(),
                                                        [](const BackupFault& f) { return f.damages; });
  }
}

}  // namespace seawall::archive
