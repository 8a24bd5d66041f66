#include "config/envdir.hh"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/error.hh"
#include "base/file.hh"

namespace seawall::config {
namespace {

constexpr std::size_t largest_value = std::size_t{1} << 20;

}  // namespace

std::string envdir_value(std::string_view content) {
  std::string value(content.substr(0, content.find('\n')));
  value.resize(value.find_last_not_of(" \t") + 1);
  std::replace(value.begin(), value.end(), '\0', '\n');
  return value;
}

std::vector<std::pair<std::string, std::optional<std::string>>> read_envdir(const std::string& directory) {
  std::vector<std::pair<std::string, std::optional<std::string>>> variables;
  std::error_code failure;
  std::filesystem::directory_iterator entries(directory, failure);
  if (failure) throw system_error(failure.value(), fmt::format("--envdir {}", directory));
  for (const std::filesystem::directory_entry& entry : entries) {
    const std::string name = entry.path().filename();
    if (name.starts_with('.')) continue;
    if (name.find('=') != std::string::npos || !entry.is_regular_file(failure)) {
      throw Error(Errc::config,
                  fmt::format("--envdir {}: {} is no file named as a variable", directory, entry.path().native()));
    }
    const auto content = try_read_file(entry.path(), largest_value);
    if (!content) continue;  // removed meanwhile
    variables.emplace_back(name, content->empty() ? std::nullopt : std::optional(envdir_value(*content)));
  }
  std::sort(variables.begin(), variables.end());
  return variables;
}

}  // namespace seawall::config
