#pragma once

#include <map>
#include <optional>
#include <vector>

#include "archive/wal_name.hh"

namespace seawall::archive {

/// How the timelines of an archive stem from each other, as far as history files say it.
class TimelineTree {
 public:
  /// `entries` as parse_history gives them; an empty list says that nothing is known.
  void add(Timeline timeline, std::vector<HistoryEntry> entries);
  /// Histories of several clusters lie in one folder: what a number stands for is not known.
  void distrust() noexcept { distrusted_ = true; }

  bool known(Timeline timeline) const noexcept { return timeline == 1 || paths_.contains(timeline); }
  /// Where it branched off: the last row of its history. Nothing for the first timeline or an unknown one.
  std::optional<HistoryEntry> parent(Timeline timeline) const noexcept;
  /// Its ancestors, oldest first, with ends that never fall: a recovery that ended before its own timeline began
  /// leaves a history whose LSNs fall, and what lies behind the last switch is not on the way.
  const std::vector<HistoryEntry>& path(Timeline timeline) const noexcept;

  /// The history as its file has it.
  const std::vector<HistoryEntry>& rows(Timeline timeline) const noexcept;

  enum class Reach { no, yes, unknown };
  /// Can recovery that must pass `lsn` on timeline `from` follow on to timeline `to`?
  Reach reaches(Timeline from, Lsn lsn, Timeline to) const noexcept;

 private:
  struct Path {
    std::vector<HistoryEntry> rows;
    std::vector<HistoryEntry> ancestors;
  };
  std::map<Timeline, Path> paths_;
  bool distrusted_ = false;
};

}  // namespace seawall::archive
