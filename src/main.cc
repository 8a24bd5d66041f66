// Builds clock, log, settings and the list of commands, and runs one of them; signal_watch, repositories and stores
// beside it are parts of it, and wal_e_main what it is under the name wal-e. Nothing else ends the process.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>

#include "base/text.hh"
#include "cli/exit_status.hh"
#include "cli/program.hh"
#include "cli/wal_e_setup.hh"
#include "commands/app.hh"
#include "commands/schedule_settings.hh"
#include "config/envdir.hh"
#include "config/known_keys.hh"
#include "crypto/settings.hh"
#include "ops/check_backups.hh"
#include "ops/dump.hh"
#include "ops/expire_settings.hh"
#include "ops/fetch_wal.hh"
#include "ops/integrity_settings.hh"
#include "ops/load_catalogue.hh"
#include "ops/push_wal.hh"
#include "ops/restore_backup.hh"
#include "ops/server_programs.hh"
#include "ops/take_backup.hh"
#include "repositories.hh"
#include "signal_watch.hh"
#include "stores.hh"
#include "wal_e_main.hh"

extern char** environ;  // NOLINT: POSIX

namespace seawall {
namespace {

/// What the process itself is told, beside the settings of operations.
struct ProcessSettings : config::Group {
  config::Setting<std::string> log_level{
      *this, {.name = "WALG_LOG_LEVEL", .initial = "NORMAL", .doc = "NORMAL, DEVEL (adds debug lines) or ERROR."}};
  config::Setting<std::string> log_destination{
      *this, {.name = "WALG_LOG_DESTINATION", .initial = "stderr", .doc = "File that log lines are appended to."}};
  config::Setting<std::string> log_format{
      *this, {.name = "SEAWALL_LOG_FORMAT", .initial = "text", .doc = "text, or json: one object a line."}};
};

/// Every setting that this build acts on: for hidden flags, help, unknown keys and docs/settings.md.
struct AllSettings {
  ProcessSettings process;
  StoreSettings stores;
  crypto::CryptoSettings crypto;
  ops::PostgresSettings postgres;
  ops::PushWalSettings push_wal;
  ops::FetchWalSettings fetch_wal;
  ops::TakeBackupSettings take_backup;
  ops::RestoreSettings restore;
  ops::CatalogueSettings catalogue;
  ops::IntegritySettings integrity;
  ops::ExpireSettings expire;
  ops::ServerSettings server;
  ops::CheckSettings check;
  commands::ScheduleSettings schedule;
  ops::DumpSettings dump;
  cli::WalESettings wal_e;

  std::vector<config::Group*> groups() {
    return {&process,   &stores.common, &stores.s3, &crypto, &postgres, &push_wal, &fetch_wal, &take_backup, &restore,
            &catalogue, &integrity,     &expire,    &server, &check,    &schedule, &dump,      &wal_e};
  }
  std::vector<const config::SettingBase*> list() {
    std::vector<const config::SettingBase*> all;
    std::set<std::string_view> names;  // several operations share some settings
    for (config::Group* group : groups()) {
      for (const config::SettingBase* setting : group->settings()) {
        if (names.insert(setting->describe().name).second) all.push_back(setting);
      }
    }
    return all;
  }
};

/// Every spelling of every setting, and of every key that is accepted without effect.
std::vector<std::string> all_setting_names(const std::vector<const config::SettingBase*>& settings) {
  std::vector<std::string> names;
  for (const config::SettingBase* setting : settings) {
    const config::About<std::string> about = setting->describe();
    names.emplace_back(about.name);
    for (const std::string_view alias : about.aliases) {
      if (!alias.empty()) names.emplace_back(alias);
    }
  }
  for (const config::KnownKey& key : config::known_keys()) {
    for (std::string& spelling : config::spellings(key)) names.push_back(std::move(spelling));
  }
  return names;
}

LogLevel least_level(const std::string& name) {
  if (name == "NORMAL") return LogLevel::info;
  if (name == "DEVEL") return LogLevel::debug;
  if (name == "ERROR") return LogLevel::error;
  throw Error(Errc::config, fmt::format("WALG_LOG_LEVEL is '{}'; NORMAL, DEVEL and ERROR are possible", name));
}

LogFormat log_format(const std::string& name) {
  if (name == "text") return LogFormat::text;
  if (name == "json") return LogFormat::json;
  throw Error(Errc::config, fmt::format("the log format is '{}'; text and json are possible", name));
}

int log_descriptor(const std::string& destination) {
  if (destination.empty() || destination == "stderr") return STDERR_FILENO;
  const int fd = ::open(destination.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) throw system_error(errno, "WALG_LOG_DESTINATION " + destination);
  return fd;
}

/// Flags first, then the environment, then the file; whatever is odd is told, and the run goes on, as with WAL-G.
void load_sources(config::Sources& sources, const cli::Parsed& parsed, std::vector<std::string>& warnings) {
  for (const auto& [key, value] : parsed.setting_flags) sources.add_flag(key, value, "--" + lower(key));
  if (parsed.log_format) sources.add_flag("SEAWALL_LOG_FORMAT", *parsed.log_format, "--log-format");
  sources.add_environment(environ);
  const auto file = config::settings_file(parsed.config_path, environ);
  if (!file) return;
  try {
    sources.add_file(*file);
  } catch (const Error& error) {
    warnings.push_back(fmt::format("the settings file is not used: {}", error.what()));
  }
}

void warn_about_unknown(const config::Sources& sources, const std::vector<const config::SettingBase*>& settings,
                        Log& log) {
  const std::vector<std::string> known = all_setting_names(settings);
  for (const std::string& key : sources.unknown(known)) {
    const auto near = nearest(key, known);
    // Scripts have variables of that prefix too; of ours only a misspelling is worth a line.
    if (!near && key.starts_with("SEAWALL_")) continue;
    log.warning("{} is unknown{}", key, near ? fmt::format("; did you mean {}?", *near) : "");
  }
}

/// What PostgreSQL makes of wal-fetch's status decides whether recovery stops or ends early (R1), so every failure of
/// it, also of its settings or for want of memory, is told from "not there" and from mistakes on the command line.
int failure_status(const cli::AnyCommand* command, Errc code, AllSettings& settings, const config::Sources& sources) {
  const bool fetches = command != nullptr && command->name() == "wal-fetch";
  if (!fetches || code == Errc::usage || code == Errc::cancelled) {
    return cli::exit_status(command != nullptr ? command->name() : "", code);
  }
  try {
    sources.load(settings.fetch_wal);
  } catch (const Error&) {
    // One of them is what failed; the others have their defaults.
  }
  return ops::fetch_failure_status(settings.fetch_wal, ".");
}

int run_command(const cli::Program& program, const cli::Parsed& parsed, const char* program_path, AllSettings& settings,
                config::Sources& sources) {
  std::vector<std::string> warnings;
  load_sources(sources, parsed, warnings);
  for (config::Group* group : settings.groups()) {
    // Of settings that this command does not use, a bad value is no reason to fail.
    if (group == &settings.process || parsed.help_setting) sources.load(*group);
  }
  for (const auto& [name, value] : sources.to_export()) ::setenv(name.c_str(), value.c_str(), 1);

  SystemClock clock;
  FdLog log(log_descriptor(settings.process.log_destination()), least_level(settings.process.log_level()),
            log_format(settings.process.log_format()), clock);
  for (const std::string& warning : warnings) log.warning("{}", warning);
  warn_about_unknown(sources, program.settings, log);
  if (parsed.help_setting) {
    std::cout << cli::help_setting(program, *parsed.help_setting);
    return 0;
  }

  static SignalWatch& signals = *new SignalWatch;  // its thread lives as long as the process
  const std::unique_ptr<Progress> progress = make_progress(STDERR_FILENO, log, clock);
  App app{.run = {clock, log, *progress, signals.token()},
          .sources = sources,
          .program = program_path,
          .global_arguments = parsed.global_arguments,
          .turbo = parsed.turbo,
          .out = std::cout,
          .open_repository = [&] { return open_repository(sources, parsed.turbo, log, clock, signals.token()); },
          .open_repository_of =
              [&](const std::string& path, config::Sources& from) {
                return open_repository_of(path, from, parsed.turbo, log, clock, signals.token());
              },
          .documentation = program};
  int status = 0;
  try {
    status = parsed.command->run(app);
  } catch (const Error& error) {
    progress->done();
    log.error("{}", error.what());
    if (!info(error.code()).hint.empty()) log.info("{}", info(error.code()).hint);
    status = failure_status(parsed.command, error.code(), settings, sources);
  }
  std::cout.flush();
  if (status != 0 && signals.received() != 0) SignalWatch::die_of(signals.received());
  return status;
}

/// The backup container's programs are commands of ours: their names stand for these words.
std::vector<const char*> words_of_name(const std::string& name) {
  if (name == "check_backup") return {"check", "backup"};
  if (name == "restore") return {"restore"};
  return {};
}

/// `--envdir DIR` in front of everything else.
std::span<char*> take_envdir(std::span<char*> arguments) {
  if (arguments.empty()) return arguments;
  std::string_view word = arguments.front();
  if (!word.starts_with("--envdir")) return arguments;
  word.remove_prefix(std::string_view("--envdir").size());
  const bool apart = word.empty();
  if (!apart && !word.starts_with('=')) return arguments;
  if (apart && arguments.size() < 2) throw Error(Errc::usage, "--envdir needs a directory");
  const std::string directory(apart ? std::string_view(arguments[1]) : word.substr(1));
  for (const auto& [name, value] : config::read_envdir(directory)) {
    value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }
  return arguments.subspan(apart ? 2 : 1);
}

int start(int argc, char** argv) {
  const std::string name = std::filesystem::path(argv[0]).filename();
  const std::span<char*> given = take_envdir({argv + 1, argc > 0 ? static_cast<std::size_t>(argc - 1) : 0});
  const std::span<const char* const> arguments(given.data(), given.size());
  if (name == "wal-e") return start_wal_e(arguments, {}, argv[0]);
  if (!given.empty() && std::string_view(given.front()) == "wal-e") {
    return start_wal_e(arguments.subspan(1), {"wal-e"}, argv[0]);
  }
  const std::vector<std::unique_ptr<cli::AnyCommand>> commands = all_commands();
  AllSettings settings;
  const cli::Program program{.name = name == "wal-g" ? "wal-g" : "seawall",
                             .version = SEAWALL_VERSION,
                             .commands = commands,
                             .settings = settings.list(),
                             .revision = SEAWALL_REVISION};
  std::vector<const char*> words = words_of_name(name);
  words.insert(words.end(), arguments.begin(), arguments.end());
  const cli::Parsed parsed = cli::parse_command_line(program, words);
  if (parsed.command == nullptr && !parsed.help_setting) {
    std::cout << parsed.print << std::flush;
    std::cerr << parsed.complaint;
    return parsed.exit_status;
  }
  config::Sources sources;
  try {
    return run_command(program, parsed, argv[0], settings, sources);
  } catch (const Error& error) {
    std::cerr << "ERROR: " << error.what() << '\n';
    return failure_status(parsed.command, error.code(), settings, sources);
  } catch (const std::exception& error) {
    std::cerr << "ERROR: " << error.what() << '\n';
    return failure_status(parsed.command, Errc::bug, settings, sources);
  }
}

}  // namespace
}  // namespace seawall

int main(int argc, char** argv) {
  try {
    return seawall::start(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "ERROR: " << error.what() << '\n';
    return 1;
  }
}
