#include "cli/exit_status.hh"

#include <algorithm>
#include <array>

namespace seawall::cli {

bool is_walg_command(std::string_view command) noexcept {
  constexpr auto commands = std::to_array<std::string_view>({"",
                                                             "backup-fetch",
                                                             "backup-list",
                                                             "backup-mark",
                                                             "backup-push",
                                                             "backup-show",
                                                             "catchup-fetch",
                                                             "catchup-list",
                                                             "catchup-push",
                                                             "catchup-receive",
                                                             "catchup-send",
                                                             "completion",
                                                             "copy",
                                                             "daemon",
                                                             "delete",
                                                             "flags",
                                                             "help",
                                                             "pgbackrest",
                                                             "st",
                                                             "wal-fetch",
                                                             "wal-prefetch",
                                                             "wal-push",
                                                             "wal-receive",
                                                             "wal-restore",
                                                             "wal-show",
                                                             "wal-verify"});
  // "st check read" is one of "st".
  return std::find(commands.begin(), commands.end(), command.substr(0, command.find(' '))) != commands.end();
}

int exit_status(std::string_view command, Errc code) noexcept {
  return is_walg_command(command) ? 1 : info(code).exit_status;
}

}  // namespace seawall::cli
