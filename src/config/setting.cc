#include "config/setting.hh"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::config {
namespace {

struct Unit {
  std::string_view suffix;
  std::uint64_t bytes;
};
constexpr std::array<Unit, 3> units{{{"gb", 1ULL << 30}, {"mb", 1ULL << 20}, {"kb", 1ULL << 10}}};

/// A file writer that knows only one kind of number spells 16 as 16.0.
std::string_view without_zero_fraction(std::string_view text) {
  const auto dot = text.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == text.size()) return text;
  const bool zeros = text.substr(dot + 1).find_first_not_of('0') == std::string_view::npos;
  return zeros ? text.substr(0, dot) : text;
}

std::optional<std::uint64_t> read_bytes(std::string_view text) {
  const std::string small = lower(text);
  std::string_view digits = small;
  std::uint64_t factor = 1;
  for (const Unit& unit : units) {
    if (digits.ends_with(unit.suffix)) {
      digits.remove_suffix(unit.suffix.size());
      digits = trim(digits);
      factor = unit.bytes;
      break;
    }
  }
  const auto count = parse_int<std::uint64_t>(without_zero_fraction(digits));
  if (!count || *count > std::numeric_limits<std::uint64_t>::max() / factor) return std::nullopt;
  return *count * factor;
}

template <class T>
std::optional<T> read(std::string_view text) {
  if constexpr (std::is_same_v<T, bool>) {
    return parse_bool(trim(text));
  } else if constexpr (std::is_integral_v<T>) {
    return parse_int<T>(without_zero_fraction(trim(text)));
  } else if constexpr (std::is_same_v<T, ByteSize>) {
    const auto bytes = read_bytes(trim(text));
    return bytes ? std::optional(ByteSize{*bytes}) : std::nullopt;
  } else if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) {
    return parse_duration(trim(text));
  } else {
    return std::string(text);
  }
}

template <class T>
std::string write(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    return fmt::to_string(value);
  } else if constexpr (std::is_same_v<T, ByteSize>) {
    for (const Unit& unit : units) {
      if (value.bytes != 0 && value.bytes % unit.bytes == 0) {
        return fmt::format("{}{}", value.bytes / unit.bytes, unit.suffix);
      }
    }
    return fmt::to_string(value.bytes);
  } else if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) {
    return duration_text(value);
  } else {
    return value;
  }
}

template <class T>
constexpr std::string_view accepted() {
  if constexpr (std::is_same_v<T, bool>) return "true or false (also 1, t, 0, f)";
  if constexpr (std::is_same_v<T, int>) return "a whole number";
  if constexpr (std::is_unsigned_v<T>) return "a whole number that is not negative";
  if constexpr (std::is_same_v<T, ByteSize>) return "a number of bytes, plain or with kb, mb or gb";
  if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) return "a duration such as 500ms, 90s or 1h30m";
  return "text";
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  constexpr std::array<std::string_view, 6> yes = {"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::array<std::string_view, 6> no = {"0", "f", "F", "FALSE", "false", "False"};
  if (std::find(yes.begin(), yes.end(), text) != yes.end()) return true;
  if (std::find(no.begin(), no.end(), text) != no.end()) return false;
  return std::nullopt;
}

std::string origin_text(const Origin& origin) {
  switch (origin.kind) {
    case Origin::Kind::file:
      return "file " + origin.detail;
    case Origin::Kind::environment:
      return "environment variable " + origin.detail;
    case Origin::Kind::flag:
      return "flag " + origin.detail;
    case Origin::Kind::initial:
      break;
  }
  return "default";
}

template <class T>
void Setting<T>::parse(std::string_view text, Origin origin) {
  std::optional<T> value = read<T>(text);
  const bool in_range =
      value && (!about_.range || (!(*value < about_.range->first) && !(about_.range->second < *value)));
  if (!in_range) {
    const std::string shown = about_.secret ? std::string("its value (not shown, it is a secret)") : json_string(text);
    std::string expected(accepted<T>());
    if (about_.range)
      expected += fmt::format(", from {} to {}", write(about_.range->first), write(about_.range->second));
    throw Error(Errc::config, fmt::format("{}: {} (from {}) is not accepted: give {}", about_.name, shown,
                                          origin_text(origin), expected));
  }
  value_ = std::move(*value);
  origin_ = std::move(origin);
}

template <class T>
About<std::string> Setting<T>::describe() const {
  About<std::string> text{.name = about_.name,
                          .aliases = about_.aliases,
                          .initial = write(about_.initial),
                          .range = std::nullopt,
                          .secret = about_.secret,
                          .doc = about_.doc,
                          .kind = about_.kind};
  if (about_.range) text.range.emplace(write(about_.range->first), write(about_.range->second));
  return text;
}

template <class T>
std::string_view Setting<T>::type() const {
  if (!about_.kind.empty()) return about_.kind;
  if constexpr (std::is_same_v<T, bool>) return "boolean";
  if constexpr (std::is_integral_v<T>) return "integer";
  if constexpr (std::is_same_v<T, ByteSize>) return "size";
  if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) return "duration";
  return "text";
}

template <class T>
std::string Setting<T>::value_text() const {
  return write(value_);
}

template class Setting<bool>;
template class Setting<int>;
template class Setting<unsigned>;
template class Setting<std::uint64_t>;
template class Setting<std::string>;
template class Setting<ByteSize>;
template class Setting<std::chrono::nanoseconds>;

}  // namespace seawall::config
