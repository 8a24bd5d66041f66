#pragma once

#include <cstdint>
#include <functional>

#include "archive/deletion_plan.hh"
#include "ops/load_catalogue.hh"

namespace seawall::ops {

/// Errc::bug if the plan breaks the invariant of deletions (archive/deletion_invariant.hh): then nothing may be done.
void require_safe(const archive::Catalogue& catalogue, const archive::DeletionPlan& plan, bool in_flight_may_go);

/// Does what a plan says. The archive is listed once more, and the plan's keys are held against what is there now:
/// Errc::in_use, and nothing is touched, if the invariant would be broken. Then, each step only when the one before is
/// done: the sentinels, those of deltas before those that they stand on; the other objects, in the plan's order.
/// A sentinel that cannot be removed ends it, with the code of a refusal (Errc::denied); other objects that remain are
/// told together in the end. Broken off anywhere, every backup that is still listed can be restored.
/// Returned is how many objects went.
std::uint64_t delete_planned(const pipeline::Repository& repository, const archive::Catalogue& catalogue,
                             const archive::DeletionPlan& plan, const CatalogueRequest& request, bool in_flight_may_go,
                             const Run& run);

}  // namespace seawall::ops
