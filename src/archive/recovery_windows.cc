#include "archive/recovery_windows.hh"

#include <algorithm>
#include <set>

namespace seawall::archive {
namespace {

/// The segments on the way to one timeline, whichever timeline's file holds them.
class Way {
 public:
  Way(const Catalogue& catalogue, Timeline timeline) : catalogue_(catalogue), timeline_(timeline) {
    const std::uint64_t segment_bytes = catalogue.settings().segment_bytes;
    std::uint64_t from = 0;
    for (const HistoryEntry& ancestor : catalogue.timelines().path(timeline)) {
      // Of the segment in which a switch lies the new timeline's file is read: it begins as a copy of the old one's.
      const std::uint64_t end = ancestor.end.value / segment_bytes;
      if (end > from) add(ancestor.timeline, {from, end - 1});
      from = std::max(from, end);
    }
    add(timeline, {from, no_last});
  }

  const NumberRanges& segments() const noexcept { return segments_; }

  bool holds(const Backup& backup) const {
    if (!backup.wal || !backup.restorable) return false;
    if (backup.wal->timeline == timeline_) return true;
    const std::vector<HistoryEntry>& path = catalogue_.timelines().path(timeline_);
    return std::any_of(path.begin(), path.end(), [&](const HistoryEntry& ancestor) {
      return ancestor.timeline == backup.wal->timeline && backup.wal->reach <= ancestor.end;
    });
  }

  Timeline timeline_of(std::uint64_t number) const {
    for (const auto& [timeline, numbers] : pieces_) {
      if (numbers.first <= number && number <= numbers.last) return timeline;
    }
    return timeline_;
  }

 private:
  void add(Timeline timeline, NumberRange numbers) {
    pieces_.emplace_back(timeline, numbers);
    const TimelineWal* wal = catalogue_.wal().timeline(timeline);
    if (wal == nullptr) return;
    NumberRanges piece;
    piece.add(numbers);
    const NumberRanges common = wal->usable.common(piece);
    for (const NumberRange& range : common.all()) segments_.add(range);
  }

  const Catalogue& catalogue_;
  Timeline timeline_;
  std::vector<std::pair<Timeline, NumberRange>> pieces_;
  NumberRanges segments_;
};

std::vector<std::size_t> backups_on(const Catalogue& catalogue, const Way& way, std::optional<std::uint64_t> system) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < catalogue.backups().size(); ++i) {
    const Backup& backup = catalogue.backups()[i];
    if (backup.system_identifier() == system && way.holds(backup)) found.push_back(i);
  }
  std::stable_sort(found.begin(), found.end(), [&](std::size_t a, std::size_t b) {
    return catalogue.backups()[a].wal->reach < catalogue.backups()[b].wal->reach;
  });
  return found;
}

TimelineWindows windows_of(const Catalogue& catalogue, std::optional<std::uint64_t> system, Timeline timeline) {
  TimelineWindows result{.system = system, .timeline = timeline, .windows = {}};
  const Way way(catalogue, timeline);
  const std::vector<std::size_t> backups = backups_on(catalogue, way, system);
  const auto ranges = way.segments().all();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    RecoveryWindow window;
    for (const std::size_t backup : backups) {
      const BackupWal& wal = *catalogue.backups()[backup].wal;
      const std::uint64_t last = wal.last == no_last ? wal.first : wal.last;
      if (ranges[i].first <= wal.first && last <= ranges[i].last) window.backups.push_back(backup);
    }
    if (window.backups.empty()) continue;
    window.from = catalogue.backups()[window.backups.front()].finish_time();
    window.last = {way.timeline_of(ranges[i].last), ranges[i].last};
    window.until = catalogue.wal().stored_by(window.last.timeline, window.last.number);
    if (i + 1 < ranges.size()) window.gap = NumberRange{ranges[i].last + 1, ranges[i + 1].first - 1};
    result.windows.push_back(std::move(window));
  }
  return result;
}

}  // namespace

std::vector<TimelineWindows> recovery_windows(const Catalogue& catalogue) {
  std::set<std::optional<std::uint64_t>> systems;
  std::set<Timeline> timelines;
  for (const Backup& backup : catalogue.backups()) {
    if (!backup.wal || !backup.sentinel) continue;
    systems.insert(backup.system_identifier());
    timelines.insert(backup.wal->timeline);
  }
  for (const auto& [timeline, wal] : catalogue.wal().timelines()) timelines.insert(timeline);
  std::vector<TimelineWindows> all;
  for (const auto& system : systems) {
    for (const Timeline timeline : timelines) {
      TimelineWindows windows = windows_of(catalogue, system, timeline);
      if (!windows.windows.empty()) all.push_back(std::move(windows));
    }
  }
  return all;
}

}  // namespace seawall::archive
