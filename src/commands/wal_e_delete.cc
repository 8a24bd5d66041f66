#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "archive/retention.hh"
#include "archive/wal_e.hh"
#include "base/text.hh"
#include "commands/plan_report.hh"
#include "commands/wal_e.hh"
#include "commands/whole_archive.hh"

namespace seawall::commands {
namespace {

/// Only --confirm deletes, and --dry-run takes it back.
bool confirmed(const WalERun& run) { return run.arguments.confirm && !run.arguments.dry_run; }

std::optional<archive::DeletionPlan> plan_before(const archive::Catalogue& catalogue, const std::string& name) {
  // WAL-E took whatever begins like a name: a sentinel's key, or a backup that never was.
  if (!archive::parse_wal_e_name(name)) {
    throw Error(Errc::usage, fmt::format("'{}' is no backup's name: 'delete before' wants base_ + 24 digits + _ + 8 "
                                         "digits, as backup-list shows them",
                                         name));
  }
  return archive::plan_before(catalogue, archive::parse_boundary(name), archive::Modifier::none, {});
}

/// Also when every backup stays, older WAL and the remains of unfinished backups go: so it is with WAL-E.
std::optional<archive::DeletionPlan> plan_retain(const archive::Catalogue& catalogue, int count) {
  if (count > 0 && static_cast<std::size_t>(count) < catalogue.backups().size()) {
    return archive::plan_retain(catalogue, static_cast<std::size_t>(count), archive::Modifier::none, std::nullopt, {});
  }
  return archive::plan_garbage(catalogue, archive::GarbageScope::all, false);
}

/// The word that overrides is none of WAL-E's.
archive::DeletionPlan plan_everything(const archive::Catalogue& catalogue) {
  try {
    return archive::plan_everything(catalogue, false);
  } catch (const Error& error) {
    if (error.code() != Errc::usage) throw;
    throw Error(Errc::in_use, fmt::format("{} As 'seawall delete everything FORCE --confirm'.", error.what()));
  }
}

std::optional<archive::DeletionPlan> plan_of(const WalERun& run, const archive::Catalogue& catalogue) {
  const cli::WalEArguments& arguments = run.arguments;
  if (arguments.command == "delete before") return plan_before(catalogue, arguments.name);
  if (arguments.command == "delete retain") return plan_retain(catalogue, *arguments.retain);
  return plan_everything(catalogue);
}

/// Keys of the layouts that WAL-E had before this one; nothing reads them any more.
std::vector<std::string> old_versions(const pipeline::Repository& repository, const Run& run) {
  std::vector<std::string> keys;
  for (const char* folder : {"basebackups_00", "wal_00"}) {
    for (const char digit : {'0', '1', '2', '3', '4'}) {
      repository.store->list(
          {.prefix = repository.key(fmt::format("{}{}/", folder, digit))},
          [&](const storage::ObjectInfo& object) {
            keys.push_back(object.key);
            return true;
          },
          run.stop);
    }
  }
  return keys;
}

int delete_old_versions(const WalERun& run, const pipeline::Repository& repository) {
  const std::vector<std::string> keys = old_versions(repository, run.app.run);
  for (const std::string& key : keys) {
    run.log.info("{} {}", confirmed(run) ? "deleting" : "with --confirm this would be deleted:", run.log.url_of(key));
  }
  if (keys.empty()) run.log.info("nothing of an older layout is in the archive");
  if (!confirmed(run) || keys.empty()) return 0;
  const auto left = repository.store->remove(keys, run.app.run.stop);
  if (left.empty()) return 0;
  throw Error(Errc::denied, fmt::format("{} objects could not be deleted, {} among them: {}", left.size(),
                                        left.front().key, left.front().reason));
}

}  // namespace

int wal_e_delete(WalERun& run) {
  const cli::WalEArguments& arguments = run.arguments;
  if (arguments.command == "delete") {
    throw Error(Errc::config, "delete wants one of: before NAME, retain N, old-versions, everything");
  }
  if (arguments.retain && *arguments.retain < 0) {
    throw Error(Errc::usage, fmt::format("'delete retain {}': a number of backups to keep is not negative; 0 keeps all",
                                         *arguments.retain));
  }
  run.log.info("{}", confirmed(run) ? "deleting data in the store" : "performing dry run of data deletion");
  if (archive_is_absent(run)) return 0;
  const pipeline::Repository repository = run.app.open_repository();
  if (arguments.command == "delete old-versions") return delete_old_versions(run, repository);
  const ops::CatalogueRequest request = catalogue_request(run.app);
  const archive::Catalogue catalogue = ops::load_catalogue(repository, request, run.app.run);
  warn_of_faults(catalogue, run.app);
  const auto plan = plan_of(run, catalogue);
  if (plan) run.log.lines(LogLevel::info, plan_text(catalogue, *plan));
  carry_out(plan, catalogue, repository, request, {.confirm = confirmed(run)}, run.app);
  return 0;
}

}  // namespace seawall::commands
