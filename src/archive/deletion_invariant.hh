#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "archive/catalogue.hh"
#include "archive/deletion_plan.hh"

namespace seawall::archive {

/// Gives the keys that are to be deleted, in their order.
using DeletedKeys = std::function<void(const std::function<void(const std::string& key)>&)>;

struct InvariantScope {
  /// Backups kept without a promise of recovery to now; permanent ones need not be named.
  std::set<std::string, std::less<>> long_term = {};
  bool in_flight_may_go = false;  ///< `everything FORCE`
};

/// Looks at keys alone, whoever chose them, and says in words what is first found to be wrong with deleting them:
/// a key that is nothing known; a backup's object while its sentinel stays; a sentinel before one that stands on it,
/// or after other objects; a parent of a kept backup; WAL between start and end of a kept backup; WAL that recovery
/// from a kept backup to now may need; something of a backup in flight, or its parent. Nothing: it may be done.
/// `catalogue` is of the archive as it is now, which may be younger than the plan.
std::optional<std::string> first_violation(const Catalogue& catalogue, const DeletedKeys& keys,
                                           const InvariantScope& scope);

/// Of a plan made from the same catalogue.
std::optional<std::string> first_violation(const Catalogue& catalogue, const DeletionPlan& plan,
                                           bool in_flight_may_go = false);

}  // namespace seawall::archive
