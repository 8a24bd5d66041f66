#pragma once

#include <string_view>

#include "base/error.hh"

namespace seawall::cli {

/// The exit status of `command` ("" when none was recognised) that failed with `code`: 1 for the commands that WAL-G
/// has too, since scripts know no other from them, and the table's number (base/error.hh) for our own. What wal-fetch
/// tells PostgreSQL (74, 126) is decided by that command.
int exit_status(std::string_view command, Errc code) noexcept;

/// Is it a command that WAL-G for PostgreSQL has too? "" counts as one.
bool is_walg_command(std::string_view command) noexcept;

}  // namespace seawall::cli
