#pragma once

#include <optional>

#include "archive/deletion_plan.hh"
#include "commands/app.hh"
#include "ops/load_catalogue.hh"

/// What the commands that look at the whole archive have in common.
namespace seawall::commands {

/// By the settings WALG_PG_WAL_SIZE, WALG_DOWNLOAD_CONCURRENCY and SEAWALL_IN_FLIGHT_TIME.
ops::CatalogueRequest catalogue_request(App& app);

/// One warning for each document that could not be read, each damaged backup, and for what is not known.
void warn_of_faults(const archive::Catalogue& catalogue, App& app);

/// Of catalogues without sentinels and parts: what of histories and metadata.json could not be read.
void warn_of_metadata(const archive::Catalogue& catalogue, App& app);

struct Carrying {
  bool confirm = false;           ///< else nothing is deleted
  bool in_flight_may_go = false;  ///< `delete everything FORCE`
};
/// Logs what would go as WAL-G does, checks the plan, and with confirm deletes. Nothing: no backup was found to go by.
void carry_out(const std::optional<archive::DeletionPlan>& plan, const archive::Catalogue& catalogue,
               const pipeline::Repository& repository, const ops::CatalogueRequest& request, Carrying how, App& app);

}  // namespace seawall::commands
