#include "base/time_text.hh"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <limits>

#include "base/text.hh"

namespace seawall {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
using std::chrono::sys_days;

constexpr std::uint64_t second_ns = 1'000'000'000;

struct Civil {
  int year;
  unsigned month, day, hour, minute, second;
  std::uint32_t nanosecond;
  unsigned weekday;  // 0 is Sunday
};

/// Fields of the instant on a wall clock that is `offset` ahead of UTC.
Civil civil(Time t, seconds offset = seconds{0}) {
  constexpr std::int64_t second_ticks = second_ns;
  std::int64_t whole = t.time_since_epoch().count() / second_ticks;
  std::int64_t rest = t.time_since_epoch().count() % second_ticks;
  if (rest < 0) {
    rest += second_ticks;
    --whole;
  }
  const std::chrono::sys_seconds local(seconds{whole} + offset);
  const auto day = std::chrono::floor<std::chrono::days>(local);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<seconds> time(local - day);
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<unsigned>(time.hours().count()),
          static_cast<unsigned>(time.minutes().count()),
          static_cast<unsigned>(time.seconds().count()),
          static_cast<std::uint32_t>(rest),
          std::chrono::weekday(day).c_encoding()};
}

/// `t` on the local clock, with the zone in force then: daylight saving time makes it a property of the instant, not of
/// the machine. UTC where the system has no zone.
std::tm local_fields(Time t) {
  const std::time_t whole = std::chrono::floor<seconds>(t).time_since_epoch().count();
  std::tm fields{};
  if (localtime_r(&whole, &fields) == nullptr) return {};
  return fields;
}

seconds local_offset(Time t) { return seconds{local_fields(t).tm_gmtoff}; }

std::string date_time(const Civil& c, char between = 'T') {
  return fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}", c.year, c.month, c.day, between, c.hour, c.minute,
                     c.second);
}

/// ".5" of half a second, "" of none.
std::string fraction(std::uint64_t value, int digits) {
  std::string text = fmt::format(".{:0{}}", value, digits);
  text.resize(text.find_last_not_of('0') + 1);
  return text == "." ? std::string() : text;
}

std::string offset_text(seconds offset) {
  if (offset.count() == 0) return "Z";
  const auto minutes = (offset.count() < 0 ? -offset.count() : offset.count()) / 60;
  return fmt::format("{}{:02}:{:02}", offset.count() < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

/// Takes exactly `digits` decimal digits off the front.
std::optional<unsigned> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits || text.substr(0, digits).find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  const auto value = parse_int<unsigned>(text.substr(0, digits));
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

std::optional<sys_days> take_date(std::string_view& text) {
  const auto year = take_number(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)), std::chrono::month(*month),
                                         std::chrono::day(*day)};
  if (!date.ok()) return std::nullopt;
  return sys_days(date);
}

std::optional<seconds> take_clock(std::string_view& text, bool with_seconds) {
  const auto hour = take_number(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  std::optional<unsigned> second = 0;
  if (with_seconds) {
    if (!take(text, ":")) return std::nullopt;
    second = take_number(text, 2);
    if (!second || *second > 59) return std::nullopt;
  }
  return seconds{*hour * 3600 + *minute * 60 + *second};
}

/// The digits after a dot as nanoseconds; 0 if there is no dot.
std::optional<unsigned> take_fraction(std::string_view& text) {
  if (!take(text, ".")) return 0;
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > 9) return std::nullopt;
  auto value = take_number(text, digits);
  for (std::size_t i = digits; value && i < 9; ++i) *value *= 10;
  return value;
}

/// What is left of the text, as distance from UTC.
std::optional<seconds> take_offset(std::string_view text) {
  if (text == "Z") return seconds{0};
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const bool west = text[0] == '-';
  text.remove_prefix(1);
  const auto distance = take_clock(text, false);
  if (!distance || !text.empty()) return std::nullopt;
  return west ? -*distance : *distance;
}

struct Unit {
  std::string_view name;
  std::uint64_t ns;
};

constexpr std::array<Unit, 8> units{{{"h", 3600 * second_ns},
                                     {"m", 60 * second_ns},
                                     {"s", second_ns},
                                     {"ms", 1'000'000},
                                     {"us", 1'000},
                                     {"\u00b5s", 1'000},  // micro sign
                                     {"\u03bcs", 1'000},  // Greek letter mu
                                     {"ns", 1}}};

/// Go's limit: the magnitude of the smallest int64.
constexpr std::uint64_t duration_limit = std::uint64_t{1} << 63;

/// Takes one "1.5h" off the front and returns its nanoseconds.
std::optional<std::uint64_t> take_duration_part(std::string_view& text) {
  std::uint64_t whole = 0;
  double part = 0, scale = 1;
  bool any_digit = false;
  const auto digit_next = [&] { return !text.empty() && text[0] >= '0' && text[0] <= '9'; };
  for (; digit_next(); text.remove_prefix(1), any_digit = true) {
    const auto digit = static_cast<std::uint64_t>(text[0] - '0');
    if (whole > (duration_limit - digit) / 10) return std::nullopt;
    whole = whole * 10 + digit;
  }
  if (take(text, ".")) {
    std::uint64_t value = 0;
    for (; digit_next(); text.remove_prefix(1), any_digit = true) {
      if (value > (duration_limit - 1) / 10) continue;  // further digits are far below a nanosecond
      value = value * 10 + static_cast<std::uint64_t>(text[0] - '0');
      scale *= 10;
    }
    part = static_cast<double>(value);
  }
  if (!any_digit) return std::nullopt;
  const std::string_view name = text.substr(0, text.find_first_of(".0123456789"));
  text.remove_prefix(name.size());
  for (const Unit& unit : units) {
    if (name != unit.name) continue;
    if (whole > duration_limit / unit.ns) return std::nullopt;
    // Dividing the unit first keeps decimal fractions exact: 1.001us is 1001ns.
    return whole * unit.ns + static_cast<std::uint64_t>(part * (static_cast<double>(unit.ns) / scale));
  }
  return std::nullopt;
}

}  // namespace

std::string rfc3339_nano(Time t) {
  const Civil c = civil(t);
  return date_time(c) + fraction(c.nanosecond, 9) + "Z";
}

std::string go_time(Time t) {
  const Civil c = civil(t);
  return date_time(c, ' ') + fraction(c.nanosecond, 9) + " +0000 UTC";
}

std::string rfc3339_nano_local(Time t) {
  const seconds offset = local_offset(t);
  const Civil c = civil(t, offset);
  return date_time(c) + fraction(c.nanosecond, 9) + offset_text(offset);
}

std::string rfc3339(Time t) { return date_time(civil(t)) + "Z"; }

std::string rfc3339_local(Time t) {
  const seconds offset = local_offset(t);
  return date_time(civil(t, offset)) + offset_text(offset);
}

namespace {

std::string rfc850_in(Time t, std::chrono::seconds offset, std::string_view zone) {
  static constexpr std::array<std::string_view, 7> days{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                        "Thursday", "Friday", "Saturday"};
  static constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const Civil c = civil(t, offset);
  return fmt::format("{}, {:02}-{}-{:02} {:02}:{:02}:{:02} {}", days[c.weekday], c.day, months[c.month - 1],
                     c.year % 100, c.hour, c.minute, c.second, zone);
}

}  // namespace

std::string rfc850(Time t) { return rfc850_in(t, {}, "UTC"); }

std::string rfc850_local(Time t) {
  const std::tm fields = local_fields(t);
  return rfc850_in(t, seconds{fields.tm_gmtoff}, fields.tm_zone == nullptr ? "UTC" : fields.tm_zone);
}

std::string log_time(Time t) {
  const Civil c = civil(t, local_offset(t));
  return fmt::format("{:04}/{:02}/{:02} {:02}:{:02}:{:02}.{:06}", c.year, c.month, c.day, c.hour, c.minute, c.second,
                     c.nanosecond / 1000);
}

std::string compact_utc(Time t) {
  const Civil c = civil(t);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second);
}

std::optional<Time> parse_rfc3339(std::string_view text) {
  const auto date = take_date(text);
  if (!date || (!take(text, "T") && !take(text, " "))) return std::nullopt;
  const auto clock = take_clock(text, true);
  if (!clock) return std::nullopt;
  const auto nanosecond = take_fraction(text);
  if (!nanosecond) return std::nullopt;
  const auto offset = take_offset(text);
  if (!offset) return std::nullopt;
  const std::chrono::sys_seconds whole = *date + *clock - *offset;
  // 64 bits of nanoseconds reach from 1677 to 2262.
  constexpr auto last = std::chrono::duration_cast<seconds>(nanoseconds::max());
  if (whole.time_since_epoch() < -last || whole.time_since_epoch() >= last) return std::nullopt;
  return Time(whole) + nanoseconds{*nanosecond};
}

std::optional<nanoseconds> parse_duration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return nanoseconds{0};
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  while (!text.empty()) {
    const auto part = take_duration_part(text);
    if (!part || *part > duration_limit || total > duration_limit - *part) return std::nullopt;
    total += *part;
  }
  if (negative) return nanoseconds{static_cast<std::int64_t>(~total + 1)};
  if (total == duration_limit) return std::nullopt;
  return nanoseconds{static_cast<std::int64_t>(total)};
}

std::string duration_text(nanoseconds d) {
  if (d.count() == 0) return "0s";
  const bool negative = d.count() < 0;
  const auto bits = static_cast<std::uint64_t>(d.count());
  const std::uint64_t ns = negative ? ~bits + 1 : bits;
  std::string text = negative ? "-" : "";
  if (ns < 1'000) return text + fmt::format("{}ns", ns);
  if (ns < 1'000'000) return text + fmt::format("{}{}us", ns / 1'000, fraction(ns % 1'000, 3));
  if (ns < second_ns) return text + fmt::format("{}{}ms", ns / 1'000'000, fraction(ns % 1'000'000, 6));
  const std::uint64_t whole = ns / second_ns;
  if (whole >= 3600) text += fmt::format("{}h", whole / 3600);
  if (whole / 60 % 60 != 0) text += fmt::format("{}m", whole / 60 % 60);
  if (ns % (60 * second_ns) != 0) text += fmt::format("{}{}s", whole % 60, fraction(ns % second_ns, 9));
  return text;
}

}  // namespace seawall
