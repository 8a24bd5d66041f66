#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/setting.hh"

namespace seawall::config {

/// The raw key/value pairs a run was given, highest first: flag > environment > file. Keys are case-insensitive and
/// kept in upper case. An empty environment variable counts as unset; trailing CR and LF of values are dropped.
class Sources {
 public:
  struct Value {
    std::string text;
    Origin origin;
  };

  void add_flag(std::string_view key, std::string_view text, std::string_view flag);
  void add_environment(const char* const* environment);
  /// Reads JSON, YAML or TOML by extension. Nested objects are flattened to their text for keys that take JSON.
  /// Errc::config if it cannot be parsed, with line and column where the format's parser tells them;
  /// Errc::not_found if it is not there.
  void add_file(const std::string& path);

  std::optional<Value> find(std::string_view key) const;
  /// Sets what is given; name first, then aliases.
  void load(Group& group) const;

  /// Keys of the file, and WALG_/WALE_/SEAWALL_ variables of the environment, that `known` does not hold.
  std::vector<std::string> unknown(const std::vector<std::string>& known) const;
  /// PG* and AWS_* keys of the file that the environment does not set: name and value, to be exported by main before
  /// any thread starts, so that libpq sees them.
  std::vector<std::pair<std::string, std::string>> to_export() const;

 private:
  std::map<std::string, Value, std::less<>> flags_, environment_, file_;
};

/// Where the settings file is: the flag, WALG_CONFIG_PATH, or .walg.{json,yaml,yml,toml} in the home directory of the
/// passwd entry; nothing if none of them exists. An explicit path is returned even if it does not exist.
std::optional<std::string> settings_file(std::optional<std::string> flag, const char* const* environment);

}  // namespace seawall::config
