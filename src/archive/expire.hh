#pragma once

#include <optional>

#include "archive/deletion_plan.hh"

namespace seawall::archive {

/// Which backups are worth keeping. A backup stays if any rule wants it. Rules are applied to every cluster of the
/// archive by itself, for nobody knows which of two clusters in one prefix is the one that is missed.
struct ExpireRules {
  std::optional<unsigned> keep_full;    ///< the newest N full backups, and everything since the oldest of them
  std::optional<unsigned> keep_days;    ///< recovery to any moment of the last N × 24 hours
  std::optional<unsigned> keep_daily;   ///< the last backup of each of the last N days (UTC) that have one
  std::optional<unsigned> keep_weekly;  ///< of ISO weeks. This and the next two keep no WAL but the backup's own
  std::optional<unsigned> keep_monthly;
  std::optional<unsigned> keep_yearly;
  std::optional<unsigned> keep_at_least;  ///< whatever the others say, N families of a full backup and its deltas
};

/// What no rule wants. Only backups that restore are counted; damaged ones stay while they are younger than the oldest
/// that is kept for recovery to now. Errc::usage: no rule is set, or all that are set are 0; Errc::config as in
/// retention.hh.
DeletionPlan plan_expire(const Catalogue& catalogue, const ExpireRules& rules);

}  // namespace seawall::archive
