#include "archive/wal_object.hh"

#include <algorithm>
#include <array>

namespace seawall::archive {
namespace {

constexpr std::size_t name_digits = 24;
constexpr std::size_t group_digits = 23;
constexpr std::size_t history_digits = 8;
constexpr std::uint64_t group_segments = 16;

/// Of every codec that seawall or WAL-G reads; a store of the codec "none" adds nothing.
constexpr std::array<std::string_view, 7> codec_suffixes{"", ".lz4", ".zst", ".br", ".lzma", ".gz", ".lzo"};

bool is_codec_suffix(std::string_view text) noexcept {
  return std::find(codec_suffixes.begin(), codec_suffixes.end(), text) != codec_suffixes.end();
}

/// PostgreSQL writes capitals; a name that differs cannot be printed back from its number.
std::size_t leading_digits(std::string_view text) noexcept {
  const auto other =
      std::find_if(text.begin(), text.end(), [](char c) { return (c < '0' || c > '9') && (c < 'A' || c > 'F'); });
  return static_cast<std::size_t>(other - text.begin());
}

/// "partial" or "00000028.backup" at the start of `rest`, which begins with a dot: its length, else 0.
std::size_t companion_length(std::string_view rest) noexcept {
  constexpr std::string_view partial = ".partial";
  constexpr std::string_view label = ".backup";
  constexpr std::size_t offset_digits = 8;
  if (rest.starts_with(partial)) return partial.size();
  if (rest.size() <= offset_digits || leading_digits(rest.substr(1)) != offset_digits) return 0;
  return rest.substr(1 + offset_digits).starts_with(label) ? 1 + offset_digits + label.size() : 0;
}

std::optional<WalObjectKind> kind_beside_segment(std::string_view rest) noexcept {
  constexpr std::string_view delta = "_delta";
  constexpr std::string_view json = ".json";
  if (is_codec_suffix(rest)) return WalObjectKind::segment;
  if (rest.starts_with(delta)) {
    return is_codec_suffix(rest.substr(delta.size())) ? std::optional(WalObjectKind::delta) : std::nullopt;
  }
  const std::size_t companion = companion_length(rest);
  const std::string_view suffix = rest.substr(companion);
  if (suffix == json) return WalObjectKind::metadata;
  if (companion == 0 || !is_codec_suffix(suffix)) return std::nullopt;
  return rest.starts_with(".partial") ? WalObjectKind::partial : WalObjectKind::backup_label;
}

std::optional<WalObjectName> parse_history_object(std::string_view file) {
  constexpr std::string_view history = ".history";
  const std::string_view rest = file.substr(history_digits);
  if (!rest.starts_with(history)) return std::nullopt;
  const std::string_view suffix = rest.substr(history.size());
  const auto timeline = parse_history_name(file.substr(0, history_digits + history.size()));
  if (!timeline || *timeline == 0 || !(is_codec_suffix(suffix) || suffix == ".json")) return std::nullopt;
  return WalObjectName{WalObjectKind::history, {*timeline, 0}, rest};
}

std::optional<WalObjectName> parse_group(std::string_view file, std::uint64_t segment_bytes) {
  if (file.substr(group_digits) != ".json") return std::nullopt;
  std::array<char, name_digits> name;
  *std::copy_n(file.begin(), group_digits, name.begin()) = '0';
  const auto segment = parse_segment({name.data(), name.size()}, segment_bytes);
  if (!segment || segment->timeline == 0) return std::nullopt;
  return WalObjectName{WalObjectKind::group_metadata, *segment, file.substr(group_digits)};
}

}  // namespace

std::optional<WalObjectName> parse_wal_object(std::string_view file, std::uint64_t segment_bytes) {
  switch (leading_digits(file)) {
    case name_digits: {
      const auto kind = kind_beside_segment(file.substr(name_digits));
      const auto segment = kind ? parse_segment(file.substr(0, name_digits), segment_bytes) : std::nullopt;
      if (!segment || segment->timeline == 0) return std::nullopt;
      return WalObjectName{*kind, *segment, file.substr(name_digits)};
    }
    case group_digits:
      return parse_group(file, segment_bytes);
    case history_digits:
      return parse_history_object(file);
    default:
      return std::nullopt;
  }
}

std::string print_wal_object(WalObjectKind kind, Segment segment, std::string_view rest, std::uint64_t segment_bytes) {
  std::string name = segment.name(segment_bytes);
  if (kind == WalObjectKind::history) name.resize(history_digits);
  if (kind == WalObjectKind::group_metadata) name.resize(group_digits);
  name += rest;
  return name;
}

std::uint64_t segments_of_object(WalObjectKind kind, std::uint64_t segment_bytes) noexcept {
  if (kind == WalObjectKind::delta) return group_segments;
  if (kind != WalObjectKind::group_metadata) return 1;
  // Of segments of 1 GiB only four share the digits before the last.
  return std::min(group_segments, (std::uint64_t{1} << 32) / segment_bytes);
}

}  // namespace seawall::archive
