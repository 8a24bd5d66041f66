#include "storage/s3/profile_file.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"

namespace seawall::storage::s3 {
namespace {

constexpr std::string_view blanks = " \t";
constexpr std::size_t most_bytes = std::size_t{1} << 20;

/// Without a comment that follows a blank; "x#y" is a value.
std::string_view before_comment(std::string_view value) {
  for (std::size_t i = 1; i < value.size(); ++i) {
    if ((value[i] == '#' || value[i] == ';') && blanks.find(value[i - 1]) != std::string_view::npos) {
      return trim(value.substr(0, i));
    }
  }
  return trim(value);
}

/// "profile  'my own'" becomes "profile my own".
std::string section_name(std::string_view inner) {
  inner = trim(inner);
  const std::size_t blank = inner.find_first_of(blanks);
  const auto unquoted = [](std::string_view text) {
    const bool quoted =
        text.size() >= 2 && text.front() == text.back() && (text.front() == '"' || text.front() == '\'');
    return quoted ? text.substr(1, text.size() - 2) : text;
  };
  if (blank == std::string_view::npos) return std::string(unquoted(inner));
  return fmt::format("{} {}", inner.substr(0, blank), unquoted(trim(inner.substr(blank))));
}

class IniReader {
 public:
  explicit IniReader(std::string_view name) : name_(name) {}

  void line(std::string_view raw) {
    ++number_;
    const std::string_view text = trim(raw);
    if (text.empty() || text.front() == '#' || text.front() == ';') return;
    const std::size_t indent = raw.find_first_not_of(blanks);
    if (text.front() == '[') return open_section(text);
    if (!in_property_ || indent <= property_indent_) property(text, indent);
  }
  IniFile take() { return std::move(file_); }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(Errc::config, fmt::format("{}:{}: {}", name_, number_, what));
  }
  void open_section(std::string_view text) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) fail("the ']' of the section's name is missing");
    const std::string_view behind = trim(text.substr(close + 1));
    if (!behind.empty() && behind.front() != '#' && behind.front() != ';') {
      fail("nothing but a comment may follow the section's ']'");
    }
    const std::string name = section_name(text.substr(1, close - 1));
    if (name.empty()) fail("the section has no name");
    section_ = &file_[name];
    in_property_ = false;
  }
  void property(std::string_view text, std::size_t indent) {
    const std::size_t sign = text.find_first_of("=:");
    if (sign == std::string_view::npos) fail("this is neither '[section]' nor 'key = value'");
    const std::string key = lower(trim(text.substr(0, sign)));
    if (key.empty()) fail("there is no key before the '='");
    if (section_ == nullptr) fail("this key stands before the first '[section]'");
    // The leading blank lets a value that is nothing but a comment be seen as one.
    const std::string value = fmt::format(" {}", trim(text.substr(sign + 1)));
    (*section_)[key] = {std::string(before_comment(value)), number_};
    in_property_ = true;
    property_indent_ = indent;
  }

  std::string_view name_;
  IniFile file_;
  IniSection* section_ = nullptr;
  std::size_t number_ = 0;
  std::size_t property_indent_ = 0;
  bool in_property_ = false;
};

}  // namespace

std::optional<std::string> value_of(const Lookup& lookup, std::string_view key) {
  const std::optional<std::string> value = lookup(key);
  if (!value) return std::nullopt;
  const std::string_view text = trim(*value);
  return text.empty() ? std::nullopt : std::optional(std::string(text));
}

IniFile parse_ini(std::string_view text, std::string_view name) {
  static constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  IniReader reader(name);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    reader.line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return reader.take();
}

const Profile::Value* Profile::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() || found->second.text.empty() ? nullptr : &found->second;
}

std::string Profile::description() const { return fmt::format("profile '{}' in {}", name_, file_); }

void Profile::add(const IniSection& section, const std::string& file) {
  file_ = file;
  for (const auto& [key, value] : section) values_[key] = {value.text, fmt::format("{}:{}", file, value.line)};
}

ProfileFiles::ProfileFiles(const Lookup& lookup) {
  read(lookup, "AWS_CONFIG_FILE", "config");
  read(lookup, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
}

void ProfileFiles::read(const Lookup& lookup, std::string_view key, std::string_view default_name) {
  const auto say = [&](std::string_view what) {
    description_ += description_.empty() ? "" : ", ";
    description_ += what;
  };
  const std::optional<std::string> named = value_of(lookup, key);
  const std::optional<std::string> home = value_of(lookup, "HOME");
  if (!named && !home) return say(fmt::format("no ~/.aws/{} as HOME is not set", default_name));
  std::string path = named ? *named : fmt::format("{}/.aws/{}", *home, default_name);
  if (path.starts_with("~/") && home) path.replace(0, 1, *home);
  std::optional<std::string> text;
  try {
    text = try_read_file(path, most_bytes);
  } catch (Error& error) {
    if (named) throw error.during(key);
    return say(error.what());
  }
  if (!text) return say(fmt::format("{} (does not exist)", path));
  say(path);
  const IniFile file = parse_ini(*text, path);
  static constexpr std::string_view prefix = "profile ";
  // "[profile x]" is the config file's own form and wins over "[x]", which older tools accepted there.
  for (const bool prefixed : {false, true}) {
    for (const auto& [section_name, section] : file) {
      if (section_name.starts_with(prefix) != prefixed) continue;
      const std::string name = prefixed ? section_name.substr(prefix.size()) : section_name;
      profiles_.try_emplace(name, name).first->second.add(section, path);
    }
  }
}

const Profile* ProfileFiles::find(std::string_view name) const {
  const auto found = profiles_.find(name);
  return found == profiles_.end() ? nullptr : &found->second;
}

std::optional<std::string> chosen_profile(const Lookup& lookup) {
  if (auto name = value_of(lookup, "AWS_PROFILE")) return name;
  return value_of(lookup, "AWS_DEFAULT_PROFILE");
}

}  // namespace seawall::storage::s3
