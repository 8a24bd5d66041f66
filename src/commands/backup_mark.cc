#include "manuals/backup_mark.hh"
#include "commands/commands.hh"
#include "commands/whole_archive.hh"
#include "ops/mark_backup.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string name;
  bool impermanent = false;
};

int run(const Args& args, App& app) {
  const pipeline::Repository repository = app.open_repository();
  const std::string_view state = args.impermanent ? "impermanent" : "permanent";
  const std::vector<std::string> marked =
      ops::mark_backup(repository, args.name, !args.impermanent, catalogue_request(app), app.run);
  for (const std::string& backup : marked) app.run.log.info("{} is {} now", backup, state);
  if (marked.empty()) app.run.log.warning("{} is {} already: nothing was changed", args.name, state);
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> backup_mark_command() {
  return cli::make_command<Args>({
      .name = "backup-mark",
      .summary = "Mark a backup as permanent, so that no retention removes it, or take the mark off",
      .manual = manuals::backup_mark,
      .positionals = {{"backup_name", "", "The backup's name.", &Args::name, 0, true}},
      .options = {{"impermanent", "", "Take the mark off, of this backup alone.", &Args::impermanent, 'i'}},
      .fails_with = {Errc::usage, Errc::config, Errc::not_found, Errc::incomplete, Errc::corrupt, Errc::differs,
                     Errc::denied, Errc::network},
      .run = run,
  });
}

}  // namespace seawall::commands
