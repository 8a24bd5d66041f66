#include <fmt/format.h>

#include "cli/detail/declared.hh"
#include "cli/detail/layout.hh"
#include "cli/program.hh"
#include "config/known_keys.hh"

namespace seawall::cli {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view mask = "********";

std::string flag_text(std::string_view name, std::string_view value, char letter) {
  const std::string start = letter != 0 ? fmt::format("-{}, ", letter) : std::string("    ");
  return fmt::format("{}--{}{}{}", start, name, value.empty() ? "" : " ", value);
}

std::string global_options(const Program& program) {
  Rows rows;
  for (const detail::GlobalFlag& flag : detail::global_flags()) {
    rows.emplace_back(flag_text(flag.name, flag.value, flag.letter), flag.help);
  }
  return fmt::format(
      "\nOptions of every command:\n{0}\nEvery setting is an option as well: see '{1} flags'.\n"
      "In front of everything, '--envdir DIR' takes the environment from a directory as envdir does, and\n"
      "'wal-e' stands for the name wal-e: see '{1} wal-e --help'.\n",
      detail::columns(rows), program.name);
}

std::string arguments_and_options(const AnyCommand& command) {
  std::string text;
  Rows rows;
  for (const auto& positional : command.positionals()) {
    const std::string name = detail::placeholder(positional);
    rows.emplace_back(positional.required ? name : fmt::format("[{}]", name), positional.help);
  }
  if (!rows.empty()) text += "\nArguments:\n" + detail::columns(rows);
  rows.clear();
  for (const auto& option : command.options()) {
    rows.emplace_back(flag_text(option.name, option.value, option.letter), option.help);
  }
  if (!rows.empty()) text += "\nOptions:\n" + detail::columns(rows);
  return text;
}

std::string usage(const Program& program, const AnyCommand& command) {
  return fmt::format("Usage: {} {}\n", program.name, detail::usage_of(command));
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

std::string type_text(const config::SettingBase& setting, const config::About<std::string>& about) {
  std::string type(setting.type());
  if (about.range) type += fmt::format(", {} to {}", about.range->first, about.range->second);
  return type;
}

std::string shown_value(const config::About<std::string>& about, const std::string& value) {
  if (value.empty()) return "(empty)";
  return about.secret ? std::string(mask) : value;
}

std::string help_known_key(const config::KnownKey& key) {
  const auto spellings = config::spellings(key);
  const std::string& name = spellings.front();
  Rows rows = {{"flag", detail::flag_of_key(name)}};
  if (spellings.size() > 1) rows.emplace_back("also", joined({spellings.begin() + 1, spellings.end()}));
  const std::string_view use =
      config::is_library_key(name)
          ? "Accepted, and handed to libraries through the environment; this version does not read it itself."
          : "Accepted, not used by this version.";
  return fmt::format("{}\n{}\n{}\n{}", name, detail::wrapped(key.doc, 2), detail::columns(rows),
                     detail::wrapped(use, 2));
}

}  // namespace

std::string help_text(const Program& program) {
  Rows rows;
  for (const auto& command : program.commands) {
    if (!command->hidden()) rows.emplace_back(command->name(), command->summary());
  }
  for (const detail::Builtin& builtin : detail::builtins()) {
    rows.emplace_back(fmt::format("{} {}", builtin.name, builtin.arguments), builtin.summary);
  }
  return fmt::format(
      "{0} keeps PostgreSQL recoverable: it archives WAL, takes base backups and restores them to any moment.\n"
      "\nUsage: {0} COMMAND [ARGUMENTS] [OPTIONS]\n\nCommands:\n{1}{2}\nA command's manual: '{0} help COMMAND'.\n",
      program.name, detail::columns(rows), global_options(program));
}

std::string help_text(const Program& program, const AnyCommand& command) {
  std::string text = fmt::format("{}.\n\n{}", command.summary(), usage(program, command));
  const std::string about = detail::first_paragraph(command.manual());
  if (!about.empty()) text += "\n" + detail::wrapped(about, 0);
  return fmt::format("{}{}{}\nThe whole manual: '{} help {}'.\n", text, arguments_and_options(command),
                     global_options(program), program.name, command.name());
}

std::string manual_text(const Program& program, const AnyCommand& command) {
  std::string manual = detail::terminal_text(command.manual());
  if (manual.empty()) manual = fmt::format("{}.\n", command.summary());
  return fmt::format("{}\n{}{}{}", usage(program, command), manual, arguments_and_options(command),
                     global_options(program));
}

std::string help_setting(const config::SettingBase& setting) {
  const auto about = setting.describe();
  const auto names = detail::spellings(about);
  Rows rows = {{"type", type_text(setting, about)}, {"default", shown_value(about, about.initial)}};
  if (names.size() > 1) rows.emplace_back("also", joined({names.begin() + 1, names.end()}));
  rows.emplace_back("flag", detail::flag_of_key(about.name));
  rows.emplace_back("value", shown_value(about, setting.value_text()));
  rows.emplace_back("from", config::origin_text(setting.origin()));
  return fmt::format("{}\n{}\n{}", about.name, detail::wrapped(about.doc, 2), detail::columns(rows));
}

std::string help_setting(const Program& program, std::string_view key) {
  if (const config::SettingBase* setting = detail::find_setting(program, key)) return help_setting(*setting);
  if (const config::KnownKey* known = config::find_known_key(key)) return help_known_key(*known);
  return {};
}

std::string setting_flags_text(const Program& program) {
  Rows used;
  Rows accepted;
  for (const config::SettingBase* setting : program.settings) {
    const auto about = setting->describe();
    used.emplace_back(fmt::format("{} {}", detail::flag_of_key(about.name), setting->type()), about.doc);
  }
  for (const config::KnownKey& key : config::known_keys()) {
    const std::string name = config::preferred_name(key);
    if (detail::find_setting(program, name) != nullptr) continue;
    accepted.emplace_back(detail::flag_of_key(name), key.doc);
  }
  return fmt::format(
      "A setting's flag is its name in lower case with '-' for '_'; each takes a value. A flag counts more than the\n"
      "environment, and that more than the settings file.\n\nSettings:\n{}\nAccepted, but not used by this version "
      "itself:\n{}",
      detail::columns(used), detail::columns(accepted));
}

}  // namespace seawall::cli
