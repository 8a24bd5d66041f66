#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace seawall {

/// Whole-string integer, base 10 unless given; nothing if anything else stands in `text`.
template <class T>
std::optional<T> parse_int(std::string_view text, int base = 10) {
  T value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failure != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// Both change ASCII letters only, whatever the locale.
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string_view trim(std::string_view text);
/// Every part, also empty ones; of "" one empty part.
std::vector<std::string_view> split(std::string_view text, char separator);

/// "1.5 GiB", "734 B": for people.
std::string human_bytes(std::uint64_t bytes);

/// The candidate with the smallest edit distance to `word`, if it is near enough to be what was meant.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// The text as a JSON string with its quotes. With `escape_html` it is, byte for byte, what Go's encoder gives: <, >, &
/// and the separators U+2028 and U+2029 are escaped.
/// Invalid UTF-8 is replaced by U+FFFD.
std::string json_string(std::string_view text, bool escape_html = false);

/// Go's filepath.Match: '*' and '?' do not match '/', '[a-z]' and '\\' work. Nothing when the pattern is malformed.
std::optional<bool> glob_match(std::string_view pattern, std::string_view name);

}  // namespace seawall
