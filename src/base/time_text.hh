#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hh"

namespace seawall {

/// Go's RFC3339Nano in UTC: "2026-11-20T23:55:33.781417884Z"; trailing zeros of the fraction (and its dot) are dropped.
std::string rfc3339_nano(Time t);
/// Like rfc3339_nano but with the machine's own offset ("+01:00", or "Z" when it is zero).
std::string rfc3339_nano_local(Time t);
/// Seconds only. "2026-11-20T23:55:33Z".
std::string rfc3339(Time t);
std::string rfc3339_local(Time t);
/// Go's RFC850: "Friday, 20-Nov-26 23:55:35 UTC"; in UTC, and in the local zone.
std::string rfc850(Time t);
std::string rfc850_local(Time t);
/// Go's Time.String() in UTC: "2026-11-20 23:55:33.78 +0000 UTC", trailing zeros of the fraction dropped.
std::string go_time(Time t);
/// The log's form, local time: "2024/12/23 17:28:41.574101".
std::string log_time(Time t);
/// "20261120T235533Z".
std::string compact_utc(Time t);

/// Reads RFC 3339 with 0 to 9 fraction digits, 'T' or a blank between date and time, 'Z' or a numeric offset.
/// Nothing on anything else, nor on what Time cannot hold (before 1677, after 2262; so also Go's zero time, year 1).
std::optional<Time> parse_rfc3339(std::string_view text);

/// Go's duration syntax: "1m", "500ms", "1h30m", "1.5h", "-2s", "0". Nothing on anything else.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);
/// The same syntax back, shortest exact form: "1m0s" is written "1m", nothing at all "0s".
std::string duration_text(std::chrono::nanoseconds d);

}  // namespace seawall
