#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <ctime>

#include "base/text.hh"
#include "base/time_text.hh"
#include "ops/recovery_plan.hh"

namespace seawall::ops {
namespace {

constexpr std::uint64_t first_normal_xid = 3;      // access/transam.h, FirstNormalTransactionId
constexpr std::size_t longest_restore_point = 63;  // access/xlog_internal.h, MAXFNAMELEN with its NUL

/// "+00" and "+0530" as "+00:00" and "+05:30"; PostgreSQL prints the short forms.
std::string with_full_offset(std::string text) {
  const std::size_t sign = text.find_last_of("+-");
  if (sign == std::string::npos || sign < 11) return text;
  const std::size_t digits = text.size() - sign - 1;
  if (digits == 2) return text + ":00";
  if (digits == 4) return text.insert(sign + 3, ":");
  return text;
}

/// mktime would make 1 March of 29 February, and a target on another day than the one meant is a disaster.
bool is_moment(const std::tm& fields) {
  const std::chrono::year_month_day day{std::chrono::year(fields.tm_year),
                                        std::chrono::month(static_cast<unsigned>(fields.tm_mon)),
                                        std::chrono::day(static_cast<unsigned>(fields.tm_mday))};
  // Time reaches from 1677 to 2262.
  return day.ok() && fields.tm_year >= 1900 && fields.tm_year < 2262 && fields.tm_hour >= 0 && fields.tm_hour < 24 &&
         fields.tm_min >= 0 && fields.tm_min < 60 && fields.tm_sec >= 0 && fields.tm_sec < 60;
}

std::optional<Time> parse_local(const std::string& text) {
  std::tm fields{};
  fields.tm_isdst = -1;
  int used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%*1[ T]%2d:%2d:%2d%n", &fields.tm_year, &fields.tm_mon, &fields.tm_mday,
                  &fields.tm_hour, &fields.tm_min, &fields.tm_sec, &used) != 6) {
    return std::nullopt;
  }
  std::string rest = text.substr(static_cast<std::size_t>(used));
  std::int64_t nanoseconds = 0;
  if (!rest.empty()) {
    if (rest.front() != '.' || rest.size() < 2 || rest.size() > 10) return std::nullopt;
    rest.erase(0, 1);
    rest.resize(9, '0');
    const auto fraction = parse_int<std::uint32_t>(rest);
    if (!fraction) return std::nullopt;
    nanoseconds = *fraction;
  }
  if (!is_moment(fields)) return std::nullopt;
  fields.tm_year -= 1900;
  fields.tm_mon -= 1;
  const std::time_t seconds = std::mktime(&fields);
  if (seconds == -1) return std::nullopt;
  return Time(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds));
}

Time parse_target_time(std::string text) {
  for (const std::string_view zone : {" UTC", " utc", " Z"}) {
    if (text.ends_with(zone)) text.replace(text.size() - zone.size(), zone.size(), "+00:00");
  }
  if (const auto time = parse_rfc3339(with_full_offset(text))) return *time;
  if (const auto time = parse_local(text)) return *time;
  throw Error(Errc::usage, fmt::format("--target-time '{}' is no time; write it as 2026-11-21T03:12:00Z or "
                                       "'2026-11-21 03:12:00+00'",
                                       text));
}

/// As PostgreSQL reads it in any DateStyle.
std::string setting_text(Time time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time - seconds).count();
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:06}+00", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     micros);
}

/// A number is written anew: the server takes a leading 0 for an octal one.
std::string parse_timeline(const std::string& text) {
  if (text == "latest" || text == "current") return text;
  if (const auto number = parse_int<archive::Timeline>(text); number && *number > 0) return std::to_string(*number);
  throw Error(Errc::usage, fmt::format("--target-timeline '{}' is neither latest, current nor a number", text));
}

void check_action(const std::string& text) {
  if (text == "pause" || text == "promote" || text == "shutdown") return;
  throw Error(Errc::usage, fmt::format("--target-action '{}' is neither pause, promote nor shutdown", text));
}

}  // namespace

std::optional<RecoveryTarget> parse_target(const TargetFlags& flags) {
  const int given = static_cast<int>(flags.time.has_value()) + static_cast<int>(flags.lsn.has_value()) +
                    static_cast<int>(flags.xid.has_value()) + static_cast<int>(flags.name.has_value()) +
                    static_cast<int>(flags.immediate);
  if (given == 0) {
    if (flags.timeline || flags.action) {
      throw Error(Errc::usage,
                  "--target-timeline and --target-action go with a target: --target-time, --target-lsn, "
                  "--target-xid, --target-name or --target-immediate");
    }
    return std::nullopt;
  }
  if (given > 1) throw Error(Errc::usage, "give one recovery target only");
  RecoveryTarget target;
  if (flags.time) {
    target.kind = RecoveryTarget::Kind::time;
    target.time = parse_target_time(*flags.time);
    target.text = setting_text(*target.time);
  } else if (flags.lsn) {
    target.kind = RecoveryTarget::Kind::lsn;
    target.lsn = archive::parse_lsn(*flags.lsn);
    if (!target.lsn) throw Error(Errc::usage, fmt::format("--target-lsn '{}' is no LSN such as 0/3000028", *flags.lsn));
    target.text = target.lsn->text();
  } else if (flags.xid) {
    target.kind = RecoveryTarget::Kind::xid;
    const auto xid = parse_int<std::uint64_t>(*flags.xid);
    if (!xid || *xid < first_normal_xid) {
      throw Error(Errc::usage, fmt::format("--target-xid '{}' is no transaction number", *flags.xid));
    }
    target.text = std::to_string(*xid);
  } else if (flags.name) {
    target.kind = RecoveryTarget::Kind::name;
    if (flags.name->empty()) throw Error(Errc::usage, "--target-name needs the name of a restore point");
    if (flags.name->size() > longest_restore_point) {
      throw Error(Errc::usage,
                  fmt::format("--target-name '{}' is longer than the {} bytes that a restore point can have",
                              *flags.name, longest_restore_point));
    }
    target.text = *flags.name;
  }
  if (flags.action) check_action(*flags.action);
  target.timeline = parse_timeline(flags.timeline.value_or("latest"));
  target.action = flags.action.value_or("pause");
  return target;
}

}  // namespace seawall::ops
