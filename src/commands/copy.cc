#include "ops/copy_archive.hh"

#include <fmt/format.h>

#include "base/text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "manuals/copy.hh"
#include "ops/postgres_settings.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string from, to, backup;
  bool with_history = false;
};

int run(const Args& args, App& app) {
  if (args.from.empty() || args.to.empty()) {
    throw Error(Errc::usage, "copy needs two settings files: --from FILE --to FILE");
  }
  config::Sources from_settings;
  config::Sources to_settings;
  const pipeline::Repository from = app.open_repository_of(args.from, from_settings);
  const pipeline::Repository to = app.open_repository_of(args.to, to_settings);
  ops::PostgresSettings cluster;
  from_settings.load(cluster);
  const ops::CopyResult result = ops::copy_archive(
      from, to,
      {.backup = args.backup, .with_history = args.with_history, .segment_bytes = cluster.wal_segment_bytes()},
      app.run);
  app.run.log.info("Success copy. {} objects ({}) were copied, {} were there", result.objects,
                   human_bytes(result.bytes), result.there);
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> copy_command() {
  return cli::make_command<Args>({
      .name = "copy",
      .summary = "Copy backups and their WAL into another archive",
      .manual = manuals::copy,
      .positionals = {},
      .options = {{"from", "FILE", "Settings file of the archive to read.", &Args::from, 'f'},
                  {"to", "FILE", "Settings file of the archive to write.", &Args::to, 't'},
                  {"backup-name", "NAME", "Only this backup, or LATEST, with what it stands on.", &Args::backup, 'b'},
                  {"with-history", "", "With all WAL from the backup to the newest.", &Args::with_history, 'w'}},
      .fails_with = {Errc::usage, Errc::config, Errc::not_found, Errc::incomplete, Errc::differs, Errc::foreign,
                     Errc::corrupt, Errc::network, Errc::no_space},
      .run = run,
  });
}

}  // namespace seawall::commands
