#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "manuals/dump.hh"
#include "ops/dump.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::vector<std::string> databases;
  std::vector<std::string> excluded;
  bool no_globals = false;
  bool no_role_passwords = false;
  bool no_rotation = false;
};

void rotate(const pipeline::Repository& repository, const ops::DumpSettings& settings, const ops::DumpRun& done,
            const Run& run) {
  std::vector<std::string> databases;
  for (const archive::Dump& dump : done.taken) databases.push_back(dump.database);
  for (const archive::Dump& gone : ops::expire_dumps(repository, settings.rotation(), databases, false, run)) {
    run.log.info("removed '{}'", repository.key(gone.object));
  }
}

int run(const Args& args, App& app) {
  ops::DumpSettings settings;
  app.sources.load(settings);
  const pipeline::Repository repository = app.open_repository();
  const ops::DumpRun done = ops::take_dumps(repository, settings,
                                            {.databases = args.databases,
                                             .excluded = args.excluded,
                                             .globals = !args.no_globals,
                                             .role_passwords = !args.no_role_passwords},
                                            app.run);
  if (!done.taken.empty()) app.out << done.taken.front().name << '\n';
  if (!args.no_rotation) rotate(repository, settings, done, app.run);
  if (done.failed.empty()) return 0;
  std::vector<std::string> names;
  for (const std::string& name : done.failed) names.push_back(name.empty() ? "the globals" : json_string(name));
  throw Error(Errc::incomplete, fmt::format("not dumped: {}", fmt::join(names, ", ")));
}

}  // namespace

std::unique_ptr<cli::AnyCommand> dump_command() {
  return cli::make_command<Args>({
      .name = "dump",
      .summary = "Dump databases with pg_dump into the archive, and rotate the dumps",
      .manual = manuals::dump,
      .positionals = {{"databases", "", "Databases to dump; without any, all but the templates.", &Args::databases}},
      .options = {{"exclude", "DATABASE", "Leave this one out; may be given several times.", &Args::excluded},
                  {"no-globals", "", "Leave out roles and tablespaces.", &Args::no_globals},
                  {"no-role-passwords", "", "Roles without their passwords, which only a superuser may read.",
                   &Args::no_role_passwords},
                  {"no-rotation", "", "Remove no older dump.", &Args::no_rotation}},
      .fails_with = {Errc::config, Errc::db, Errc::denied, Errc::foreign, Errc::incomplete, Errc::network,
                     Errc::no_space, Errc::not_found, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
