#include "config/sources.hh"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "config/detail/settings_text.hh"
#include "config/known_keys.hh"

namespace seawall::config {
namespace {

constexpr std::size_t max_file_bytes = std::size_t{4} << 20;
constexpr std::string_view path_variable = "WALG_CONFIG_PATH";

std::string without_line_end(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  return std::string(text);
}

detail::Pairs read_pairs(std::string_view text, const std::string& path) {
  const std::string extension = lower(std::filesystem::path(path).extension().native());
  if (extension == ".json") return detail::read_json(text, path);
  if (extension == ".yaml" || extension == ".yml") return detail::read_yaml(text, path);
  if (extension == ".toml") return detail::read_toml(text, path);
  return detail::is_json(text) ? detail::read_json(text, path) : detail::read_yaml(text, path);
}

/// The home directory of the passwd entry, not $HOME: archive_command may run with any environment.
std::optional<std::string> home_directory() {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return std::nullopt;
  if (found->pw_dir == nullptr || *found->pw_dir == '\0') return std::nullopt;
  return std::string(found->pw_dir);
}

bool is_ours(std::string_view key) {
  return key.starts_with("WALG_") || key.starts_with("WALE_") || key.starts_with("SEAWALL_");
}

}  // namespace

void Sources::add_flag(std::string_view key, std::string_view text, std::string_view flag) {
  flags_.insert_or_assign(upper(key), Value{without_line_end(text), {Origin::Kind::flag, std::string(flag)}});
}

void Sources::add_environment(const char* const* environment) {
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const auto equals = entry.find('=');
    if (equals == std::string_view::npos || equals + 1 == entry.size()) continue;
    const std::string name(entry.substr(0, equals));
    if (upper(name) != name) continue;
    std::string text = without_line_end(entry.substr(equals + 1));
    if (text.empty()) continue;
    environment_.insert_or_assign(name, Value{std::move(text), {Origin::Kind::environment, name}});
  }
}

void Sources::add_file(const std::string& path) {
  const auto text = try_read_file(path, max_file_bytes);
  if (!text) throw Error(Errc::not_found, fmt::format("settings file {} does not exist", path));
  for (auto& [key, value] : read_pairs(*text, path)) {
    file_.insert_or_assign(upper(key), Value{without_line_end(value), {Origin::Kind::file, path}});
  }
}

std::optional<Sources::Value> Sources::find(std::string_view key) const {
  const std::string name = upper(key);
  for (const auto* level : {&flags_, &environment_, &file_}) {
    if (const auto found = level->find(name); found != level->end()) return found->second;
  }
  return std::nullopt;
}

void Sources::load(Group& group) const {
  for (SettingBase* setting : group.settings()) {
    const About<std::string> about = setting->describe();
    std::optional<Value> value = find(about.name);
    for (std::size_t i = 0; !value && i < about.aliases.size() && !about.aliases[i].empty(); ++i) {
      value = find(about.aliases[i]);
    }
    if (value) setting->parse(value->text, std::move(value->origin));
  }
}

std::vector<std::string> Sources::unknown(const std::vector<std::string>& known) const {
  std::set<std::string, std::less<>> names;
  for (const std::string& name : known) names.insert(upper(name));
  const auto is_known = [&](const std::string& key) {
    return key == path_variable || is_library_key(key) || find_known_key(key) != nullptr || names.contains(key);
  };
  std::set<std::string> found;
  for (const auto& [key, value] : file_) {
    if (!is_known(key)) found.insert(key);
  }
  for (const auto& [key, value] : environment_) {
    if (is_ours(key) && !is_known(key)) found.insert(key);
  }
  return {found.begin(), found.end()};
}

std::vector<std::pair<std::string, std::string>> Sources::to_export() const {
  std::map<std::string, std::string> exported;
  for (const auto& [key, value] : file_) {
    if (is_library_key(key) && !environment_.contains(key)) exported[key] = value.text;
  }
  for (const auto& [key, value] : flags_) {
    if (is_library_key(key)) exported[key] = value.text;
  }
  return {exported.begin(), exported.end()};
}

std::vector<std::pair<std::string, std::string>> Sources::given() const {
  std::map<std::string, std::string> all;
  for (const auto* source : {&flags_, &environment_, &file_}) {
    for (const auto& [key, value] : *source) {
      const bool ours = key.starts_with("WALG_") || key.starts_with("WALE_") || key.starts_with("SEAWALL_") ||
                        key.starts_with("AWS_") || find_known_key(key) != nullptr;
      if (source != &environment_ || ours) all.try_emplace(key, value.text);
    }
  }
  return {all.begin(), all.end()};
}

std::optional<std::string> settings_file(std::optional<std::string> flag, const char* const* environment) {
  if (flag && !flag->empty()) return flag;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    if (entry.size() > path_variable.size() + 1 && entry.starts_with(path_variable) &&
        entry[path_variable.size()] == '=') {
      return without_line_end(entry.substr(path_variable.size() + 1));
    }
  }
  const auto home = home_directory();
  if (!home) return std::nullopt;
  for (const std::string_view extension : {"json", "yaml", "yml", "toml"}) {
    std::string path = fmt::format("{}/.walg.{}", *home, extension);
    struct stat ignored {};
    if (::stat(path.c_str(), &ignored) == 0) return path;
  }
  return std::nullopt;
}

}  // namespace seawall::config
