#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/setting.hh"

namespace seawall::config {

/// The raw key/value pairs a run was given, highest first: flag > environment > file. Keys are case-insensitive and
/// kept in upper case, but of the environment only names in upper case count. An empty environment variable and a null
/// in the file count as unset; trailing CR and LF of values are dropped. Not thread-safe while it is being filled.
class Sources {
 public:
  struct Value {
    std::string text;
    Origin origin;
  };

  void add_flag(std::string_view key, std::string_view text, std::string_view flag);
  void add_environment(const char* const* environment);
  /// Reads JSON, YAML or TOML by extension; with another one or none, JSON and then YAML are tried. Numbers keep their
  /// spelling as far as the format's parser tells it, nested values become compact JSON text for keys that take JSON.
  /// Errc::config if it cannot be parsed, with the line where the format's parser tells it (nothing of the file was
  /// taken then), Errc::not_found if it is not there. No message quotes the file: it may hold secrets.
  void add_file(const std::string& path);

  std::optional<Value> find(std::string_view key) const;
  /// Sets what is given; name first, then aliases. Throws what Setting::parse throws.
  void load(Group& group) const;

  /// Keys of the file, and WALG_/WALE_/SEAWALL_ variables of the environment, that neither `known` (any case) nor
  /// config/known_keys.hh holds. PG*, AWS_* and OS_* keys are never unknown. In byte order, each once.
  std::vector<std::string> unknown(const std::vector<std::string>& known) const;
  /// PG*, AWS_* and OS_* keys that were given as flags, and those of the file that the environment does not set: name
  /// and value, to be exported by main before any thread starts, so that libpq sees them.
  std::vector<std::pair<std::string, std::string>> to_export() const;
  /// What this run was given, each key once with the value that counts: all of the flags and the file, and of the
  /// environment what has one of seawall's or a storage's prefixes. For a child that will run in another environment.
  /// In byte order.
  std::vector<std::pair<std::string, std::string>> given() const;

 private:
  std::map<std::string, Value, std::less<>> flags_, environment_, file_;
};

/// Where the settings file is: the flag, WALG_CONFIG_PATH, or .walg.{json,yaml,yml,toml} in the home directory of the
/// passwd entry; nothing if none of them exists. An explicit path is returned even if it does not exist.
std::optional<std::string> settings_file(std::optional<std::string> flag, const char* const* environment);

}  // namespace seawall::config
