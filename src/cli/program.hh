#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/command.hh"
#include "config/setting.hh"

namespace seawall::cli {

/// A program's face. Its command line knows `--help`, `--version`, `help [COMMAND|SETTING]`, `flags`,
/// `completion bash|zsh|fish`, unknown words (with the nearest known), settings as hidden flags
/// (`--walg-upload-concurrency 4`), `--config`, `--turbo`, `--log-format`. Go's pflag rules: `--flag=value`,
/// `--flag value`, `-f value`, `--` ends flags, flags anywhere.
///
/// `settings` are all settings groups' members, for hidden flags, help and unknown keys.
struct Program {
  std::string_view name;  ///< "seawall", or the persona's
  std::string_view version;
  std::span<const std::unique_ptr<AnyCommand>> commands;
  std::vector<const config::SettingBase*> settings;
  std::string_view revision = "release";  ///< the source's git revision where the build knows it
};

/// The command line taken apart; `command` is null when there is nothing to run: help, version, completion and wrong
/// command lines. Of the latter, `print` is WAL-G's one line, which scripts see, and `complaint` is ours for people.
struct Parsed {
  AnyCommand* command = nullptr;  ///< belongs to the program; its positionals and options are set
  std::string print;              ///< to stdout as it is, then exit with `exit_status`
  std::string complaint;          ///< to stderr as it is
  int exit_status = 0;
  std::optional<std::string> config_path;
  std::optional<std::string> log_format;
  bool turbo = false;
  std::vector<std::pair<std::string, std::string>> setting_flags;  ///< KEY, value
  std::vector<std::string> global_arguments;  ///< as `--name=value`, to be given to a child of ours
  std::optional<std::string> help_setting;    ///< `help SETTING`: its key; printed once the sources are loaded
};

/// `arguments` without the program's name. Throws nothing: a wrong command line is told in the result.
Parsed parse_command_line(const Program& program, std::span<const char* const> arguments);

std::string help_text(const Program& program);
std::string help_text(const Program& program, const AnyCommand& command);
/// The whole manual for a terminal, with usage, arguments and options: `help COMMAND`.
std::string manual_text(const Program& program, const AnyCommand& command);
/// What it is, its type, default and value, and where that came from; of a secret only whether it is set.
std::string help_setting(const config::SettingBase& setting);
/// The same for Parsed::help_setting: a setting of the program, or a key that is accepted but not acted on.
std::string help_setting(const Program& program, std::string_view key);
/// The hidden flags, one for every setting: `flags`.
std::string setting_flags_text(const Program& program);
/// A script for "bash", "zsh" or "fish"; empty for another shell.
std::string completion(const Program& program, std::string_view shell);

/// Markdown pages generated from the declarations: docs/settings.md, docs/exit-codes.md and docs/commands/NAME.md.
std::string settings_page(const Program& program);
std::string exit_codes_page(const Program& program);
std::string manual_page(const Program& program, const AnyCommand& command);

}  // namespace seawall::cli
