#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/s3/credentials.hh"

namespace seawall::storage::s3 {

/// What a key is set to, trimmed; nothing if it is unset or blank.
std::optional<std::string> value_of(const Lookup& lookup, std::string_view key);

struct IniValue {
  std::string text;
  std::size_t line = 0;
};
using IniSection = std::map<std::string, IniValue, std::less<>>;  ///< by key, in lower case
using IniFile = std::map<std::string, IniSection, std::less<>>;   ///< by name: "default", "profile backup"

/// The dialect of AWS's shared files: '=' or ':' after the key, comments with '#' or ';' on a line of their own or
/// after a blank, lines indented deeper than the property before belong to its value and are left out ("s3 =" and its
/// sub- settings); a section that stands there twice is one, later values win. Errc::config naming `name` and the line,
/// never its content.
IniFile parse_ini(std::string_view text, std::string_view name);

/// A profile as both files together describe it.
class Profile {
 public:
  struct Value {
    std::string text;
    std::string where;  ///< "/root/.aws/config:12"
  };
  Profile() = default;
  explicit Profile(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  /// Null if it is not set, or empty.
  const Value* find(std::string_view key) const;
  /// "profile 'backup' in /root/.aws/credentials": the file that last had a word in it.
  std::string description() const;
  void add(const IniSection& section, const std::string& file);

 private:
  std::string name_;
  std::string file_;
  std::map<std::string, Value, std::less<>> values_;
};

/// The shared config and credentials files: AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE, else those in ~/.aws. What
/// both set, the credentials file decides. Read when constructed. A file that does not exist is no error, nor is one
/// that nobody named and that cannot be read; denied if one that was named cannot be.
class ProfileFiles {
 public:
  explicit ProfileFiles(const Lookup& lookup);
  /// Null if neither file has it.
  const Profile* find(std::string_view name) const;
  /// "/root/.aws/config (does not exist), /root/.aws/credentials", for messages.
  const std::string& description() const { return description_; }

 private:
  void read(const Lookup& lookup, std::string_view key, std::string_view default_name);

  std::map<std::string, Profile, std::less<>> profiles_;
  std::string description_;
};

/// AWS_PROFILE, AWS_DEFAULT_PROFILE; nothing if neither is set: "default", which need not exist.
std::optional<std::string> chosen_profile(const Lookup& lookup);

}  // namespace seawall::storage::s3
