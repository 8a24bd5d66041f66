#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/deletion_plan.hh"

namespace seawall::archive {

/// Gathers what must stay and why, adds what that stands on, and makes the plan of everything else. Every command's
/// plan but those of `target` and `everything` comes from here.
class KeptSet {
 public:
  /// Permanent backups, LATEST, what is not understood and what is being written stay from the beginning.
  explicit KeptSet(const Catalogue& catalogue);

  void keep(std::size_t backup, KeepReason::Kind kind, std::string detail = {});
  bool kept(std::size_t backup) const noexcept { return !reasons_[backup].empty(); }
  /// Is every reason so far one that promises no recovery to now?
  bool kept_for_long(std::size_t backup) const noexcept;
  /// WAL from this backup's start on stays even if the backup itself is permanent.
  void keep_wal_from(std::size_t backup) { wal_from_.push_back(backup); }
  /// Without any backup to start from, WAL that no backup needs goes nevertheless.
  void sweep_all_wal() noexcept { sweep_all_wal_ = true; }

  enum class Sweep { backups_and_wal, backups, wal };
  /// `remains`: those of unfinished backups that may go too, by index.
  DeletionPlan plan(Sweep sweep, const std::vector<std::size_t>& remains);

 private:
  /// A backup or an unfinished one from which recovery must stay possible.
  struct Anchor {
    BackupWal wal;
    std::string name;
  };

  void keep_last_restorable();
  void keep_parents();
  void keep_parents_of_unfinished();
  void find_anchors();
  void cut_wal(DeletionPlan& plan) const;
  NumberRanges needed(Timeline timeline, TimelineCut& cut) const;
  std::uint64_t older_than(Timeline timeline) const;
  void fill_kept(DeletionPlan& plan) const;

  const Catalogue& catalogue_;
  std::vector<std::vector<KeepReason>> reasons_;
  std::vector<bool> to_now_;  ///< recovery from here to now is promised
  std::vector<std::size_t> wal_from_;
  std::vector<Anchor> anchors_;
  std::vector<BackupWal> islands_;  ///< WAL of long-term backups: from start to end only
  std::string all_wal_because_;     ///< no WAL may go; empty: some may
  bool sweep_all_wal_ = false;
};

/// Remains that are not in flight, by index; only those whose youngest object is older than `before` if that is given.
std::vector<std::size_t> sweepable_remains(const Catalogue& catalogue, std::optional<Time> before);
/// Backups in the order in which they may be deleted: what stands on another before it.
void order_leaves_first(const Catalogue& catalogue, std::vector<std::size_t>& backups);
/// Fills in `objects` and `bytes`.
void count_plan(const Catalogue& catalogue, DeletionPlan& plan);

}  // namespace seawall::archive
