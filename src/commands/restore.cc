#include <fmt/format.h>

#include <filesystem>

#include "archive/backup_folder.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "commands/restore_command.hh"
#include "commands/verify_print.hh"
#include "manuals/restore.hh"
#include "ops/recovering_server.hh"
#include "ops/restore_cluster.hh"
#include "ops/verify_restore.hh"

namespace seawall::commands {
namespace {

struct Args : ops::TargetFlags {
  std::vector<std::string> words;
  std::string restore_spec;
  bool start = false;
  std::string wait;
  std::vector<std::string> server_options;
  std::string verify_only;
  std::vector<std::string> sql;
  std::string database = "postgres";
  std::string report = "text";
  std::string output;
  bool keep = false;
};

/// Where the container keeps its cluster; the name `restore` is the container's too.
constexpr std::string_view container_directory = "/pgdata";

bool names_backup(const std::string& word) { return word == "LATEST" || archive::is_backup_name(word); }

struct Words {
  std::string backup;
  std::string directory;
};

std::string setting(const App& app, std::string_view name) {
  const auto found = app.sources.find(name);
  return found ? found->text : std::string();
}

std::string default_directory(const App& app) {
  if (std::string pgdata = setting(app, "PGDATA"); !pgdata.empty()) return pgdata;
  const bool container = std::filesystem::path(app.program).filename() == "restore";
  return container ? std::string(container_directory) : std::string();
}

/// [NAME] [DIRECTORY]: each may be left out, so that one word is what it looks like.
Words words_of(const Args& args, const App& app) {
  const std::vector<std::string>& words = args.words;
  const bool verify = !args.verify_only.empty();
  if (words.size() > (verify ? 1 : 2)) {
    throw Error(Errc::usage, fmt::format("'{}' is one word too many: {}", words.back(),
                                         verify ? "restore --verify-only DIRECTORY [NAME|LATEST]"
                                                : "restore [NAME|LATEST] DIRECTORY"));
  }
  Words meant;
  if (words.size() == 2) {
    meant = {.backup = words[0], .directory = words[1]};
  } else if (words.size() == 1 && (verify || names_backup(words[0]))) {
    meant.backup = words[0];
  } else if (words.size() == 1) {
    meant.directory = words[0];
  }
  if (verify) return meant;
  if (meant.directory.empty()) meant.directory = default_directory(app);
  if (meant.directory.empty()) {
    throw Error(Errc::usage, "where to? Give the directory, or set PGDATA: restore [NAME|LATEST] DIRECTORY");
  }
  return meant;
}

void check_options(const std::vector<std::string>& options) {
  for (const std::string& option : options) {
    if (option.find('=') == std::string::npos || option.starts_with('=')) {
      throw Error(Errc::usage, fmt::format("--server-option '{}' is not of the form name=value", option));
    }
  }
}

ops::Patience patience_of(const Args& args) {
  if (args.wait.empty()) return std::nullopt;
  const auto duration = parse_duration(args.wait);
  if (!duration || *duration <= std::chrono::nanoseconds(0)) {
    throw Error(Errc::usage, fmt::format("--wait is '{}': give a time such as 90s, 10m or 2h", args.wait));
  }
  return duration;
}

std::string role_of(const App& app) {
  const std::string given = setting(app, "PGUSER");
  return given.empty() ? "postgres" : given;
}

ops::ClusterRequest cluster_request(const Args& args, const Words& words, const ops::ServerSettings& server, App& app) {
  const std::string& given = server.restore_command();
  return {.directory = words.directory,
          .backup = words.backup,
          .target = ops::parse_target(args),
          .restore_spec = ops::read_restore_spec(args.restore_spec),
          .wal_from_archive = given.empty(),
          .restore_command = [given, &app](const std::string& directory) {
            return given.empty() ? write_restore_command(directory, app) : given;
          }};
}

/// A server that runs but cannot be asked is no failure: pg_hba.conf is the cluster's own.
void print_how_far(const ops::ServerPrograms& programs, const ops::ServerState& state, const std::string& directory,
                   App& app) {
  app.out << fmt::format("server process {}, port {}, {}\n", state.pid, state.port,
                         state.ready ? "accepts connections" : "consistent, and closed until recovery is over");
  if (!state.ready) return;
  try {
    const ops::Reached reached = ops::ask_how_far(programs, state, directory, role_of(app), app.run);
    app.out << fmt::format("recovered to {}{} on timeline {}, {}\n", reached.lsn,
                           reached.time.empty() ? "" : fmt::format(", last transaction at {}", reached.time),
                           reached.timeline, reached.in_recovery ? "still in recovery" : "recovery is over");
  } catch (const Error& error) {
    if (error.code() == Errc::cancelled) throw;
    app.run.log.warning("{}", error.what());
  }
}

int restore(const Args& args, const Words& words, const ops::ServerSettings& server, App& app) {
  if (!args.sql.empty() || args.keep || !args.output.empty()) {
    throw Error(Errc::usage, "--sql, --keep and --output go with --verify-only");
  }
  if (!args.start && (!args.wait.empty() || !args.server_options.empty())) {
    throw Error(Errc::usage, "--wait and --server-option go with --start or --verify-only");
  }
  ops::RestoreSettings settings;
  app.sources.load(settings);
  const ops::Patience patience = patience_of(args);
  const ops::ClusterRequest request = cluster_request(args, words, server, app);
  const ops::RestoredCluster restored = ops::restore_cluster(app.open_repository(), request, settings, app.run);
  app.out << fmt::format("{} restored into {}\n", restored.backup, words.directory) << std::flush;
  if (!args.start) return 0;
  const std::string directory = std::filesystem::absolute(words.directory);
  const auto programs = ops::ServerPrograms::find(server.bindir(), restored.pg_version, app.run);
  const ops::ServerState state =
      ops::start_server(programs, directory, args.server_options, directory + "/seawall_start.log", patience, app.run);
  print_how_far(programs, state, directory, app);
  return 0;
}

using Printer = std::string (*)(const ops::VerifyReport&);

Printer printer_of(const std::string& format) {
  if (format == "text") return verify_text;
  if (format == "json") return verify_json;
  if (format == "junit") return verify_junit;
  throw Error(Errc::usage, fmt::format("--report is '{}'; text, json and junit are possible", format));
}

int verify(const Args& args, const Words& words, const ops::ServerSettings& server, App& app) {
  if (args.start || !args.restore_spec.empty() || args.action) {
    throw Error(Errc::usage, "--start, --restore-spec and --target-action do not go with --verify-only");
  }
  const Printer print = printer_of(args.report);
  ops::RestoreSettings settings;
  app.sources.load(settings);
  const ops::VerifyRequest request{.place = args.verify_only,
                                   .cluster = cluster_request(args, words, server, app),
                                   .bindir = server.bindir(),
                                   .server_options = args.server_options,
                                   .sql_files = args.sql,
                                   .database = args.database,
                                   .role = role_of(app),
                                   .keep = args.keep,
                                   .patience = patience_of(args)};
  const ops::VerifyReport report = ops::verify_restore(app.open_repository(), request, settings, app.run);
  if (args.output.empty()) {
    app.out << print(report) << std::flush;
  } else {
    replace_file(args.output, print(report), 0644);
  }
  if (request.keep) app.run.log.info("What was restored is kept in {}", report.scratch);
  const ops::VerifyStep* failure = report.failure();
  if (failure == nullptr) return 0;
  throw Error(failure->code, fmt::format("{}: {}", failure->name, failure->detail));
}

int run(const Args& args, App& app) {
  ops::ServerSettings server;
  app.sources.load(server);
  check_options(args.server_options);
  const Words words = words_of(args, app);
  return args.verify_only.empty() ? restore(args, words, server, app) : verify(args, words, server, app);
}

}  // namespace

std::unique_ptr<cli::AnyCommand> restore_command() {
  return cli::make_command<Args>({
      .name = "restore",
      .summary = "Restore a cluster ready to be started, start it, or only prove that it can be",
      .manual = manuals::restore,
      .positionals = {{"words", "", "[NAME|LATEST] DIRECTORY: the backup, and where to.", &Args::words}},
      .options = {{"target-time", "TIME", "Recover to this moment.", &Args::time},
                  {"target-lsn", "LSN", "Recover to this WAL position.", &Args::lsn},
                  {"target-xid", "XID", "Recover to this transaction.", &Args::xid},
                  {"target-name", "NAME", "Recover to this restore point.", &Args::name},
                  {"target-immediate", "", "Recover to the end of the backup.", &Args::immediate},
                  {"target-timeline", "TIMELINE", "latest, current or a number.", &Args::timeline},
                  {"target-action", "ACTION", "pause, promote or shutdown at the target.", &Args::action},
                  {"restore-spec", "FILE", "Other locations for the tablespaces.", &Args::restore_spec},
                  {"start", "", "Start the server, and wait until it is consistent.", &Args::start},
                  {"wait", "TIME", "No longer than that: 10m. Without it as long as the server lives.", &Args::wait},
                  {"server-option", "NAME=VALUE", "A setting for the server that is started.", &Args::server_options},
                  {"verify-only", "DIRECTORY", "Restore in here, check, and throw it away.", &Args::verify_only},
                  {"sql", "FILE", "With it: run this file in the restored cluster.", &Args::sql},
                  {"database", "NAME", "In this database.", &Args::database},
                  {"report", "FORMAT", "text, json or junit.", &Args::report},
                  {"output", "FILE", "Where the report goes instead of stdout.", &Args::output},
                  {"keep", "", "Do not throw it away.", &Args::keep}},
      .fails_with = {Errc::usage, Errc::config, Errc::not_found, Errc::in_use, Errc::exists, Errc::incomplete,
                     Errc::corrupt, Errc::db, Errc::denied, Errc::no_space, Errc::timeout, Errc::network,
                     Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
