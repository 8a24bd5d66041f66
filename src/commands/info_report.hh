#pragma once

#include <optional>
#include <string>

#include "archive/archive_summary.hh"
#include "archive/deletion_plan.hh"

namespace seawall::commands {

struct InfoReport {
  const archive::Catalogue& catalogue;
  const archive::ArchiveSummary& summary;
  std::optional<archive::DeletionPlan> expiry;  ///< nothing: no rule is configured
  std::string place;
};

/// For somebody who was woken up: what can be restored, and what is wrong.
std::string info_text(const InfoReport& report);
/// One JSON object; docs/commands/info.md has its members.
std::string info_json(const InfoReport& report);

}  // namespace seawall::commands
