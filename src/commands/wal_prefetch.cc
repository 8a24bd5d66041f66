#include "manuals/wal_prefetch.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "ops/postgres_settings.hh"
#include "ops/prefetch.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string name;
  std::string destination;
};

int run(const Args& args, App& app) {
  ops::FetchWalSettings settings;
  ops::PostgresSettings postgres;
  app.sources.load(settings);
  app.sources.load(postgres);
  ops::prefetch_wal(app.open_repository(),
                    ops::prefetch_after(args.name, postgres.wal_segment_bytes(), settings.download_concurrency(),
                                        ops::prefetch_folders(settings, args.destination), args.destination),
                    app.run);
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> wal_prefetch_command() {
  return cli::make_command<Args>({
      .name = "wal-prefetch",
      .summary = "Fetch the WAL segments that follow one; wal-fetch starts it",
      .manual = manuals::wal_prefetch,
      .positionals = {{"wal_name", "", "The segment that was fetched.", &Args::name, 0, true},
                      {"destination_filename", "", "Where it went.", &Args::destination, 0, true}},
      .options = {},
      .fails_with = {Errc::usage, Errc::config, Errc::denied, Errc::no_space, Errc::network, Errc::cancelled},
      .hidden = true,
      .run = run,
  });
}

}  // namespace seawall::commands
