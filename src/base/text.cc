#include "base/text.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace seawall {
namespace {

// ASCII only, whatever the locale: names of settings and files must not depend on it.
char upper_char(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower_char(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

struct Rune {
  char32_t value;
  std::size_t bytes;
  bool valid;
};

constexpr Rune invalid_rune{0xFFFD, 1, false};

/// The first character of `text` (not empty), strictly UTF-8; an invalid byte counts as one character, as in Go.
Rune first_rune(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return invalid_rune;
  char32_t value = lead & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return invalid_rune;
    value = value << 6 | (byte(i) & 0x3FU);
  }
  static constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < least[bytes] || value > 0x10FFFF || surrogate) return invalid_rune;
  return {value, bytes, true};
}

/// Most bytes of most names: copied in runs, because lists of a million relations are printed.
bool plain_in_json(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'; }

/// Empty if the character stands for itself.
std::string json_escape(const Rune& rune, bool escape_html) {
  if (!rune.valid) return "\\ufffd";
  switch (rune.value) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '<':
    case '>':
    case '&':
    case 0x2028:
    case 0x2029:
      return escape_html ? fmt::format("\\u{:04x}", static_cast<unsigned>(rune.value)) : std::string();
    default:
      return rune.value < 0x20 ? fmt::format("\\u{:04x}", static_cast<unsigned>(rune.value)) : std::string();
  }
}

/// Insertions, deletions, replacements and swaps of neighbours, without regard to case.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower_char(a[i - 1]) == lower_char(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && lower_char(a[i - 1]) == lower_char(b[j - 2]) &&
                           lower_char(a[i - 2]) == lower_char(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

/// One end of a range in a character class, taken off the front of `pattern`; nothing if malformed.
std::optional<char32_t> take_class_end(std::string_view& pattern) {
  if (pattern.empty() || pattern[0] == '-' || pattern[0] == ']') return std::nullopt;
  if (pattern[0] == '\\') pattern.remove_prefix(1);
  if (pattern.empty()) return std::nullopt;
  const Rune rune = first_rune(pattern);
  if (!rune.valid) return std::nullopt;
  pattern.remove_prefix(rune.bytes);
  return rune.value;
}

/// Takes "[...]" off the front and tells whether `value` belongs to it; nothing if malformed.
std::optional<bool> take_class(std::string_view& pattern, char32_t value) {
  pattern.remove_prefix(1);
  const bool negated = pattern.starts_with('^');
  if (negated) pattern.remove_prefix(1);
  bool found = false;
  for (bool first = true; first || !pattern.starts_with(']'); first = false) {
    const auto low = take_class_end(pattern);
    if (!low) return std::nullopt;
    auto high = low;
    if (pattern.starts_with('-')) {
      pattern.remove_prefix(1);
      high = take_class_end(pattern);
      if (!high) return std::nullopt;
    }
    found = found || (*low <= value && value <= *high);
  }
  pattern.remove_prefix(1);
  return found != negated;
}

bool well_formed(std::string_view pattern) {
  while (!pattern.empty()) {
    if (pattern[0] == '[') {
      if (!take_class(pattern, 0)) return false;
      continue;
    }
    if (pattern[0] == '\\') pattern.remove_prefix(1);
    if (pattern.empty()) return false;
    pattern.remove_prefix(1);
  }
  return true;
}

/// Takes what stands before the next '*' off the front of a well-formed pattern.
std::string_view take_chunk(std::string_view& pattern) {
  std::string_view rest = pattern;
  while (!rest.empty() && rest[0] != '*') {
    if (rest[0] == '[') {
      take_class(rest, 0);
    } else {
      rest.remove_prefix(rest[0] == '\\' ? 2 : 1);
    }
  }
  const std::string_view chunk = pattern.substr(0, pattern.size() - rest.size());
  pattern = rest;
  return chunk;
}

/// What is left of `name` behind a piece of pattern without '*'; nothing if it does not match.
std::optional<std::string_view> match_chunk(std::string_view chunk, std::string_view name) {
  while (!chunk.empty()) {
    if (name.empty()) return std::nullopt;
    if (chunk[0] == '[') {
      const Rune rune = first_rune(name);
      if (!take_class(chunk, rune.value).value_or(false)) return std::nullopt;
      name.remove_prefix(rune.bytes);
      continue;
    }
    if (chunk[0] == '?') {
      if (name[0] == '/') return std::nullopt;
      name.remove_prefix(first_rune(name).bytes);
    } else {
      if (chunk[0] == '\\') chunk.remove_prefix(1);
      if (chunk[0] != name[0]) return std::nullopt;
      name.remove_prefix(1);
    }
    chunk.remove_prefix(1);
  }
  return name;
}

/// The same for "*chunk", where the chunk may begin anywhere before the next '/'. The last one must reach the end.
std::optional<std::string_view> match_after_star(std::string_view chunk, std::string_view name, bool last) {
  for (std::size_t skipped = 0;; ++skipped) {
    const auto rest = match_chunk(chunk, name.substr(skipped));
    if (rest && (!last || rest->empty())) return rest;
    if (skipped == name.size() || name[skipped] == '/') return std::nullopt;
  }
}

}  // namespace

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), upper_char);
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower_char);
  return out;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string human_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 6> names{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // 1023.5 would be printed as 1024 of the smaller unit.
  for (; value >= 1023.5 && unit + 1 < names.size(); ++unit) value /= 1024;
  return value < 99.95 ? fmt::format("{:.1f} {}", value, names[unit]) : fmt::format("{:.0f} {}", value, names[unit]);
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  const std::size_t limit = 1 + word.size() / 5;
  std::size_t best = std::min(limit + 1, word.size());
  const std::string* found = nullptr;
  for (const std::string& candidate : candidates) {
    const auto [shorter, longer] = std::minmax({word.size(), candidate.size()});
    if (longer - shorter >= best) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= best) continue;
    best = distance;
    found = &candidate;
  }
  return found == nullptr ? std::nullopt : std::optional(*found);
}

std::string json_string(std::string_view text, bool escape_html) {
  std::string out;
  out.reserve(text.size() + 2);
  out += '"';
  while (!text.empty()) {
    const auto stop = std::find_if_not(text.begin(), text.end(), plain_in_json);
    const auto run = static_cast<std::size_t>(stop - text.begin());
    out += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) break;
    const Rune rune = first_rune(text);
    const std::string escape = json_escape(rune, escape_html);
    out += escape.empty() ? text.substr(0, rune.bytes) : std::string_view(escape);
    text.remove_prefix(rune.bytes);
  }
  out += '"';
  return out;
}

// As in Go, the earliest place where a chunk fits is final, and a class may match '/': with such a class a pattern can
// miss a name that a search through all places would find. Masks must select the same files as there.
std::optional<bool> glob_match(std::string_view pattern, std::string_view name) {
  if (!well_formed(pattern)) return std::nullopt;
  while (!pattern.empty()) {
    const bool star = pattern[0] == '*';
    while (pattern.starts_with('*')) pattern.remove_prefix(1);
    const std::string_view chunk = take_chunk(pattern);
    if (star && chunk.empty()) return name.find('/') == std::string_view::npos;
    const bool last = pattern.empty();
    const auto rest = star ? match_after_star(chunk, name, last) : match_chunk(chunk, name);
    if (!rest) return false;
    name = *rest;
  }
  return name.empty();
}

}  // namespace seawall
