#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/program.hh"

/// What parser, help, completion and pages all need to know of a program's declarations.
namespace seawall::cli::detail {

/// A flag that every command takes.
struct GlobalFlag {
  std::string_view name, value, help;  // no value: a switch
  char letter;
};
std::span<const GlobalFlag> global_flags() noexcept;

/// A command of the command line itself.
struct Builtin {
  std::string_view name, arguments, summary;
};
std::span<const Builtin> builtins() noexcept;

AnyCommand* find_command(const Program& program, std::string_view name);
const Builtin* find_builtin(std::string_view name) noexcept;
/// By its name or an alias, in upper case; null if the program has none.
const config::SettingBase* find_setting(const Program& program, std::string_view key);
/// A setting of the program, or one that is only accepted (config/known_keys.hh).
bool accepts_key(const Program& program, std::string_view key);

std::string flag_of_key(std::string_view key);                                ///< "WALG_X" → "--walg-x"
std::string key_of_word(std::string_view word);                               ///< "--walg-x", "walg_x" → "WALG_X"
std::vector<std::string> spellings(const config::About<std::string>& about);  ///< name and aliases
/// Every spelling of every key that is accepted, in byte order: to find the nearest one.
std::vector<std::string> all_keys(const Program& program);

/// "wal-fetch WAL_NAME DEST [options]", without the program's name.
std::string usage_of(const AnyCommand& command);
std::string placeholder(const AnyCommand::OptionInfo& positional);  ///< "backup_name" → "BACKUP_NAME"

}  // namespace seawall::cli::detail
