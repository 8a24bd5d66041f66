#pragma once

#include <string>

#include "archive/deletion_plan.hh"

namespace seawall::commands {

/// What a plan deletes, what it leaves and why, as a table for people: lines that end in a line break.
std::string plan_text(const archive::Catalogue& catalogue, const archive::DeletionPlan& plan);
/// The same as one JSON object: docs/commands/expire.md.
std::string plan_json(const archive::Catalogue& catalogue, const archive::DeletionPlan& plan, bool dry_run);

}  // namespace seawall::commands
