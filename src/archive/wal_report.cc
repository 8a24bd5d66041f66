#include "archive/wal_report.hh"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "base/error.hh"

namespace seawall::archive {
namespace {

Lsn start_of(const Backup& backup) {
  if (backup.metadata && backup.metadata->start_lsn) return *backup.metadata->start_lsn;
  return backup.sentinel ? backup.sentinel->start_lsn.value_or(Lsn{}) : Lsn{};
}

Lsn finish_of(const Backup& backup) {
  if (backup.metadata && backup.metadata->finish_lsn) return *backup.metadata->finish_lsn;
  return backup.sentinel ? backup.sentinel->finish_lsn.value_or(Lsn{}) : Lsn{};
}

/// The switches on the way to the current timeline, as its history tells them.
class Switches {
 public:
  Switches(const Catalogue& catalogue, Timeline current)
      : current_(current), segment_bytes_(catalogue.settings().segment_bytes) {
    // As they stand in the file: raised LSNs are not lowered here, for WAL-G does not.
    for (const HistoryEntry& entry : catalogue.timelines().rows(current)) {
      const std::uint64_t number = entry.end.value / segment_bytes_;
      by_number_[number] = entry.timeline;
      by_timeline_[entry.timeline] = number;
    }
  }

  std::optional<Timeline> left_in(std::uint64_t number) const {
    const auto found = by_number_.find(number);
    if (found == by_number_.end()) return std::nullopt;
    return found->second;
  }

  /// The highest segment not above `number` in which a timeline was left; 0: there is none.
  std::uint64_t highest_up_to(std::uint64_t number) const {
    const auto above = by_number_.upper_bound(number);
    return above == by_number_.begin() ? 0 : std::prev(above)->first;
  }

  /// Empty: it lies on the way. Else why not.
  std::string objection(const Backup& backup) const {
    const Segment& segment = *backup.segment;
    if (by_timeline_.empty()) return {};
    const auto began = by_timeline_.find(segment.timeline - 1);
    if (segment.timeline > 1 && began != by_timeline_.end() && segment.number < began->second) {
      return "it starts before its own timeline does";
    }
    if (segment.timeline == current_) return {};
    const auto ended = by_timeline_.find(segment.timeline);
    if (ended == by_timeline_.end()) {
      return fmt::format("timeline {} is no ancestor of timeline {}", segment.timeline, current_);
    }
    return segment.number >= ended->second ? "it starts after its timeline was left" : "";
  }

 private:
  Timeline current_;
  std::uint64_t segment_bytes_;
  std::map<std::uint64_t, Timeline> by_number_;
  std::map<Timeline, std::uint64_t> by_timeline_;
};

std::optional<std::size_t> backup_to_look_back_to(const Catalogue& catalogue, const IntegrityRequest& request,
                                                  const Switches& switches) {
  const std::vector<Backup>& backups = catalogue.backups();
  if (!request.backup.empty()) {
    const auto found = catalogue.find(request.backup);
    if (!found) throw Error(Errc::not_found, fmt::format("Backup '{}' does not exist.", request.backup));
    const std::string objection =
        backups[*found].segment ? switches.objection(backups[*found]) : "its name says no segment";
    if (objection.empty()) return found;
    throw Error(Errc::foreign, fmt::format("WAL cannot be followed back to {}: {}", request.backup, objection));
  }
  std::optional<std::size_t> earliest;
  for (std::size_t i = 0; i < backups.size(); ++i) {
    const Backup& backup = backups[i];
    if (!backup.segment || backup.permanent || !switches.objection(backup).empty()) continue;
    if (!earliest || backup.segment->number < backups[*earliest].segment->number) earliest = i;
  }
  return earliest;
}

/// Goes back through the segments.
class Walk {
 public:
  Walk(const Catalogue& catalogue, const Switches& switches, Segment current, std::uint64_t stop)
      : catalogue_(catalogue), switches_(switches), at_(current), stop_(stop) {}

  void go(std::uint64_t limit, bool to_first_found, SegmentStatus if_missing) {
    while (limit != 0 && at_.number > stop_) {
      const Segment next = before(at_);
      const bool found = exists(next);
      // What is alike is passed in one step: an LSN may lie billions of segments above the archive.
      const std::uint64_t end = std::max({stop_, alike_since(next), switches_.highest_up_to(next.number)});
      const std::uint64_t steps = found && to_first_found ? 1 : std::min(limit, next.number - end + 1);
      at_ = {next.timeline, next.number - steps + 1};
      note(next.number, found ? SegmentStatus::found : if_missing);
      if (found && to_first_found) return;
      limit -= steps;
    }
  }

  std::vector<SegmentRow> rows() const { return {rows_.rbegin(), rows_.rend()}; }

 private:
  bool exists(Segment segment) const {
    const TimelineWal* wal = catalogue_.wal().timeline(segment.timeline);
    return wal != nullptr && wal->listed.contains(segment.number);
  }

  std::uint64_t alike_since(Segment segment) const {
    const TimelineWal* wal = catalogue_.wal().timeline(segment.timeline);
    return wal == nullptr ? 0 : wal->listed.alike_since(segment.number);
  }

  Segment before(Segment segment) const {
    Segment previous{segment.timeline, segment.number - 1};
    const auto left = switches_.left_in(segment.number);
    // A history may hold switches of a life that was given up by a restore.
    if (left && !exists(previous)) previous.timeline = *left;
    return previous;
  }

  void note(std::uint64_t last, SegmentStatus status) {
    if (!rows_.empty() && rows_.back().timeline == at_.timeline && rows_.back().status == status) {
      rows_.back().numbers.first = at_.number;
    } else {
      rows_.push_back({at_.timeline, {at_.number, last}, status});
    }
  }

  const Catalogue& catalogue_;
  const Switches& switches_;
  Segment at_;
  std::uint64_t stop_;
  std::vector<SegmentRow> rows_;  // newest first
};

CheckStatus status_of(const std::vector<SegmentRow>& rows, bool has_backup) {
  CheckStatus status = CheckStatus::ok;
  bool found = false;
  for (const SegmentRow& row : rows) {
    if (row.status == SegmentStatus::found) {
      found = true;
    } else if (row.status == SegmentStatus::lost && (has_backup || found)) {
      return CheckStatus::failure;
    } else {
      // Without a backup nobody knows where the WAL should begin: what is missing before it was perhaps never there.
      status = CheckStatus::warning;
    }
  }
  return status;
}

}  // namespace

std::string_view name_of(CheckStatus status) noexcept {
  switch (status) {
    case CheckStatus::ok:
      return "OK";
    case CheckStatus::warning:
      return "WARNING";
    case CheckStatus::failure:
      break;
  }
  return "FAILURE";
}

std::string_view name_of(SegmentStatus status) noexcept {
  switch (status) {
    case SegmentStatus::found:
      return "FOUND";
    case SegmentStatus::delayed:
      return "MISSING_DELAYED";
    case SegmentStatus::uploading:
      return "MISSING_UPLOADING";
    case SegmentStatus::lost:
      break;
  }
  return "MISSING_LOST";
}

std::vector<TimelineReport> report_timelines(const Catalogue& catalogue) {
  const std::uint64_t segment_bytes = catalogue.settings().segment_bytes;
  std::vector<TimelineReport> reports;
  for (const auto& [timeline, wal] : catalogue.wal().timelines()) {
    TimelineReport report{.timeline = timeline,
                          .first = wal.listed.first(),
                          .last = wal.listed.last(),
                          .count = wal.listed.count(),
                          .missing = wal.listed.gaps({wal.listed.first(), wal.listed.last()})};
    if (const auto parent = catalogue.timelines().parent(timeline)) {
      report.parent = parent->timeline;
      report.switch_point = parent->end;
    }
    for (std::size_t i = catalogue.backups().size(); i-- > 0;) {
      const Backup& backup = catalogue.backups()[i];
      if (!backup.segment || backup.segment->timeline != timeline) continue;
      if (start_of(backup).value / segment_bytes < report.first) continue;
      if (finish_of(backup).value / segment_bytes <= report.last) report.backups.push_back(i);
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

IntegrityReport check_integrity(const Catalogue& catalogue, const IntegrityRequest& request) {
  const Switches switches(catalogue, request.current.timeline);
  IntegrityReport report;
  report.earliest = backup_to_look_back_to(catalogue, request, switches);
  const std::uint64_t stop = report.earliest ? catalogue.backups()[*report.earliest].segment->number : 1;
  Walk walk(catalogue, switches, request.current, stop);
  walk.go(request.delayed, true, SegmentStatus::delayed);
  walk.go(request.uploading, false, SegmentStatus::uploading);
  walk.go(no_last, false, SegmentStatus::lost);
  report.rows = walk.rows();
  report.status = status_of(report.rows, report.earliest.has_value());
  return report;
}

TimelineCheck check_timeline(const Catalogue& catalogue, Timeline current) {
  TimelineCheck check{.status = CheckStatus::warning, .current = current, .highest = 0};
  for (const auto& [timeline, wal] : catalogue.wal().timelines()) check.highest = std::max(check.highest, timeline);
  for (const HistoryObject& history : catalogue.wal().histories()) {
    check.highest = std::max(check.highest, history.timeline);
  }
  if (check.highest != 0) check.status = current == check.highest ? CheckStatus::ok : CheckStatus::failure;
  return check;
}

}  // namespace seawall::archive
