#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.hh"
#include "cli/detail/declared.hh"
#include "config/known_keys.hh"

namespace seawall::cli::detail {
namespace {

constexpr auto globals = std::to_array<GlobalFlag>({
    {"config", "PATH", "Settings file (JSON, YAML or TOML); otherwise WALG_CONFIG_PATH, then ~/.walg.json", 0},
    {"turbo", "", "Run without the configured rate limits", 0},
    {"log-format", "text|json", "How lines of the log are written (default text)", 0},
    {"help", "", "Show help", 'h'},
    {"version", "", "Show the version", 0},
});

constexpr auto own_commands = std::to_array<Builtin>({
    {"help", "[COMMAND|SETTING]", "Show a command's manual, or a setting with its value and origin"},
    {"flags", "", "List the flags that stand for settings"},
    {"completion", "bash|zsh|fish", "Print a script that completes command lines"},
});

}  // namespace

std::span<const GlobalFlag> global_flags() noexcept { return globals; }
std::span<const Builtin> builtins() noexcept { return own_commands; }

AnyCommand* find_command(const Program& program, std::string_view name) {
  for (const auto& command : program.commands) {
    if (command->name() == name) return command.get();
  }
  return nullptr;
}

const Builtin* find_builtin(std::string_view name) noexcept {
  const auto found =
      std::find_if(own_commands.begin(), own_commands.end(), [&](const Builtin& b) { return b.name == name; });
  return found == own_commands.end() ? nullptr : &*found;
}

const config::SettingBase* find_setting(const Program& program, std::string_view key) {
  for (const config::SettingBase* setting : program.settings) {
    const auto about = setting->describe();
    if (about.name == key) return setting;
    if (std::find(about.aliases.begin(), about.aliases.end(), key) != about.aliases.end()) return setting;
  }
  return nullptr;
}

bool accepts_key(const Program& program, std::string_view key) {
  if (key.empty()) return false;
  return find_setting(program, key) != nullptr || config::find_known_key(key) != nullptr;
}

std::string flag_of_key(std::string_view key) {
  std::string flag = "--" + lower(key);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string key_of_word(std::string_view word) {
  while (word.starts_with('-')) word.remove_prefix(1);
  std::string key = upper(word);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

std::vector<std::string> spellings(const config::About<std::string>& about) {
  std::vector<std::string> all = {std::string(about.name)};
  for (const std::string_view alias : about.aliases) {
    if (!alias.empty()) all.emplace_back(alias);
  }
  return all;
}

std::vector<std::string> all_keys(const Program& program) {
  std::vector<std::string> all;
  for (const config::SettingBase* setting : program.settings) {
    for (std::string& name : spellings(setting->describe())) all.push_back(std::move(name));
  }
  for (const config::KnownKey& row : config::known_keys()) {
    for (std::string& name : config::spellings(row)) all.push_back(std::move(name));
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::string placeholder(const AnyCommand::OptionInfo& positional) { return upper(positional.name); }

std::string usage_of(const AnyCommand& command) {
  std::string usage(command.name());
  for (const auto& positional : command.positionals()) {
    usage += fmt::format(fmt::runtime(positional.required ? " {}" : " [{}]"), placeholder(positional));
  }
  return usage + " [options]";
}

}  // namespace seawall::cli::detail
