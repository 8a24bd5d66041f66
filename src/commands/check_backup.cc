#include <fmt/format.h>

#include <filesystem>

#include "base/text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "manuals/check_backup.hh"
#include "ops/check_backups.hh"
#include "ops/postgres_settings.hh"

namespace seawall::commands {
namespace {

using ops::BackupHealth;

struct Args {
  bool server = false;
  bool nagios = false;
  bool json = false;
};

constexpr int unhealthy = 1;
constexpr int nagios_critical = 2;
constexpr int nagios_unknown = 3;

/// "3 d 4 h", "12 min 5 s".
std::string spoken(std::chrono::seconds age) {
  const std::int64_t s = age.count();
  if (s >= 86400) return fmt::format("{} d {} h", s / 86400, s / 3600 % 24);
  if (s >= 3600) return fmt::format("{} h {} min", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} s", s);
}

std::string_view verdict(bool ok) { return ok ? "ok" : "NOT OK"; }

std::string backup_line(const BackupHealth& health) {
  if (!health.backup) return "no base backup";
  return fmt::format("base backup {}, {} ago, limit {}", health.backup->name, spoken(health.backup->age),
                     spoken(health.backup_limit));
}

std::string wal_line(const BackupHealth& health) {
  if (!health.wal) return "no WAL file";
  return fmt::format(
      "WAL file {}, {} ago, limit {}{}", health.wal->name, spoken(health.wal->age), spoken(health.wal_limit),
      health.wal_fresh() && health.wal->age > health.wal_limit ? "; the server has nothing to archive" : "");
}

std::string gap_line(const BackupHealth& health) {
  if (!health.missing.empty()) return fmt::format("WAL segment {} is missing since the backup", health.missing);
  return fmt::format("{} WAL segments since the backup, without a gap", health.segments);
}

std::string server_line(const ops::ArchiverState& server, bool file_missing) {
  if (!server.archives) return "the server does not archive: archive_mode is off";
  std::string line = server.last_archived.empty()
                         ? "the server archived nothing yet"
                         : fmt::format("the server archived {} {} ago, {} more wait", server.last_archived,
                                       spoken(server.archived_ago.value_or(std::chrono::seconds(0))), server.waiting);
  if (file_missing) line += "; that file is not in this archive";
  if (server.failed_ago) line += fmt::format("; failed with {} {} ago", server.last_failed, spoken(*server.failed_ago));
  return line;
}

struct Finding {
  std::string_view name;
  bool ok;
  std::string text;
};

std::vector<Finding> findings(const BackupHealth& health) {
  std::vector<Finding> all{{"base_backup", health.backup_fresh(), backup_line(health)},
                           {"wal", health.wal_fresh(), wal_line(health)}};
  if (health.backup) all.push_back({"gap", health.missing.empty(), gap_line(health)});
  if (health.server) {
    all.push_back({"server", health.server_well(), server_line(*health.server, health.server_file_missing)});
  }
  return all;
}

std::string dated_json(const std::optional<ops::Dated>& dated, std::chrono::seconds limit) {
  if (!dated) return "null";
  return fmt::format("{{\"name\":{},\"age_seconds\":{},\"limit_seconds\":{}}}", json_string(dated->name),
                     dated->age.count(), limit.count());
}

void print_json(const BackupHealth& health, App& app) {
  app.out << fmt::format("{{\"ok\":{},\"base_backup\":{},\"wal\":{},\"segments_since_backup\":{},\"missing\":{}",
                         health.ok(), dated_json(health.backup, health.backup_limit),
                         dated_json(health.wal, health.wal_limit), health.segments,
                         health.missing.empty() ? "null" : json_string(health.missing));
  if (health.server) {
    app.out << fmt::format(",\"server\":{{\"last_archived\":{},\"waiting\":{},\"ok\":{}}}",
                           json_string(health.server->last_archived), health.server->waiting, health.server_well());
  }
  app.out << ",\"findings\":[";
  std::string_view comma;
  for (const Finding& finding : findings(health)) {
    app.out << fmt::format("{}{{\"name\":\"{}\",\"ok\":{},\"text\":{}}}", comma, finding.name, finding.ok,
                           json_string(finding.text));
    comma = ",";
  }
  app.out << "]}\n";
}

/// One line with performance data, as plug-ins print it.
int print_nagios(const BackupHealth& health, App& app) {
  std::string words;
  for (const Finding& finding : findings(health)) {
    if (health.ok() || !finding.ok) words += (words.empty() ? "" : "; ") + finding.text;
  }
  std::string data;
  if (health.backup) {
    data += fmt::format(" backup_age={}s;;{};0", health.backup->age.count(), health.backup_limit.count());
  }
  if (health.wal) data += fmt::format(" wal_age={}s;;{};0", health.wal->age.count(), health.wal_limit.count());
  app.out << fmt::format("SEAWALL {} - {}{}{}\n", health.ok() ? "OK" : "CRITICAL", words, data.empty() ? "" : " |",
                         data);
  return health.ok() ? 0 : nagios_critical;
}

int print_text(const BackupHealth& health, App& app) {
  for (const Finding& finding : findings(health)) {
    app.out << fmt::format("{:<7}{}\n", verdict(finding.ok), finding.text);
  }
  app.out << (health.ok() ? "backups ok\n" : "backups NOT OK\n");
  return health.ok() ? 0 : unhealthy;
}

/// Word for word what the container's script prints, two blanks included: what watches it may compare them.
int print_as_container(bool wal, bool backup, App& app) {
  if (wal && backup) {
    app.out << "backups ok\n";
    return 0;
  }
  const auto truth = [](bool value) { return value ? "True" : "False"; };
  app.out << fmt::format("wal file check ok:  {}\nbase backup check ok:  {}\n", truth(wal), truth(backup));
  return unhealthy;
}

bool as_container(const App& app) { return std::filesystem::path(app.program).filename() == "check_backup"; }

/// The server is asked where the environment says which, and then it need not answer.
std::optional<ops::ArchiverState> server_state(const Args& args, App& app) {
  if (args.server) return ops::ask_archiver(app.run);
  if (!app.sources.find("PGHOST") && !app.sources.find("PGSERVICE")) return std::nullopt;
  try {
    return ops::ask_archiver(app.run);
  } catch (const Error& error) {
    if (error.code() == Errc::cancelled) throw;
    app.run.log.warning("the server was not asked: {}", error.what());
    return std::nullopt;
  }
}

BackupHealth look(const Args& args, App& app) {
  ops::CheckSettings limits;
  ops::PostgresSettings postgres;
  app.sources.load(limits);
  app.sources.load(postgres);
  const pipeline::Repository repository = app.open_repository();
  std::optional<ops::ArchiverState> server;
  if (!as_container(app)) server = server_state(args, app);
  return ops::check_backups(repository, limits, std::move(server), postgres.wal_segment_bytes(), app.run);
}

/// The script knows two statuses: what could not be looked at is not well, and the log says why.
int run_as_container(const Args& args, App& app) {
  try {
    const BackupHealth health = look(args, app);
    return print_as_container(health.wal && health.wal->age < health.wal_limit,
                              health.backup && health.backup->age < health.backup_limit, app);
  } catch (const Error& error) {
    if (error.code() == Errc::cancelled) throw;
    app.run.log.error("{}", error.what());
    return print_as_container(false, false, app);
  }
}

/// A plug-in has a status of its own for "could not find out", and its one line on stdout.
int run_as_plug_in(const Args& args, App& app) {
  try {
    return print_nagios(look(args, app), app);
  } catch (const Error& error) {
    app.out << "SEAWALL UNKNOWN - " << error.what() << '\n';
    return nagios_unknown;
  }
}

int run(const Args& args, App& app) {
  if (args.nagios && args.json) throw Error(Errc::usage, "give --nagios or --json, not both");
  if (args.nagios) return run_as_plug_in(args, app);
  if (as_container(app) && !args.json) return run_as_container(args, app);
  const BackupHealth health = look(args, app);
  if (!args.json) return print_text(health, app);
  print_json(health, app);
  return health.ok() ? 0 : unhealthy;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> check_backup_command() {
  return cli::make_command<Args>({
      .name = "check backup",
      .summary = "Tell whether base backups and WAL keep coming, for a health check",
      .manual = manuals::check_backup,
      .positionals = {},
      .options = {{"server", "", "Ask the server about its archiving too, and fail if it does not answer.",
                   &Args::server},
                  {"nagios", "", "One line and the statuses 0, 2 and 3, as plug-ins have them.", &Args::nagios},
                  {"json", "", "One JSON object.", &Args::json}},
      .fails_with = {Errc::usage, Errc::config, Errc::corrupt, Errc::denied, Errc::network, Errc::db, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
