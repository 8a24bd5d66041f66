#include "manuals/wal_push.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "ops/push_wal.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string file;
  std::string target_storage;
};

int run(const Args& args, App& app) {
  ops::PushWalSettings settings;
  ops::PostgresSettings postgres;
  app.sources.load(settings);
  app.sources.load(postgres);
  const pipeline::Repository repository = app.open_repository();
  refuse_unknown_storage(args.target_storage, repository);
  ops::push_wal(repository, args.file, settings, postgres, app.run);
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> wal_push_command() {
  return cli::make_command<Args>({
      .name = "wal-push",
      .summary = "Archive a WAL file: PostgreSQL's archive_command",
      .manual = manuals::wal_push,
      .positionals = {{"wal_filepath", "", "The file in pg_wal; %p in archive_command.", &Args::file, 0, true}},
      .options = {{"target-storage", "NAME", "Only this storage.", &Args::target_storage}},
      .fails_with = {Errc::usage, Errc::config, Errc::not_found, Errc::denied, Errc::corrupt, Errc::foreign,
                     Errc::differs, Errc::unsupported, Errc::no_space, Errc::network, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
