#include <fmt/format.h>

#include <algorithm>

#include "archive/detail/kept_set.hh"

namespace seawall::archive {
namespace {

using Kind = KeepReason::Kind;

bool is_long(Kind kind) noexcept {
  return kind == Kind::long_rule || kind == Kind::permanent || kind == Kind::perhaps_permanent;
}

}  // namespace

KeptSet::KeptSet(const Catalogue& catalogue)
    : catalogue_(catalogue), reasons_(catalogue.backups().size()), to_now_(catalogue.backups().size()) {
  catalogue.require_segment_size();
  const std::vector<Backup>& backups = catalogue.backups();
  const Time young = catalogue.settings().now - catalogue.settings().in_flight_for;
  for (std::size_t i = 0; i < backups.size(); ++i) {
    if (backups[i].permanent) keep(i, Kind::permanent);
    if (!backups[i].permanence_known) keep(i, Kind::perhaps_permanent);
    if (!backups[i].sentinel) keep(i, Kind::not_understood);
    if (backups[i].folder.lease().value_or(young) > young) keep(i, Kind::in_flight);
  }
  if (!backups.empty()) keep(backups.size() - 1, Kind::latest);
}

void KeptSet::keep(std::size_t backup, Kind kind, std::string detail) {
  for (const KeepReason& reason : reasons_[backup]) {
    if (reason.kind == kind && (kind == Kind::parent_of || reason.detail == detail)) return;
  }
  reasons_[backup].push_back({kind, std::move(detail)});
}

bool KeptSet::kept_for_long(std::size_t backup) const noexcept {
  return std::all_of(reasons_[backup].begin(), reasons_[backup].end(),
                     [](const KeepReason& reason) { return is_long(reason.kind); });
}

/// LATEST may be damaged; then recovery to now starts from the newest that is not.
void KeptSet::keep_last_restorable() {
  const std::vector<Backup>& backups = catalogue_.backups();
  for (std::size_t i = backups.size(); i-- > 0;) {
    if (!backups[i].restorable) continue;
    if (i + 1 != backups.size()) keep(i, Kind::last_restorable);
    return;
  }
}

void KeptSet::keep_parents() {
  const std::vector<Backup>& backups = catalogue_.backups();
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < backups.size(); ++i) {
    if (!kept(i)) continue;
    open.push_back(i);
    to_now_[i] = !kept_for_long(i);
  }
  while (!open.empty()) {
    const std::size_t child = open.back();
    open.pop_back();
    std::vector<std::size_t> parents;
    if (backups[child].parent) parents.push_back(*backups[child].parent);
    // What an unreadable sentinel stands on is told by its name.
    if (!backups[child].sentinel) parents = catalogue_.parents_by_name(backups[child].name);
    for (const std::size_t parent : parents) {
      const bool promoted = to_now_[child] && !to_now_[parent] && !backups[parent].permanent;
      if (!kept(parent) || promoted) open.push_back(parent);
      if (promoted) to_now_[parent] = true;
      keep(parent, Kind::parent_of, backups[child].name);
    }
  }
}

void KeptSet::keep_parents_of_unfinished() {
  for (const UnfinishedBackup& unfinished : catalogue_.unfinished()) {
    if (!unfinished.in_flight) continue;
    for (const std::size_t parent : catalogue_.parents_by_name(unfinished.name)) {
      keep(parent, Kind::parent_of_unfinished, unfinished.name);
    }
  }
}

void KeptSet::find_anchors() {
  const std::vector<Backup>& backups = catalogue_.backups();
  for (std::size_t i = 0; i < backups.size(); ++i) {
    if (!kept(i)) continue;
    const bool from_here = to_now_[i] || std::find(wal_from_.begin(), wal_from_.end(), i) != wal_from_.end();
    if (!backups[i].wal) {
      all_wal_because_ = fmt::format("no WAL goes: nobody knows which of it {} needs", backups[i].name);
    } else if (from_here || backups[i].wal->last == no_last) {
      anchors_.push_back({*backups[i].wal, backups[i].name});
    } else {
      islands_.push_back(*backups[i].wal);
    }
  }
  for (const UnfinishedBackup& unfinished : catalogue_.unfinished()) {
    if (!unfinished.in_flight) continue;
    if (!unfinished.segment) {
      all_wal_because_ = fmt::format("no WAL goes: nobody knows where {} will begin", unfinished.name);
      continue;
    }
    const Segment& segment = *unfinished.segment;
    anchors_.push_back({{.timeline = segment.timeline,
                         .first = segment.number,
                         .last = no_last,
                         .reach = segment.start(catalogue_.settings().segment_bytes)},
                        unfinished.name});
  }
  if (anchors_.empty() && !sweep_all_wal_ && all_wal_because_.empty()) {
    all_wal_because_ = "no WAL goes: no backup stays that recovery to now could start from";
  }
}

/// What somebody may need of a timeline's segments.
NumberRanges KeptSet::needed(Timeline timeline, TimelineCut& cut) const {
  NumberRanges ranges;
  const Anchor* first = nullptr;
  for (const Anchor& anchor : anchors_) {
    if (catalogue_.timelines().reaches(anchor.wal.timeline, anchor.wal.reach, timeline) == TimelineTree::Reach::no) {
      continue;
    }
    if (first == nullptr || anchor.wal.first < first->wal.first) first = &anchor;
  }
  if (first != nullptr) {
    ranges.add({first->wal.first, no_last});
    const TimelineWal* wal = catalogue_.wal().timeline(timeline);
    const std::uint64_t from = std::max(first->wal.first, wal == nullptr ? 0 : wal->listed.first());
    cut.needed_from = Segment{timeline, from}.name(catalogue_.settings().segment_bytes);
    cut.needed_by = first->name;
  }
  for (const BackupWal& island : islands_) {
    if (island.timeline == timeline) ranges.add({island.first, island.last});
  }
  return ranges;
}

/// Below this number a segment of the timeline is older than something that stays. Newer WAL stays even if nothing in
/// the archive can use it: a standby or a backup kept elsewhere may.
std::uint64_t KeptSet::older_than(Timeline timeline) const {
  if (anchors_.empty()) return no_last;
  std::uint64_t least = no_last;
  std::uint64_t on_timeline = 0;
  for (const Anchor& anchor : anchors_) {
    if (anchor.wal.timeline > timeline) return no_last;
    if (anchor.wal.timeline == timeline) on_timeline = std::max(on_timeline, anchor.wal.first);
    least = std::min(least, anchor.wal.first);
  }
  return std::max(least, on_timeline);
}

void KeptSet::cut_wal(DeletionPlan& plan) const {
  if (!all_wal_because_.empty()) {
    plan.notes.push_back(all_wal_because_);
    return;
  }
  std::map<Timeline, std::pair<NumberRanges, TimelineCut>> removable;
  const std::vector<WalStream>& streams = catalogue_.wal().streams();
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const WalStream& stream = streams[i];
    const auto [entry, is_new] = removable.try_emplace(stream.timeline());
    auto& [numbers, cut] = entry->second;
    if (is_new) {
      cut.timeline = stream.timeline();
      const NumberRanges needs = needed(stream.timeline(), cut);
      const std::uint64_t bound = older_than(stream.timeline());
      NumberRanges all;
      if (bound != 0) all.add({0, bound == no_last ? no_last : bound - 1});
      numbers = all.without(needs);
    }
    const std::uint64_t span = segments_of_object(stream.kind(), catalogue_.settings().segment_bytes);
    for (const NumberRange& range : numbers.all()) {
      if (range.last - range.first < span - 1) continue;
      const NumberRange firsts{range.first, range.last - (span - 1)};
      std::uint64_t objects = 0;
      stream.visit_listed(firsts, [&](std::uint64_t number, std::optional<std::uint64_t> bytes) {
        ++objects;
        cut.sizes.add(bytes);
        if (stream.kind() == WalObjectKind::segment) cut.goes.add({number, number});
      });
      cut.objects += objects;
      if (objects != 0) plan.wal.push_back({i, firsts});
    }
  }
  for (auto& [timeline, entry] : removable) plan.timelines.push_back(std::move(entry.second));
}

void KeptSet::fill_kept(DeletionPlan& plan) const {
  for (std::size_t i = 0; i < reasons_.size(); ++i) {
    if (kept(i)) plan.kept.push_back({.backup = i, .reasons = reasons_[i], .long_term = !to_now_[i]});
  }
}

DeletionPlan KeptSet::plan(Sweep sweep, const std::vector<std::size_t>& remains) {
  keep_last_restorable();
  keep_parents_of_unfinished();
  keep_parents();
  find_anchors();
  DeletionPlan plan;
  fill_kept(plan);
  for (const UnfinishedBackup& unfinished : catalogue_.unfinished()) {
    if (unfinished.in_flight) plan.notes.push_back(unfinished.name + " is being written and stays");
  }
  for (std::size_t i = 0; i < reasons_.size(); ++i) {
    if (!kept(i)) plan.backups.push_back(i);
  }
  order_leaves_first(catalogue_, plan.backups);
  if (sweep != Sweep::wal) plan.unfinished = remains;
  if (sweep != Sweep::backups) cut_wal(plan);
  count_plan(catalogue_, plan);
  return plan;
}

std::vector<std::size_t> sweepable_remains(const Catalogue& catalogue, std::optional<Time> before) {
  std::vector<std::size_t> remains;
  for (std::size_t i = 0; i < catalogue.unfinished().size(); ++i) {
    const UnfinishedBackup& unfinished = catalogue.unfinished()[i];
    if (!unfinished.in_flight && (!before || unfinished.folder.newest() < *before)) remains.push_back(i);
  }
  return remains;
}

void order_leaves_first(const Catalogue& catalogue, std::vector<std::size_t>& backups) {
  std::vector<std::size_t> depth(catalogue.backups().size());
  for (const std::size_t backup : backups) depth[backup] = catalogue.ancestors(backup).size();
  std::stable_sort(backups.begin(), backups.end(), [&](std::size_t a, std::size_t b) { return depth[a] > depth[b]; });
}

void count_plan(const Catalogue& catalogue, DeletionPlan& plan) {
  const auto add_folder = [&](const BackupFolder& folder) {
    plan.objects += folder.objects();
    plan.bytes += folder.bytes();
  };
  for (const std::size_t backup : plan.backups) {
    add_folder(catalogue.backups()[backup].folder);
    ++plan.objects;
    plan.bytes += catalogue.backups()[backup].sentinel_bytes;
  }
  for (const std::size_t unfinished : plan.unfinished) add_folder(catalogue.unfinished()[unfinished].folder);
  for (const TimelineCut& cut : plan.timelines) {
    plan.objects += cut.objects;
    plan.bytes += cut.sizes.bytes(catalogue.wal().bytes());
    plan.bytes_exact = plan.bytes_exact && cut.sizes.exact();
  }
}

}  // namespace seawall::archive
