#include <fmt/format.h>

#include "base/text.hh"
#include "base/time_text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "commands/restore_command.hh"
#include "manuals/standby_config.hh"
#include "ops/restore_cluster.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string directory;
  std::string delay;
  std::string primary;
  std::string version;
};

/// "15", "9.6" as version_of_directory() counts.
int parse_version(const std::string& text) {
  const std::vector<std::string_view> parts = split(text, '.');
  const auto major = parse_int<int>(parts[0]);
  const auto minor = parts.size() > 1 ? parse_int<int>(parts[1]) : std::optional<int>(0);
  if (!major || !minor || *major < 9 || *major > 99 || parts.size() > 2) {
    throw Error(Errc::usage, fmt::format("--pg-version is '{}': give a major version such as 15", text));
  }
  return *major * 10000 + (*major < 10 ? *minor * 100 : 0);
}

/// As the server reads a duration: whole milliseconds.
std::string delay_text(const std::string& text) {
  const auto delay = parse_duration(text);
  if (!delay || *delay < std::chrono::milliseconds(1) || *delay > std::chrono::hours(24) * 24) {
    throw Error(Errc::usage, fmt::format("--delay is '{}': give a time such as 30m or 6h, up to 24 days", text));
  }
  return fmt::format("{}ms", std::chrono::floor<std::chrono::milliseconds>(*delay).count());
}

int run(const Args& args, App& app) {
  const int version = args.version.empty() ? ops::version_of_directory(args.directory) : parse_version(args.version);
  std::string delay;
  if (!args.delay.empty()) delay = delay_text(args.delay);
  const std::string command = write_restore_command(args.directory, app);
  const bool old = version < 120000;
  const auto line = [&](std::string_view name, const std::string& value, std::string_view why) {
    app.out << fmt::format("{} = {}    # {}\n", name, ops::conf_quoted(value), why);
  };
  app.out << fmt::format(
      "# PostgreSQL {}: {}\n", version / 10000,
      old ? "into recovery.conf in the data directory"
          : "into postgresql.auto.conf or postgresql.conf, and an empty file standby.signal beside it");
  if (old) line("standby_mode", "on", "follow, and do not end at the last WAL");
  line("restore_command", command, "WAL from the archive");
  line("recovery_target_timeline", "latest", "follow a promotion");
  if (!args.primary.empty()) line("primary_conninfo", args.primary, "and the newest WAL from here");
  if (!delay.empty()) {
    line("recovery_min_apply_delay", delay, "so long a mistake can be caught: pg_wal_replay_pause(), then copy");
  }
  if (!old) line("hot_standby", "on", "queries are answered meanwhile");
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> standby_config_command() {
  return cli::make_command<Args>({
      .name = "standby-config",
      .summary = "Print the settings of a replica that lives on the archive, delayed or not",
      .manual = manuals::standby_config,
      .positionals = {{"directory", "", "The replica's data directory, restored before.", &Args::directory, 0, true}},
      .options = {{"delay", "TIME", "Stay so far behind: 6h.", &Args::delay},
                  {"primary", "CONNINFO", "Also stream from this server.", &Args::primary},
                  {"pg-version", "MAJOR", "Of which version, where the directory does not say.", &Args::version}},
      .fails_with = {Errc::usage, Errc::not_found, Errc::corrupt, Errc::denied},
      .run = run,
  });
}

}  // namespace seawall::commands
