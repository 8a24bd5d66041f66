#include <fmt/format.h>

#include "base/file.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "commands/restore_command.hh"
#include "manuals/backup_fetch.hh"
#include "ops/backup_selection.hh"
#include "ops/recovery_plan.hh"
#include "ops/restore_backup.hh"

namespace seawall::commands {
namespace {

struct Args : ops::TargetFlags {
  std::string directory;
  std::string backup;
  std::string mask;
  std::string restore_spec;
  std::string target_user_data;
  std::string restore_only;
  bool reverse_unpack = false;
  bool skip_redundant_tars = false;
  std::string target_storage;
};

/// The backup that name, user data or the settings mean; empty: none of them says.
std::string named_backup(const Args& args, const ops::RestoreSettings& settings, const pipeline::Repository& repository,
                         const Run& run) {
  std::string user_data = args.target_user_data;
  if (user_data.empty() && args.backup.empty()) user_data = settings.target_user_data();
  if (!user_data.empty() && !args.backup.empty()) {
    throw Error(Errc::usage, "give the backup's name or --target-user-data, not both");
  }
  if (!user_data.empty()) return ops::backup_with_user_data(repository, user_data, run);
  return args.backup;
}

int run(const Args& args, App& app) {
  ops::RestoreSettings settings;
  app.sources.load(settings);
  const std::optional<ops::RecoveryTarget> target = ops::parse_target(args);
  const pipeline::Repository repository = app.open_repository();
  refuse_unknown_storage(args.target_storage, repository);
  std::string backup = named_backup(args, settings, repository, app.run);
  if (backup.empty() && !target) throw Error(Errc::usage, "insufficient arguments: give the backup's name, or LATEST");

  if (!backup.empty() && backup != "LATEST") ops::refuse_unfinished(repository, backup, app.run);
  std::optional<ops::RecoveryPlan> plan;
  if (target) {
    const bool chosen = !backup.empty() && backup != "LATEST";
    if (chosen) backup = ops::resolve_backup(repository, backup, app.run);
    plan = ops::plan_recovery(repository, chosen ? std::optional(backup) : std::nullopt, *target, app.run);
    backup = plan->backup;
  } else {
    backup = ops::resolve_backup(repository, backup, app.run);
  }
  ops::restore_backup(repository,
                      {.directory = args.directory,
                       .backup = backup,
                       .mask = args.mask,
                       .restore_spec = ops::read_restore_spec(args.restore_spec),
                       .restore_only = args.restore_only,
                       .reverse_unpack = args.reverse_unpack,
                       .skip_redundant_tars = args.skip_redundant_tars},
                      settings, app.run);
  if (plan) {
    ops::write_recovery_settings(args.directory, *plan, write_restore_command(args.directory, app), app.run);
  }
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> backup_fetch_command() {
  return cli::make_command<Args>({
      .name = "backup-fetch",
      .summary = "Restore a base backup, and set up recovery to a point in time",
      .manual = manuals::backup_fetch,
      .positionals = {{"destination_directory", "", "Where to restore.", &Args::directory, 0, true},
                      {"backup_name", "", "The backup, or LATEST.", &Args::backup}},
      .options = {{"target-user-data", "JSON", "The backup that carries this user data.", &Args::target_user_data},
                  {"mask", "PATTERN", "Only files whose path in the directory matches.", &Args::mask},
                  {"restore-spec", "FILE", "Other locations for the tablespaces.", &Args::restore_spec},
                  {"restore-only", "LIST", "Only these databases (db) and tables (db/table), and the system's.",
                   &Args::restore_only},
                  {"reverse-unpack", "", "A chain newest first: each page is written once.", &Args::reverse_unpack},
                  {"skip-redundant-tars", "", "With it, leave out parts that add nothing.", &Args::skip_redundant_tars},
                  {"target-time", "TIME", "Set up recovery to this moment.", &Args::time},
                  {"target-lsn", "LSN", "Set up recovery to this WAL position.", &Args::lsn},
                  {"target-xid", "XID", "Set up recovery to this transaction.", &Args::xid},
                  {"target-name", "NAME", "Set up recovery to this restore point.", &Args::name},
                  {"target-immediate", "", "Set up recovery to the end of the backup.", &Args::immediate},
                  {"target-timeline", "TIMELINE", "latest, current or a number.", &Args::timeline},
                  {"target-action", "ACTION", "pause, promote or shutdown at the target.", &Args::action},
                  {"target-storage", "NAME", "Only this storage.", &Args::target_storage}},
      .fails_with = {Errc::not_found, Errc::in_use, Errc::exists, Errc::incomplete, Errc::corrupt, Errc::no_space,
                     Errc::config, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
