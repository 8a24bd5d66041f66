#include "schedule/cron.hh"

#include <fmt/format.h>

#include <array>
#include <span>
#include <vector>

#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "schedule/zone.hh"

namespace seawall::schedule {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto horizon = hours(24) * 365 * 5 + hours(48);

constexpr std::array<std::string_view, 12> month_names{"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> weekday_names{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct Kind {
  std::string_view name;
  int least;
  int most;
  std::span<const std::string_view> names{};  ///< the first stands for `least`
};
constexpr std::array<Kind, 6> kinds{{{"second", 0, 59},
                                     {"minute", 0, 59},
                                     {"hour", 0, 23},
                                     {"day of the month", 1, 31},
                                     {"month", 1, 12, month_names},
                                     {"day of the week", 0, 6, weekday_names}}};

/// A field with where it stands, for messages.
struct Place {
  std::string_view text;
  const Kind& kind;
  std::size_t number;
  std::size_t count;

  Error wrong(std::string_view what) const {
    return {Errc::config, fmt::format("field {} of {} ({}), '{}': {}", number, count, kind.name, text, what)};
  }
};

int parse_value(std::string_view word, const Place& place) {
  const Kind& kind = place.kind;
  const std::string name = lower(word);
  for (std::size_t i = 0; i < kind.names.size(); ++i) {
    if (name == kind.names[i]) return kind.least + static_cast<int>(i);
  }
  const auto value = parse_int<int>(word);
  if (!value) throw place.wrong(fmt::format("'{}' is no {}", word, kind.name));
  if (*value < kind.least || *value > kind.most) {
    throw place.wrong(fmt::format("{} is not between {} and {}{}", word, kind.least, kind.most,
                                  kind.names.size() == 7 ? "; Sunday is 0" : ""));
  }
  return *value;
}

struct Range {
  int first;
  int last;
  int step = 1;
  bool star = false;
};

Range parse_range(std::string_view item, const Place& place) {
  const Kind& kind = place.kind;
  const std::size_t slash = item.find('/');
  const std::string_view base = item.substr(0, slash);
  Range range{.first = kind.least, .last = kind.most};
  const std::size_t dash = base.find('-');
  if (base == "*" || base == "?") {
    range.star = true;
  } else if (dash != std::string_view::npos) {
    range.first = parse_value(base.substr(0, dash), place);
    range.last = parse_value(base.substr(dash + 1), place);
    if (range.first > range.last) throw place.wrong(fmt::format("the range {} ends before it begins", base));
  } else {
    range.first = parse_value(base, place);
    if (slash == std::string_view::npos) range.last = range.first;
  }
  if (slash != std::string_view::npos) {
    const auto step = parse_int<int>(item.substr(slash + 1));
    if (!step || *step < 1) {
      throw place.wrong(fmt::format("the step '{}' is no number from 1 on", item.substr(slash + 1)));
    }
    range.step = *step;
    if (*step > 1) range.star = false;
  }
  return range;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; (at = text.find_first_not_of(" \t", at)) != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(" \t", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

/// The same time of day once more, because the clock was set back since?
bool is_repeated(const ZoneScope& zone, Time time, const std::tm& fields) {
  for (const auto shift : {minutes(30), minutes(60), minutes(120)}) {
    const std::tm before = zone.local(time - shift);
    if (before.tm_hour == fields.tm_hour && before.tm_min == fields.tm_min && before.tm_sec == fields.tm_sec) {
      return true;
    }
  }
  return false;
}

/// The first moment of the next local day. Days have 23 to 25 hours, and some begin at 1:00.
Time next_day(const ZoneScope& zone, Time time) {
  const std::tm today = zone.local(time);
  const auto into_day = hours(today.tm_hour) + minutes(today.tm_min) + seconds(today.tm_sec);
  Time next = time + hours(24) - into_day;
  while (zone.local(next).tm_mday == today.tm_mday) next += minutes(30);
  while (zone.local(next - minutes(30)).tm_mday != today.tm_mday) next -= minutes(30);
  return next;
}

}  // namespace

Schedule::Field Schedule::parse_field(std::string_view text, std::size_t which, std::size_t number, std::size_t count) {
  const Place place{.text = text, .kind = kinds.at(which), .number = number, .count = count};
  Field field;
  for (const std::string_view item : split(text, ',')) {
    if (item.empty()) continue;
    const Range range = parse_range(item, place);
    field.star = field.star || range.star;
    for (int value = range.first; value <= range.last; value += range.step) field.bits |= std::uint64_t{1} << value;
  }
  if (field.bits == 0) throw place.wrong("it names nothing");
  return field;
}

void Schedule::read_fields(std::string_view text) {
  const std::vector<std::string_view> words = words_of(text);
  if (words.size() != 5 && words.size() != 6) {
    throw Error(Errc::config,
                fmt::format("{} fields; give 5 (minute hour day month weekday), 6 (with the second first), "
                            "or a word such as @daily",
                            words.size()));
  }
  const std::size_t first = 6 - words.size();
  const std::array<Field*, 6> fields{&second_, &minute_, &hour_, &day_, &month_, &weekday_};
  second_ = {.bits = 1, .star = false};
  for (std::size_t i = first; i < fields.size(); ++i) {
    *fields.at(i) = parse_field(words[i - first], i, i - first + 1, words.size());
  }
  reading_ = words.size() == 5 ? "standard cron of 5 fields, minute first" : "6 fields, second first";
}

void Schedule::read_descriptor(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 7> words{{{"@yearly", "0 0 0 1 1 *"},
                                                                                {"@annually", "0 0 0 1 1 *"},
                                                                                {"@monthly", "0 0 0 1 * *"},
                                                                                {"@weekly", "0 0 0 * * 0"},
                                                                                {"@daily", "0 0 0 * * *"},
                                                                                {"@midnight", "0 0 0 * * *"},
                                                                                {"@hourly", "0 0 * * * *"}}};
  for (const auto& [word, fields] : words) {
    if (text != word) continue;
    read_fields(fields);
    reading_ = fmt::format("'{}' with the second first", fields);
    return;
  }
  constexpr std::string_view every = "@every ";
  if (!text.starts_with(every)) {
    std::vector<std::string> known{"@every 1h30m"};
    for (const auto& [word, fields] : words) known.emplace_back(word);
    const auto near = nearest(text, known);
    throw Error(Errc::config, fmt::format("'{}' is no schedule; {}", text,
                                          near ? fmt::format("did you mean {}?", *near)
                                               : fmt::format("possible are {}", fmt::join(known, ", "))));
  }
  const std::string_view duration = trim(text.substr(every.size()));
  const auto interval = parse_duration(duration);
  if (!interval || *interval <= std::chrono::nanoseconds(0)) {
    throw Error(Errc::config, fmt::format("'{}' is no duration such as 1h30m, 15m or 90s", duration));
  }
  interval_ = std::max(seconds(1), std::chrono::floor<seconds>(*interval));
  reading_ = fmt::format("every {} from the start of the scheduler", duration_text(*interval_));
}

Schedule Schedule::parse(std::string_view text) {
  Schedule schedule;
  schedule.text_ = trim(text);
  std::string_view rest = schedule.text_;
  try {
    if (rest.empty()) throw Error(Errc::config, "it is empty");
    for (const std::string_view prefix : {"TZ=", "CRON_TZ="}) {
      if (!rest.starts_with(prefix)) continue;
      const std::size_t end = std::min(rest.find(' '), rest.size());
      schedule.zone_ = rest.substr(prefix.size(), end - prefix.size());
      rest = trim(rest.substr(end));
      if (!is_zone(schedule.zone_)) {
        throw Error(Errc::config, fmt::format("'{}' is no time zone of this machine; is the package tzdata installed?",
                                              schedule.zone_));
      }
    }
    rest.starts_with('@') ? schedule.read_descriptor(rest) : schedule.read_fields(rest);
  } catch (Error& error) {
    throw error.during(fmt::format("schedule '{}'", schedule.text_));
  }
  return schedule;
}

bool Schedule::is_day(const std::tm& day) const noexcept {
  if (!month_.has(day.tm_mon + 1)) return false;
  const bool of_month = day_.has(day.tm_mday);
  const bool of_week = weekday_.has(day.tm_wday);
  return day_.star || weekday_.star ? of_month && of_week : of_month || of_week;
}

std::optional<Time> Schedule::next(Time after) const {
  const Time whole = std::chrono::floor<seconds>(after);
  if (interval_) return whole + *interval_;
  const ZoneScope zone(zone_);
  for (Time time = whole + seconds(1); time < whole + horizon;) {
    const std::tm fields = zone.local(time);
    if (!is_day(fields)) {
      time = next_day(zone, time);
    } else if (!hour_.has(fields.tm_hour)) {
      time += hours(1) - minutes(fields.tm_min) - seconds(fields.tm_sec);
    } else if (!minute_.has(fields.tm_min)) {
      time += minutes(1) - seconds(fields.tm_sec);
    } else if (!second_.has(fields.tm_sec) || (!hour_.star && is_repeated(zone, time, fields))) {
      time += seconds(1);
    } else {
      return time;
    }
  }
  return std::nullopt;
}

}  // namespace seawall::schedule
