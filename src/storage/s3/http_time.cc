#include "storage/s3/http_time.hh"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/text.hh"

namespace seawall::storage::s3 {

std::optional<Time> parse_http_time(std::string_view text) {
  static constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  text = trim(text);
  const std::size_t comma = text.find(", ");
  if (comma == std::string_view::npos) return std::nullopt;
  const auto fields = split(text.substr(comma + 2), ' ');
  if (fields.size() != 5 || fields[4] != "GMT") return std::nullopt;
  const auto clock = split(fields[3], ':');
  const auto month = std::find(months.begin(), months.end(), fields[1]);
  if (clock.size() != 3 || month == months.end()) return std::nullopt;
  const auto day = parse_int<unsigned>(fields[0]);
  const auto year = parse_int<int>(fields[2]);
  const auto hour = parse_int<unsigned>(clock[0]);
  const auto minute = parse_int<unsigned>(clock[1]);
  const auto second = parse_int<unsigned>(clock[2]);
  if (!day || !year || !hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  // What Time can hold.
  if (*year < 1678 || *year > 2261) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(month - months.begin()) + 1),
                                         std::chrono::day(*day)};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view unit = "bytes ";
  if (!text.starts_with(unit)) return std::nullopt;
  text.remove_prefix(unit.size());
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) return std::nullopt;
  const auto first = parse_int<std::uint64_t>(text.substr(0, dash));
  const auto last = parse_int<std::uint64_t>(text.substr(dash + 1, slash - dash - 1));
  const auto whole = parse_int<std::uint64_t>(text.substr(slash + 1));
  if (!first || !last || !whole || *first > *last || *last >= *whole) return std::nullopt;
  return ContentRange{*first, *last, *whole};
}

}  // namespace seawall::storage::s3
