#pragma once

#include <string>

#include "commands/app.hh"

namespace seawall::commands {

/// Writes `seawall_recovery.json` (mode 0600, owner of `directory`) with the settings of this run into the restored
/// directory and returns the restore_command that uses it: PostgreSQL runs it with an environment of its own, and a
/// secret must not stand in postgresql.auto.conf. Paths are made absolute.
std::string write_restore_command(const std::string& directory, const App& app);

}  // namespace seawall::commands
