#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "archive/deletion_plan.hh"

namespace seawall::archive {

/// WAL-G's `delete`, made safe: pure functions from what an archive holds to what would go. docs/retention.md draws
/// what each keeps. In all of them: permanent backups, LATEST, backups in flight, what cannot be read, and everything
/// that something kept stands on stay; so does all WAL that a kept backup needs, up to now unless it is permanent.
/// A backup counts as older only if it is so by time and by the WAL (backup_order.hh).
/// All throw Errc::config if the setting of the segment size contradicts the backups.

enum class Modifier { none, full, find_full };

/// "base_…" or a time. A text is a time if it is one in RFC 3339 form, with its zone.
struct Boundary {
  std::string text;
  std::optional<Time> time;
};
Boundary parse_boundary(std::string_view text);

struct DeleteOptions {
  /// Start times of metadata.json instead of the sentinels' modification times, if every backup has one.
  bool use_sentinel_time = false;
};

/// What is older than a backup: the newest whose name starts with `boundary`, or the oldest made at that time or later;
/// with find_full, than the full one that it stands on. Nothing: no backup is that young.
/// Errc::usage: `full`, a time to come, or the backup found is a delta; Errc::not_found: no such name.
std::optional<DeletionPlan> plan_before(const Catalogue& catalogue, const Boundary& boundary, Modifier modifier,
                                        const DeleteOptions& options);

/// What is older than the `count`-th newest backup; with `full` than the count-th newest full one, with find_full than
/// the full one that the count-th stands on. Backups that would not restore are not counted. With `after`, what is
/// younger than that stays too. Nothing: there are no more than that.
/// Errc::usage: count is 0, or the backup found is a delta.
std::optional<DeletionPlan> plan_retain(const Catalogue& catalogue, std::size_t count, Modifier modifier,
                                        const std::optional<Boundary>& after, const DeleteOptions& options);

/// Everything that is understood. Errc::usage unless `force`: permanent backups, backups in flight.
DeletionPlan plan_everything(const Catalogue& catalogue, bool force);

struct DeletionTarget {
  std::string name;            ///< or LATEST
  std::string user_data_json;  ///< instead of a name: the one backup that carries it
  bool find_full = false;      ///< its whole family: all that stand on the same full backup
};
/// A backup and all that stand on it; no WAL. Errc::not_found; Errc::usage: several carry the user data, or one of them
/// is permanent; Errc::in_use: a delta on one of them is being made;
/// Errc::incomplete: find_full without a whole chain, or something unreadable that stands on one of them by its name.
DeletionPlan plan_target(const Catalogue& catalogue, const DeletionTarget& target);

enum class GarbageScope { all, archives, backups };
/// WAL that no backup needs, and remains of backups that are not in flight. Nothing: there is no backup to tell by
/// (a permanent one does not), and `without_backup_check` is not set.
std::optional<DeletionPlan> plan_garbage(const Catalogue& catalogue, GarbageScope scope, bool without_backup_check);

}  // namespace seawall::archive
