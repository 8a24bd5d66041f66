#include "manuals/backup_push.hh"
#include "base/text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "ops/postgres_settings.hh"
#include "ops/take_backup.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string data_directory;
  bool permanent = false;
  bool full = false;
  bool verify = false;
  bool store_all_corrupt = false;
  bool rating_composer = false;
  bool copy_composer = false;
  bool database_composer = false;
  bool without_files_metadata = false;
  std::string delta_from_name;
  std::string delta_from_user_data;
  std::optional<std::string> user_data;
  std::string target_storage;
};

/// Deltas and other composers are a later version's; what is stored now is restorable by everyone.
void warn_about_full(const Args& args, const ops::TakeBackupSettings& settings, App& app) {
  const bool delta_asked = (settings.delta_max_steps() > 0 && !args.full) || !args.delta_from_name.empty() ||
                           !args.delta_from_user_data.empty();
  const bool composer_asked = args.rating_composer || args.copy_composer || args.database_composer;
  if (delta_asked || composer_asked) {
    app.run.log.warning("deltas and composers are not in this version: a full backup is taken");
  }
}

int run(const Args& args, App& app) {
  ops::TakeBackupSettings settings;
  ops::PostgresSettings postgres;
  app.sources.load(settings);
  app.sources.load(postgres);
  const pipeline::Repository repository = app.open_repository();
  refuse_unknown_storage(args.target_storage, repository);
  warn_about_full(args, settings, app);

  const bool remote = args.data_directory.empty();
  // The server that verifies what it sends fails the backup for one bad page, so it must have been asked for.
  const bool verify = settings.verify_page_checksums() && (!remote || settings.verify_page_checksums.given());
  ops::TakeBackupRequest request{
      .data_directory = remote ? std::nullopt : std::optional(args.data_directory),
      .permanent = args.permanent,
      .verify = args.verify || verify,
      .store_all_corrupt_blocks = args.store_all_corrupt || settings.store_all_corrupt_blocks(),
      .without_files_metadata = args.without_files_metadata || settings.without_files_metadata(),
      .unlimited = app.turbo,
      .user_data = args.user_data};
  if (!request.user_data && settings.user_data.given()) request.user_data = settings.user_data();
  const std::string name = ops::take_backup(repository, request, settings, postgres, app.run);
  app.run.log.info("Wrote backup with name {} to storage {}", name, repository.name);
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> backup_push_command() {
  return cli::make_command<Args>({
      .name = "backup-push",
      .summary = "Take a base backup of a running cluster",
      .manual = manuals::backup_push,
      .positionals = {{"db_directory", "", "The cluster's data directory; without it the server sends its files.",
                       &Args::data_directory}},
      .options = {{"permanent", "", "Mark the backup permanent: retention never removes it.", &Args::permanent, 'p'},
                  {"full", "", "A full backup even where a delta would be possible.", &Args::full, 'f'},
                  {"verify", "", "Verify page checksums (the default if the cluster has them).", &Args::verify, 'v'},
                  {"store-all-corrupt", "", "Record all bad blocks of a file, not only ten.", &Args::store_all_corrupt,
                   's'},
                  {"rating-composer", "", "Accepted.", &Args::rating_composer, 'r'},
                  {"copy-composer", "", "Accepted.", &Args::copy_composer, 'c'},
                  {"database-composer", "", "Accepted.", &Args::database_composer, 'b'},
                  {"delta-from-name", "NAME", "Accepted; a full backup is taken.", &Args::delta_from_name},
                  {"delta-from-user-data", "JSON", "Accepted; a full backup is taken.", &Args::delta_from_user_data},
                  {"add-user-data", "JSON", "Store this with the backup; it can select it later.", &Args::user_data},
                  {"without-files-metadata", "", "Write no files_metadata.json.", &Args::without_files_metadata},
                  {"target-storage", "NAME", "Only this storage.", &Args::target_storage}},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::foreign, Errc::exists, Errc::timeout,
                     Errc::incomplete, Errc::no_space, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
