#include <fmt/format.h>

#include <cstring>

#include "commands/app.hh"
#include "commands/commands.hh"
#include "commands/detached_spawn.hh"
#include "manuals/wal_fetch.hh"
#include "ops/fetch_wal.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string name;
  std::string destination;
  std::string target_storage;
};

void start_prefetch(const Args& args, std::uint64_t segment_bytes, App& app) {
  std::vector<std::string> arguments{app.program, "wal-prefetch", args.name, args.destination};
  arguments.insert(arguments.end(), app.global_arguments.begin(), app.global_arguments.end());
  arguments.push_back(fmt::format("--walg-pg-wal-size={}", segment_bytes >> 20));
  DetachedSpawn spawn(app.run.log.enabled(LogLevel::debug));
  if (const int failure = spawn.start(arguments)) {
    app.run.log.warning("cannot start '{} wal-prefetch': {}", app.program, std::strerror(failure));
  }
}

int run(const Args& args, App& app) {
  ops::FetchWalSettings settings;
  app.sources.load(settings);
  const auto open = [&] {
    pipeline::Repository repository = app.open_repository();
    refuse_unknown_storage(args.target_storage, repository);
    return repository;
  };
  const auto fetched = ops::fetch_wal(open, args.name, args.destination, settings, app.run);
  if (!fetched) {
    app.run.log.info("'{}' is not in the archive", args.name);
    return ops::missing_wal_status;
  }
  // After a missing file nothing is started: a server that asks in vain does so again and again.
  // A single one is not worth a process: WAL-G takes 1 for "none ahead".
  const unsigned ahead = settings.download_concurrency();
  if (fetched->segment_bytes && ahead > 1 &&
      ops::prefetch_is_due(ops::prefetch_folders(settings, args.destination), ahead, args.name,
                           *fetched->segment_bytes)) {
    start_prefetch(args, *fetched->segment_bytes, app);
  }
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> wal_fetch_command() {
  return cli::make_command<Args>({
      .name = "wal-fetch",
      .summary = "Bring a WAL file back: PostgreSQL's restore_command",
      .manual = manuals::wal_fetch,
      .positionals = {{"wal_name", "", "The file's name; %f in restore_command.", &Args::name, 0, true},
                      {"destination_filename", "", "Where it goes; %p in restore_command.", &Args::destination, 0,
                       true}},
      .options = {{"target-storage", "NAME", "Only this storage.", &Args::target_storage}},
      .fails_with = {Errc::usage, Errc::config, Errc::exists, Errc::not_found, Errc::corrupt, Errc::foreign,
                     Errc::unsupported, Errc::denied, Errc::no_space, Errc::network, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
