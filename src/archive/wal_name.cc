#include "archive/wal_name.hh"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/error.hh"
#include "base/text.hh"

namespace seawall::archive {
namespace {

constexpr std::size_t segment_digits = 24;
constexpr std::size_t timeline_digits = 8;

bool is_hex(std::string_view text) noexcept {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f'); });
}

/// Eight capital digits.
void put_hex(std::uint32_t value, char* at) noexcept {
  for (int i = 7; i >= 0; --i, value >>= 4U) at[i] = "0123456789ABCDEF"[value & 0xFU];
}

/// How many segments share the middle eight digits of their names.
std::uint64_t segments_per_log(std::uint64_t segment_bytes) noexcept {
  return (std::uint64_t{1} << 32) / segment_bytes;
}

HistoryEntry parse_history_line(std::string_view line, std::string_view name, std::size_t number) {
  constexpr std::string_view blanks = " \t";
  const std::size_t first = line.find_first_of(blanks);
  const std::size_t second = line.find_first_not_of(blanks, first);
  const auto timeline = parse_int<Timeline>(line.substr(0, first));
  std::optional<Lsn> end;
  if (second != std::string_view::npos) {
    const std::string_view rest = line.substr(second);
    end = parse_lsn(rest.substr(0, rest.find_first_of(blanks)));
  }
  if (!timeline || *timeline == 0 || !end) {
    throw Error(Errc::corrupt, fmt::format("{}: line {} is not 'timeline LSN reason'", name, number));
  }
  return {*timeline, *end};
}

}  // namespace

std::string Lsn::text() const { return fmt::format("{:X}/{:X}", value >> 32, value & 0xFFFFFFFF); }

std::optional<Lsn> parse_lsn(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash > 8 || text.size() - slash - 1 > 8) return std::nullopt;
  const auto high = parse_int<std::uint32_t>(text.substr(0, slash), 16);
  const auto low = parse_int<std::uint32_t>(text.substr(slash + 1), 16);
  if (!high || !low) return std::nullopt;
  return Lsn{std::uint64_t{*high} << 32 | *low};
}

bool is_segment_size(std::uint64_t bytes) noexcept {
  return std::has_single_bit(bytes) && bytes >= (std::uint64_t{1} << 20) && bytes <= (std::uint64_t{1} << 30);
}

std::string Segment::name(std::uint64_t segment_bytes) const {
  const std::uint64_t n = segments_per_log(segment_bytes);
  std::string name;
  name.reserve(segment_digits + 16);  // for a suffix: a plan of a deletion prints hundreds of thousands
  name.resize(segment_digits);
  put_hex(timeline, &name[0]);
  put_hex(static_cast<std::uint32_t>(number / n), &name[8]);
  put_hex(static_cast<std::uint32_t>(number % n), &name[16]);
  return name;
}

Segment segment_of(Timeline timeline, Lsn lsn, std::uint64_t segment_bytes) noexcept {
  return {timeline, lsn.value / segment_bytes};
}

std::optional<Segment> parse_segment(std::string_view name, std::uint64_t segment_bytes) {
  if (!is_segment_name(name)) return std::nullopt;
  const auto timeline = parse_int<std::uint32_t>(name.substr(0, 8), 16);
  const auto log = parse_int<std::uint32_t>(name.substr(8, 8), 16);
  const auto low = parse_int<std::uint32_t>(name.substr(16, 8), 16);
  const std::uint64_t n = segments_per_log(segment_bytes);
  if (!timeline || !log || !low || *low >= n) return std::nullopt;
  return Segment{*timeline, *log * n + *low};
}

bool is_segment_name(std::string_view name) noexcept { return name.size() == segment_digits && is_hex(name); }

WalFileKind wal_file_kind(std::string_view name) noexcept {
  if (is_segment_name(name)) return WalFileKind::segment;
  if (name.size() == timeline_digits + 8 && is_hex(name.substr(0, timeline_digits)) && name.ends_with(".history")) {
    return WalFileKind::history;
  }
  if (!is_segment_name(name.substr(0, segment_digits))) return WalFileKind::other;
  const std::string_view rest = name.substr(segment_digits);
  if (rest == ".partial") return WalFileKind::partial;
  if (rest.size() == 16 && rest.front() == '.' && is_hex(rest.substr(1, 8)) && rest.ends_with(".backup")) {
    return WalFileKind::backup_label;
  }
  return WalFileKind::other;
}

std::vector<HistoryEntry> parse_history(std::string_view text, std::string_view name) {
  std::vector<HistoryEntry> entries;
  const std::optional<Timeline> child = parse_history_name(name);
  std::size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    line = trim(line);
    if (line.empty() || line.front() == '#') continue;
    const HistoryEntry entry = parse_history_line(line, name, number);
    // Only the timelines must rise. The LSNs may fall: recovery along timeline 2 to a point before 2 began makes a
    // timeline 3 whose history says so, and PostgreSQL reads it.
    if (!entries.empty() && entry.timeline <= entries.back().timeline) {
      throw Error(Errc::corrupt, fmt::format("{}: line {} has timeline {} after timeline {}", name, number,
                                             entry.timeline, entries.back().timeline));
    }
    if (child && entry.timeline >= *child) {
      throw Error(Errc::corrupt, fmt::format("{}: line {} has timeline {}, which is no ancestor of timeline {}", name,
                                             number, entry.timeline, *child));
    }
    entries.push_back(entry);
  }
  return entries;
}

std::string history_name(Timeline timeline) { return fmt::format("{:08X}.history", timeline); }

std::optional<Timeline> parse_history_name(std::string_view name) {
  if (wal_file_kind(name) != WalFileKind::history) return std::nullopt;
  return parse_int<Timeline>(name.substr(0, timeline_digits), 16);
}

}  // namespace seawall::archive
