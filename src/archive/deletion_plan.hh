#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "archive/catalogue.hh"

namespace seawall::archive {

/// Why something stays.
struct KeepReason {
  enum class Kind {
    not_older,  ///< no older than what the command names
    not_named,  ///< the command is about others
    rule,       ///< `detail` says which: "keep-full 3"
    long_rule,  ///< a weekly, monthly or yearly rule: only the WAL that makes the backup consistent stays with it
    permanent,
    perhaps_permanent,  ///< its metadata.json cannot be read
    latest,             ///< what LATEST stands for
    last_restorable,    ///< without it nothing could be restored
    not_understood,     ///< its sentinel cannot be read
    damaged,            ///< does not restore, but is too young to be swept unseen
    future,             ///< by its clock it is not yet made
    in_flight,          ///< somebody writes under its name
    parent_of,          ///< `detail` names the backup that stands on it
    parent_of_unfinished,
  };
  Kind kind;
  std::string detail;
  std::string text() const;  ///< "parent of base_…", "keep-full 3"
};
std::string_view name_of(KeepReason::Kind kind) noexcept;  ///< stable: "parent_of"

struct KeptBackup {
  std::size_t backup = 0;
  std::vector<KeepReason> reasons;
  /// Permanent, or kept by weekly, monthly and yearly rules alone: no recovery beyond its end is promised.
  bool long_term = false;
};

/// WAL that goes: objects of one stream of the catalogue.
struct WalCut {
  std::size_t stream = 0;
  NumberRange numbers;  ///< of the objects' first segments
};
/// What of a timeline goes and stays, for people.
struct TimelineCut {
  Timeline timeline = 0;
  NumberRanges goes;          ///< segments
  std::uint64_t objects = 0;  ///< of all kinds
  SizeSum sizes;              ///< of them
  std::string needed_from;    ///< segment from which on all WAL stays; empty: none is needed to the end
  std::string needed_by;      ///< the backup that needs it
};

/// What a command would delete and what it leaves, by one catalogue, which must outlive visits. A value.
struct DeletionPlan {
  std::vector<std::size_t> backups;     ///< leaves before the backups that they stand on
  std::vector<std::size_t> unfinished;  ///< remains of backups that have no sentinel
  std::vector<WalCut> wal;
  std::vector<std::string> others;  ///< further keys: `everything` only
  std::vector<KeptBackup> kept;     ///< in the catalogue's order
  std::vector<TimelineCut> timelines;
  std::vector<std::string> notes;  ///< what the reader of the plan should know
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;  ///< that are freed
  bool bytes_exact = true;  ///< false: some sizes were not listed, and the mean of the others was taken for them

  bool empty() const noexcept { return objects == 0; }
  /// The keys in the order in which they must be deleted: sentinels, leaves before their parents; the other objects of
  /// those backups; remains; WAL, oldest first. A deletion that is broken off anywhere leaves garbage, but no listed
  /// backup that cannot be restored.
  void visit(const Catalogue& catalogue, const std::function<void(const std::string& key)>& visit) const;
  /// How many of the keys that come first are sentinels: they are to be gone before the others are begun.
  std::size_t sentinels() const noexcept { return backups.size(); }
  /// For the check after a fresh listing: names of kept backups from which no recovery to now is promised.
  std::set<std::string, std::less<>> long_term(const Catalogue& catalogue) const;
};

}  // namespace seawall::archive
