#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace seawall::config {

/// What a setting is, for parsing, help, completion and docs/settings.md. Declared once, where it is used.
template <class T>
struct About {
  std::string_view name;                         ///< as in the environment: "WALG_UPLOAD_CONCURRENCY"
  std::array<std::string_view, 3> aliases = {};  ///< other spellings, first found wins after `name`
  T initial = {};
  std::optional<std::pair<T, T>> range = {};
  bool secret = false;  ///< never logged, masked in help
  std::string_view doc;
  std::string_view kind = {};  ///< stands for the type in help where it says more: "path", "JSON", "NORMAL|DEVEL|ERROR"
};

/// Go's ParseBool: 1 t T TRUE true True 0 f F FALSE false False. Nothing on anything else.
std::optional<bool> parse_bool(std::string_view text);

/// A number of bytes; written plain or with kb, mb, gb (1024), as WAL-G's sizes.
struct ByteSize {
  std::uint64_t bytes = 0;
  auto operator<=>(const ByteSize&) const = default;
};

/// Where a value came from, for `seawall help SETTING`.
struct Origin {
  enum class Kind { initial, file, environment, flag } kind = Kind::initial;
  std::string detail;  ///< the file's path, the variable's or the flag's name
};

/// "default", "file /etc/x.json", "environment variable WALG_X", "flag --walg-x".
std::string origin_text(const Origin& origin);

class SettingBase {
 public:
  virtual ~SettingBase() = default;
  /// Throws Errc::config naming the setting, the value (unless secret) and what is accepted.
  virtual void parse(std::string_view text, Origin origin) = 0;
  /// All as text; `initial` is the default as one would write it.
  virtual About<std::string> describe() const = 0;
  virtual std::string_view type() const = 0;  ///< "integer", "size", "duration", "boolean", "text", "path", …
  virtual std::string value_text() const = 0;
  const Origin& origin() const { return origin_; }
  bool given() const { return origin_.kind != Origin::Kind::initial; }

 protected:
  Origin origin_;
};

/// A struct of settings; its members enlist themselves, so it is neither copied nor moved.
class Group {
 public:
  Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  void enlist(SettingBase& setting) { settings_.push_back(&setting); }
  std::span<SettingBase* const> settings() const { return settings_; }

 private:
  std::vector<SettingBase*> settings_;
};

/// T is bool, int, unsigned, std::uint64_t, std::string, ByteSize or std::chrono::nanoseconds.
template <class T>
class Setting final : public SettingBase {
 public:
  Setting(Group& owner, About<T> about) : about_(std::move(about)), value_(about_.initial) { owner.enlist(*this); }
  const T& operator()() const { return value_; }
  void parse(std::string_view text, Origin origin) override;
  About<std::string> describe() const override;
  std::string_view type() const override;
  std::string value_text() const override;

 private:
  About<T> about_;
  T value_;
};

extern template class Setting<bool>;
extern template class Setting<int>;
extern template class Setting<unsigned>;
extern template class Setting<std::uint64_t>;
extern template class Setting<std::string>;
extern template class Setting<ByteSize>;
extern template class Setting<std::chrono::nanoseconds>;

}  // namespace seawall::config
