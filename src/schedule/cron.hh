#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hh"

namespace seawall::schedule {

/// When a job is due, as BACKUP_SCHEDULE, cron and robfig/cron (ofelia's) write it:
///
///   [TZ=ZONE ] minute hour day month weekday           5 fields: standard cron
///   [TZ=ZONE ] second minute hour day month weekday    6 fields
///   @yearly @annually @monthly @weekly @daily @midnight @hourly, @every 1h30m
///
/// A field: '*' or '?', a, a-b, each with /step, and lists of these; a/step reaches to the end. Months and weekdays by
/// their three letters too; Sunday is 0. If day and weekday are both restricted, either suffices. A local time that
/// the clock jumps over is not due on that day; one that comes twice is due the first time, unless the hour is '*'.
class Schedule {
 public:
  /// Errc::config pointing at the field, or at the zone.
  static Schedule parse(std::string_view text);

  /// The first time after `after`; nothing within five years. Of @every `after` + interval, which starts at whole
  /// seconds.
  std::optional<Time> next(Time after) const;
  bool is_interval() const noexcept { return interval_.has_value(); }
  const std::string& zone() const noexcept { return zone_; }  ///< empty: the process's own
  /// How it was read: "standard cron of 5 fields, minute first".
  const std::string& reading() const noexcept { return reading_; }
  const std::string& text() const noexcept { return text_; }

 private:
  struct Field {
    std::uint64_t bits = 0;
    bool star = false;
    bool has(int value) const noexcept { return (bits >> value & 1) != 0; }
  };
  static Field parse_field(std::string_view text, std::size_t which, std::size_t number, std::size_t count);
  void read_fields(std::string_view text);
  void read_descriptor(std::string_view text);
  bool is_day(const std::tm& day) const noexcept;

  std::string text_;
  std::string zone_;
  std::string reading_;
  std::optional<std::chrono::seconds> interval_;
  Field second_, minute_, hour_, day_, month_, weekday_;
};

}  // namespace seawall::schedule
