#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "base/run.hh"
#include "cli/command.hh"
#include "cli/program.hh"
#include "config/sources.hh"
#include "pipeline/repository.hh"

namespace seawall {

/// What main built for the command that runs. Nothing in it is opened before a command asks for it.
struct App {
  Run run;
  const config::Sources& sources;
  std::string program;                        ///< argv[0], for starting ourselves again
  std::vector<std::string> global_arguments;  ///< flags that a child of ours must be given too
  bool turbo = false;                         ///< --turbo: rate limits are off
  std::ostream& out;                          ///< data goes here, logs never do
  /// Opens the configured archive: main alone knows the drivers. Errc::config if none or a broken one is configured.
  std::function<pipeline::Repository()> open_repository;
  /// Opens the archive that the settings file at this path says, and it alone: of the environment only credentials
  /// and HOME count. Gives its settings as well. Archives in one bucket share a store.
  std::function<pipeline::Repository(const std::string& path, config::Sources& settings)> open_repository_of;
  const cli::Program& documentation;  ///< all declarations, for the hidden command that prints docs/
};

/// Every command, in the order of help. An explicit list: nothing registers itself.
std::vector<std::unique_ptr<cli::AnyCommand>> all_commands();

}  // namespace seawall
