#include "commands/whole_archive.hh"

#include <fmt/format.h>

#include "ops/delete_objects.hh"
#include "ops/postgres_settings.hh"

namespace seawall::commands {
namespace {

constexpr std::size_t log_block_bytes = std::size_t{64} << 10;

/// Line for line what WAL-G's scripts look for.
void log_objects(const archive::DeletionPlan& plan, const archive::Catalogue& catalogue, std::string_view storage,
                 Log& log) {
  if (!log.enabled(LogLevel::info)) return;
  std::string block;
  const std::string end = fmt::format(" storage={}\n", storage);
  plan.visit(catalogue, [&](const std::string& key) {
    block.append("Object marked for deletion: ").append(key).append(end);
    if (block.size() < log_block_bytes) return;
    log.lines(LogLevel::info, block);
    block.clear();
  });
  log.lines(LogLevel::info, block);
}

}  // namespace

ops::CatalogueRequest catalogue_request(App& app) {
  ops::CatalogueSettings settings;
  ops::PostgresSettings postgres;
  app.sources.load(settings);
  app.sources.load(postgres);
  return {.segment_bytes = postgres.wal_segment_bytes(),
          .in_flight_for = settings.in_flight_for(),
          .concurrency = settings.download_concurrency()};
}

void warn_of_faults(const archive::Catalogue& catalogue, App& app) {
  for (const std::string& complaint : catalogue.complaints()) app.run.log.warning("{}", complaint);
  for (const archive::Backup& backup : catalogue.backups()) {
    for (const archive::BackupFault& fault : backup.faults) {
      if (fault.kind == archive::BackupFault::Kind::file_list_missing && !fault.damages) continue;
      app.run.log.warning("{}{}: {}", backup.name, fault.damages ? " does not restore" : "", fault.text);
    }
  }
  const archive::Catalogue::Foreign& foreign = catalogue.foreign();
  if (foreign.objects != 0) {
    app.run.log.warning("{} objects are nothing that seawall knows, and are left alone: {}{}", foreign.objects,
                        foreign.examples.front(), foreign.objects > 1 ? " and others" : "");
  }
}

void warn_of_metadata(const archive::Catalogue& catalogue, App& app) {
  for (const std::string& complaint : catalogue.complaints()) app.run.log.warning("{}", complaint);
  for (const archive::Backup& backup : catalogue.backups()) {
    for (const archive::BackupFault& fault : backup.faults) {
      using Kind = archive::BackupFault::Kind;
      if (fault.kind != Kind::metadata_unreadable && fault.kind != Kind::metadata_missing) continue;
      app.run.log.warning("{}: {}", backup.name, fault.text);
    }
  }
}

void carry_out(const std::optional<archive::DeletionPlan>& plan, const archive::Catalogue& catalogue,
               const pipeline::Repository& repository, const ops::CatalogueRequest& request, Carrying how, App& app) {
  Log& log = app.run.log;
  if (!plan) {
    log.info("No backup found for deletion");
    return;
  }
  ops::require_safe(catalogue, *plan, how.in_flight_may_go);
  log_objects(*plan, catalogue, repository.name, log);
  if (plan->empty()) {
    log.info("No objects matched the deletion criteria.");
  } else if (how.confirm) {
    const std::uint64_t gone =
        ops::delete_planned(repository, catalogue, *plan, request, how.in_flight_may_go, app.run);
    log.info("Objects deleted successfully: count={}", gone);
  } else {
    log.info("Dry run: objects would be deleted count={}, Run with --confirm to execute", plan->objects);
  }
}

}  // namespace seawall::commands
