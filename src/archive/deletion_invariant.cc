#include "archive/deletion_invariant.hh"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "archive/layout.hh"

namespace seawall::archive {
namespace {

/// WAL of one timeline that has to stay, and for whose sake.
struct Protected {
  struct Span {
    NumberRange numbers;
    const std::string* backup;
  };
  std::vector<Span> spans;
  NumberRanges all;  ///< the same together, asked first: there may be hundreds of backups and a million segments
};

class Check {
 public:
  Check(const Catalogue& catalogue, const InvariantScope& scope) : catalogue_(catalogue), scope_(scope) {}

  std::optional<std::string> run(const DeletedKeys& keys) {
    keys([&](const std::string& key) { note_sentinel(key); });
    keys([&](const std::string& key) {
      if (!violation_) check(key);
    });
    if (!violation_) check_kept();
    return violation_;
  }

 private:
  template <class... Args>
  void fail(fmt::format_string<Args...> text, Args&&... args) {
    if (!violation_) violation_ = fmt::format(text, std::forward<Args>(args)...);
  }

  void note_sentinel(const std::string& key) {
    if (!key.starts_with(backups_folder)) return;
    if (auto name = backup_of_sentinel(key)) goes_.emplace(std::move(*name), goes_.size());
  }

  bool stays(const Backup& backup) const { return !goes_.contains(backup.name); }

  void check(const std::string& key) {
    if (key.starts_with(wal_folder)) {
      others_began_ = true;
      check_wal(std::string_view(key).substr(wal_folder.size()));
    } else if (key.starts_with(backups_folder)) {
      check_backup_object(key);
    } else {
      others_began_ = true;
      const bool known = std::any_of(catalogue_.others().begin(), catalogue_.others().end(),
                                     [&](const OtherObject& other) { return other.key == key; });
      if (!known) fail("{} is nothing that seawall knows", key);
      if (!goes_everything()) fail("{} has nothing to do with the backups that go", key);
    }
  }

  void check_backup_object(const std::string& key) {
    const std::string_view rest = std::string_view(key).substr(backups_folder.size());
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos) {
      const auto name = backup_of_sentinel(rest);
      if (!name) {
        fail("{} is nothing that seawall knows", key);
      } else if (others_began_) {
        fail("{} would go after other objects: broken off, the deletion would leave a backup without its parts", key);
      }
      return;
    }
    others_began_ = true;
    const std::string_view name = rest.substr(0, slash);
    if (const auto backup = catalogue_.find(name)) {
      if (stays(catalogue_.backups()[*backup])) fail("{} would go, but the backup {} stays", key, name);
      return;
    }
    const auto unfinished = std::find_if(catalogue_.unfinished().begin(), catalogue_.unfinished().end(),
                                         [&](const UnfinishedBackup& u) { return u.name == name; });
    if (unfinished == catalogue_.unfinished().end()) {
      // Gone since the plan was made, or foreign.
      if (!is_backup_name(name)) fail("{} is nothing that seawall knows", key);
    } else if (unfinished->in_flight && !scope_.in_flight_may_go) {
      fail("{} would go, but {} is being written", key, name);
    }
  }

  /// Nothing stays: then nothing needs anything.
  bool goes_everything() const {
    return std::all_of(catalogue_.backups().begin(), catalogue_.backups().end(),
                       [&](const Backup& backup) { return !stays(backup); });
  }

  void check_wal(std::string_view file) {
    const auto object = parse_wal_object(file, catalogue_.settings().segment_bytes);
    if (!object) {
      fail("{}{} is nothing that seawall knows", wal_folder, file);
      return;
    }
    if (object->kind == WalObjectKind::history) {
      if (!goes_everything()) fail("{}{} would go, but backups stay that may need it", wal_folder, file);
      return;
    }
    const std::uint64_t span = segments_of_object(object->kind, catalogue_.settings().segment_bytes);
    const NumberRange numbers{object->segment.number, object->segment.number + span - 1};
    const Protected& kept_wal = protected_of(object->segment.timeline);
    if (!kept_wal.all.overlaps(numbers)) return;
    for (const Protected::Span& kept : kept_wal.spans) {
      if (numbers.first <= kept.numbers.last && kept.numbers.first <= numbers.last) {
        fail("{}{} would go, but {} needs it", wal_folder, file, *kept.backup);
      }
    }
  }

  const Protected& protected_of(Timeline timeline) {
    const auto [found, is_new] = protected_.try_emplace(timeline);
    if (!is_new) return found->second;
    for (const Backup& backup : catalogue_.backups()) {
      if (stays(backup)) protect(backup, timeline, found->second);
    }
    for (const UnfinishedBackup& unfinished : catalogue_.unfinished()) {
      if (!unfinished.in_flight || scope_.in_flight_may_go) continue;
      const Segment start = unfinished.segment.value_or(Segment{timeline, 0});
      const BackupWal wal{.timeline = start.timeline,
                          .first = start.number,
                          .last = no_last,
                          .reach = start.start(catalogue_.settings().segment_bytes)};
      if (follows(wal, timeline)) found->second.spans.push_back({{start.number, no_last}, &unfinished.name});
    }
    for (const Protected::Span& span : found->second.spans) found->second.all.add(span.numbers);
    return found->second;
  }

  void protect(const Backup& backup, Timeline timeline, Protected& into) const {
    if (!backup.wal) {
      into.spans.push_back({{0, no_last}, &backup.name});
      return;
    }
    const BackupWal& wal = *backup.wal;
    if (wal.timeline == timeline) into.spans.push_back({{wal.first, wal.last}, &backup.name});
    const bool promised = !backup.permanent && !scope_.long_term.contains(backup.name);
    if (!promised && wal.last != no_last) return;
    if (follows(wal, timeline)) into.spans.push_back({{wal.first, no_last}, &backup.name});
  }

  /// Does a way lead from the end of the backup to the timeline? If nobody knows, it does.
  bool follows(const BackupWal& wal, Timeline timeline) const {
    if (timeline <= wal.timeline) return timeline == wal.timeline;
    if (catalogue_.systems().size() > 1 || !catalogue_.timelines().known(timeline)) return true;
    for (const HistoryEntry& ancestor : catalogue_.timelines().path(timeline)) {
      if (ancestor.timeline == wal.timeline) return wal.reach <= ancestor.end;
    }
    return false;
  }

  void check_kept() {
    for (const Backup& backup : catalogue_.backups()) {
      if (backup.parent) check_parent(backup, catalogue_.backups()[*backup.parent]);
    }
    if (scope_.in_flight_may_go) return;
    for (const UnfinishedBackup& unfinished : catalogue_.unfinished()) {
      if (!unfinished.in_flight) continue;
      for (const std::size_t parent : catalogue_.parents_by_name(unfinished.name)) {
        const std::string& name = catalogue_.backups()[parent].name;
        if (goes_.contains(name)) fail("{} would go, but {} is being made on it", name, unfinished.name);
      }
    }
  }

  void check_parent(const Backup& child, const Backup& parent) {
    const auto parent_goes = goes_.find(parent.name);
    if (parent_goes == goes_.end()) return;
    const auto child_goes = goes_.find(child.name);
    if (child_goes == goes_.end()) {
      fail("{} would go, but {} stays and stands on it", parent.name, child.name);
    } else if (child_goes->second > parent_goes->second && !in_circle(child, parent)) {
      fail("{} would go before {}, which stands on it", parent.name, child.name);
    }
  }

  bool in_circle(const Backup& child, const Backup& parent) const {
    const std::vector<std::size_t> ancestors = catalogue_.ancestors(*catalogue_.find(parent.name));
    return std::find(ancestors.begin(), ancestors.end(), *catalogue_.find(child.name)) != ancestors.end();
  }

  const Catalogue& catalogue_;
  const InvariantScope& scope_;
  std::unordered_map<std::string, std::size_t> goes_;  ///< backups without sentinel in the end, and when it goes
  std::map<Timeline, Protected> protected_;
  bool others_began_ = false;
  std::optional<std::string> violation_;
};

}  // namespace

std::optional<std::string> first_violation(const Catalogue& catalogue, const DeletedKeys& keys,
                                           const InvariantScope& scope) {
  return Check(catalogue, scope).run(keys);
}

std::optional<std::string> first_violation(const Catalogue& catalogue, const DeletionPlan& plan,
                                           bool in_flight_may_go) {
  const InvariantScope scope{.long_term = plan.long_term(catalogue), .in_flight_may_go = in_flight_may_go};
  return first_violation(
      catalogue, [&](const auto& visit) { plan.visit(catalogue, visit); }, scope);
}

}  // namespace seawall::archive
