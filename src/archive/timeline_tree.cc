#include "archive/timeline_tree.hh"

#include <algorithm>

namespace seawall::archive {

void TimelineTree::add(Timeline timeline, std::vector<HistoryEntry> entries) {
  if (entries.empty()) return;
  Path path{.rows = entries, .ancestors = std::move(entries)};
  for (std::size_t i = path.ancestors.size() - 1; i-- > 0;) {
    path.ancestors[i].end = std::min(path.ancestors[i].end, path.ancestors[i + 1].end);
  }
  paths_[timeline] = std::move(path);
}

std::optional<HistoryEntry> TimelineTree::parent(Timeline timeline) const noexcept {
  const auto found = paths_.find(timeline);
  if (found == paths_.end()) return std::nullopt;
  return found->second.rows.back();
}

const std::vector<HistoryEntry>& TimelineTree::path(Timeline timeline) const noexcept {
  static const std::vector<HistoryEntry> none;
  const auto found = paths_.find(timeline);
  return found == paths_.end() ? none : found->second.ancestors;
}

const std::vector<HistoryEntry>& TimelineTree::rows(Timeline timeline) const noexcept {
  static const std::vector<HistoryEntry> none;
  const auto found = paths_.find(timeline);
  return found == paths_.end() ? none : found->second.rows;
}

TimelineTree::Reach TimelineTree::reaches(Timeline from, Lsn lsn, Timeline to) const noexcept {
  if (from == to) return Reach::yes;
  if (to < from) return Reach::no;
  if (distrusted_ || !known(to)) return Reach::unknown;
  const std::vector<HistoryEntry>& ancestors = path(to);
  const bool passes = std::any_of(ancestors.begin(), ancestors.end(), [&](const HistoryEntry& ancestor) {
    return ancestor.timeline == from && lsn <= ancestor.end;
  });
  return passes ? Reach::yes : Reach::no;
}

}  // namespace seawall::archive
