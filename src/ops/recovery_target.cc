#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <ctime>

#include "base/text.hh"
#include "base/time_text.hh"
#include "ops/recovery_plan.hh"

namespace seawall::ops {
namespace {

/// "+00" and "+0530" as "+00:00" and "+05:30"; PostgreSQL prints the short forms.
std::string with_full_offset(std::string text) {
  const std::size_t sign = text.find_last_of("+-");
  if (sign == std::string::npos || sign < 11) return text;
  const std::size_t digits = text.size() - sign - 1;
  if (digits == 2) return text + ":00";
  if (digits == 4) return text.insert(sign + 3, ":");
  return text;
}

std::optional<Time> parse_local(const std::string& text) {
  std::tm fields{};
  fields.tm_isdst = -1;
  int used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%*1[ T]%2d:%2d:%2d%n", &fields.tm_year, &fields.tm_mon, &fields.tm_mday,
                  &fields.tm_hour, &fields.tm_min, &fields.tm_sec, &used) != 6) {
    return std::nullopt;
  }
  fields.tm_year -= 1900;
  fields.tm_mon -= 1;
  std::string rest = text.substr(static_cast<std::size_t>(used));
  std::int64_t nanoseconds = 0;
  if (!rest.empty()) {
    if (rest.front() != '.' || rest.size() < 2 || rest.size() > 10) return std::nullopt;
    rest.erase(0, 1);
    rest.resize(9, '0');
    const auto fraction = parse_int<std::int64_t>(rest);
    if (!fraction) return std::nullopt;
    nanoseconds = *fraction;
  }
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
                                       "'2026-11-21 03:12:00+00'", text));
}

/// As PostgreSQL reads it in any DateStyle.
std::string setting_text(Time time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time - seconds).count();
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:06}+00", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), micros);
}

void check_timeline(const std::string& text) {
  if (text == "latest" || text == "current" || parse_int<archive::Timeline>(text)) return;
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
      throw Error(Errc::usage, "--target-timeline and --target-action go with a target: --target-time, --target-lsn, "
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
    if (!parse_int<std::uint64_t>(*flags.xid)) {
      throw Error(Errc::usage, fmt::format("--target-xid '{}' is no transaction number", *flags.xid));
    }
    target.text = *flags.xid;
  } else if (flags.name) {
    target.kind = RecoveryTarget::Kind::name;
    if (flags.name->empty()) throw Error(Errc::usage, "--target-name needs the name of a restore point");
    target.text = *flags.name;
  }
  if (flags.timeline) check_timeline(*flags.timeline);
  if (flags.action) check_action(*flags.action);
  target.timeline = flags.timeline.value_or("latest");
  target.action = flags.action.value_or("pause");
  return target;
}

}  // namespace seawall::ops
