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
  std::string_view name;     ///< "seawall", or the persona's
  std::string_view version;
  std::span<const std::unique_ptr<AnyCommand>> commands;
  std::vector<const config::SettingBase*> settings;
};

/// The command line taken apart; `command` is null for help, version and completion.
struct Parsed {
  AnyCommand* command = nullptr;
  std::string print;                   ///< to stdout, then exit with `exit_status`
  int exit_status = 0;
  std::optional<std::string> config_path;
  std::optional<std::string> log_format;
  bool turbo = false;
  std::vector<std::pair<std::string, std::string>> setting_flags;  ///< KEY, value
  std::vector<std::string> global_arguments;
  std::optional<std::string> help_setting;  ///< `help SETTING`: printed once the sources are loaded
};
/// Throws Errc::usage.
Parsed parse_command_line(const Program& program, std::span<const char* const> arguments);

std::string help_text(const Program& program);
std::string help_text(const Program& program, const AnyCommand& command);
std::string help_setting(const config::SettingBase& setting);
std::string completion(const Program& program, std::string_view shell);
/// Markdown pages generated from the declarations: docs/settings.md and docs/exit-codes.md.
std::string settings_page(const Program& program);
std::string exit_codes_page(const Program& program);

}  // namespace seawall::cli
