#include "wal_e_main.hh"

#include <fmt/format.h>

#include <cstdlib>
#include <iostream>

#include "cli/program.hh"
#include "cli/wal_e_arguments.hh"
#include "cli/wal_e_log.hh"
#include "cli/wal_e_setup.hh"
#include "commands/app.hh"
#include "commands/wal_e.hh"
#include "repositories.hh"
#include "signal_watch.hh"

extern char** environ;  // NOLINT: POSIX

namespace seawall {
namespace {

/// What wal-e runs with once its storage is known.
int run_as_wal_e(const cli::WalEParsed& parsed, std::vector<std::string> child_words, const char* program_path,
                 cli::WalESetup& setup, cli::WalELog& log, config::Sources& sources, SystemClock& clock) {
  setup.configure(sources);
  for (const auto& [name, value] : sources.to_export()) ::setenv(name.c_str(), value.c_str(), 1);
  SilentProgress progress;
  static SignalWatch& signals = *new SignalWatch;  // its thread lives as long as the process
  const cli::Program no_documentation{};
  child_words.insert(child_words.end(), parsed.globals.begin(), parsed.globals.end());
  App app{.run = {clock, log, progress, signals.token()},
          .sources = sources,
          .program = program_path,
          .global_arguments = std::move(child_words),
          .turbo = false,
          .out = std::cout,
          .open_repository =
              [&] {
                pipeline::Repository repository = open_repository(sources, false, log, clock, signals.token());
                if (repository.crypter == nullptr) repository.reader_of_openpgp = reader_of_openpgp(sources, clock);
                return repository;
              },
          .documentation = no_documentation};
  commands::WalERun run{parsed.arguments, app, log, setup.file_root()};
  int status = 0;
  try {
    status = commands::run_wal_e(run);
  } catch (const Error& error) {
    if (signals.received() == 0) throw;
    log.error("{}", error.what());
    status = 1;
  }
  std::cout.flush();
  if (status != 0 && signals.received() != 0) SignalWatch::die_of(signals.received());
  return status;
}

}  // namespace

int start_wal_e(std::span<const char* const> arguments, std::vector<std::string> child_words,
                const char* program_path) {
  const cli::WalEParsed parsed = cli::parse_wal_e_arguments(arguments);
  if (!parsed.print.empty() || !parsed.complaint.empty()) {
    std::cout << parsed.print << std::flush;
    std::cerr << parsed.complaint;
    return parsed.complaint.empty() ? 0 : 2;
  }
  const std::string& command = parsed.arguments.command;
  if (command == "version") {
    std::cout << commands::wal_e_version << '\n';
    return 0;
  }
  SystemClock clock;
  cli::WalESetup setup(parsed.arguments, environ);
  cli::WalELog log(setup.log_settings(), clock);
  if (!command.empty() && !command.starts_with("wal-")) {
    log.record({.message = "starting WAL-E", .detail = fmt::format("The subcommand is \"{}\".", command)});
  }
  config::Sources sources;
  try {
    return run_as_wal_e(parsed, std::move(child_words), program_path, setup, log, sources, clock);
  } catch (const Error& error) {
    std::cout.flush();
    log.record({.level = LogLevel::error, .message = error.what(), .hint = info(error.code()).hint});
    return commands::wal_e_failure(command, error.code(), sources);
  } catch (const std::exception& error) {
    log.error("{}", error.what());
    return commands::wal_e_failure(command, Errc::bug, sources);
  }
}

}  // namespace seawall
