#include "archive/dump.hh"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <set>

#include "archive/detail/json.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::archive {
namespace {

constexpr std::string_view record_suffix = ".json";

std::string escaped(std::string_view database) {
  std::string text;
  for (const char c : database) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (plain) {
      text += c;
    } else {
      text += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return text;
}

std::string base_of(std::string_view name, std::string_view database) {
  if (database.empty()) return fmt::format("{}{}/globals", dumps_folder, name);
  return fmt::format("{}{}/database_{}", dumps_folder, name, escaped(database));
}

/// The members of a record, each once and of its kind.
class Record {
 public:
  Record(std::string_view text, std::string_view origin)
      : document_(parse_json(text, Errc::corrupt, origin)), origin_(origin) {
    if (document_.kind != Json::Kind::object) fail("is no record of a dump");
  }

  const std::string& text(std::string_view name) const { return member(name, Json::Kind::text).text; }
  template <class T>
  T number(std::string_view name) const {
    const auto value = parse_int<T>(member(name, Json::Kind::number).text);
    if (!value) fail(fmt::format("'{}' is no number that it can be", name));
    return *value;
  }
  Time time(std::string_view name) const {
    const auto value = parse_rfc3339(text(name));
    if (!value) fail(fmt::format("'{}' is no time", name));
    return *value;
  }
  Digest digest(std::string_view name) const {
    const std::string& hex = text(name);
    const auto high = parse_int<std::uint64_t>(std::string_view(hex).substr(0, 16), 16);
    const auto low = hex.size() == 32 ? parse_int<std::uint64_t>(std::string_view(hex).substr(16), 16) : std::nullopt;
    if (!high || !low) fail(fmt::format("'{}' is no digest", name));
    return {*high, *low};
  }
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(Errc::corrupt, fmt::format("{}: {}", origin_, what));
  }

 private:
  const Json& member(std::string_view name, Json::Kind kind) const {
    for (const JsonMember& member : document_.members) {
      if (member.name == name && member.value.kind == kind) return member.value;
    }
    fail(fmt::format("has no '{}' as the record of a dump has it", name));
  }

  const Json document_;
  const std::string_view origin_;
};

std::chrono::sys_days day_of(Time t) { return std::chrono::floor<std::chrono::days>(t); }

/// Weeks are counted from Monday; 1970-01-01 was a Thursday.
long week_of(Time t) {
  return std::chrono::floor<std::chrono::weeks>(day_of(t) + std::chrono::days(3)).time_since_epoch().count();
}

long month_of(Time t) {
  const std::chrono::year_month_day date(day_of(t));
  return 12L * int{date.year()} + static_cast<long>(unsigned{date.month()});
}

}  // namespace

std::string dump_object(std::string_view name, std::string_view database) {
  return base_of(name, database) + (database.empty() ? ".sql" : ".dump");
}

std::string dump_record_object(std::string_view name, std::string_view database) {
  return base_of(name, database).append(record_suffix);
}

bool is_dump_record(std::string_view key_under_dumps_folder) {
  const std::size_t slash = key_under_dumps_folder.find('/');
  if (slash == std::string_view::npos || slash == 0 || !key_under_dumps_folder.ends_with(record_suffix)) return false;
  const std::string_view file = key_under_dumps_folder.substr(slash + 1);
  return file == "globals.json" || (file.starts_with("database_") && file.find('/') == std::string_view::npos);
}

std::string print_dump_record(const Dump& dump) {
  return fmt::format(
      R"({{"version":1,"name":{},"database":{},"started":"{}","finished":"{}","raw_bytes":{},"object":{},)"
      R"("stored_bytes":{},"xxh3":"{}","server_version":{},"encoding":{},"collate":{},"ctype":{}}})"
      "\n",
      json_string(dump.name), json_string(dump.database), rfc3339_nano(dump.started), rfc3339_nano(dump.finished),
      dump.raw_bytes, json_string(dump.object), dump.stored_bytes, dump.digest.hex(), dump.server_version,
      json_string(dump.encoding), json_string(dump.collate), json_string(dump.ctype));
}

Dump parse_dump_record(std::string_view text, std::string_view record_object, std::string_view origin) {
  const Record record(text, origin);
  const unsigned version = record.number<unsigned>("version");
  if (version != 1) {
    throw Error(Errc::unsupported,
                fmt::format("{}: version {} of a dump's record; this seawall knows version 1", origin, version));
  }
  Dump dump{.name = record.text("name"),
            .database = record.text("database"),
            .started = record.time("started"),
            .finished = record.time("finished"),
            .raw_bytes = record.number<std::uint64_t>("raw_bytes"),
            .object = record.text("object"),
            .stored_bytes = record.number<std::uint64_t>("stored_bytes"),
            .digest = record.digest("xxh3"),
            .server_version = record.number<int>("server_version"),
            .encoding = record.text("encoding"),
            .collate = record.text("collate"),
            .ctype = record.text("ctype")};
  if (dump_record_object(dump.name, dump.database) != record_object) record.fail("is the record of another dump");
  const std::string own = dump_object(dump.name, dump.database);
  const std::string_view object = dump.object;
  const std::string_view suffix = object.starts_with(own) ? object.substr(own.size()) : "/";
  if (suffix.find('/') != std::string_view::npos || (!suffix.empty() && !suffix.starts_with('.'))) {
    record.fail(fmt::format("names {}, which no such dump is stored as", json_string(object)));
  }
  return dump;
}

std::vector<DumpKept> rotate_dumps(std::span<const Time> started, const DumpRotation& rotation) {
  std::vector<std::size_t> newest_first(started.size());
  std::iota(newest_first.begin(), newest_first.end(), std::size_t{0});
  std::ranges::stable_sort(newest_first, [&](std::size_t a, std::size_t b) { return started[a] > started[b]; });

  std::vector<DumpKept> kept(started.size());
  const auto keep = [&](unsigned count, auto period_of, bool DumpKept::*mark) {
    std::set<long> seen;
    for (const std::size_t i : newest_first) {
      if (seen.size() == count) return;
      if (seen.insert(period_of(started[i])).second) kept[i].*mark = true;
    }
  };
  keep(
      rotation.days, [](Time t) { return static_cast<long>(day_of(t).time_since_epoch().count()); }, &DumpKept::day);
  keep(rotation.weeks, week_of, &DumpKept::week);
  keep(rotation.months, month_of, &DumpKept::month);

  const bool everything = rotation.days == 0 && rotation.weeks == 0 && rotation.months == 0;
  for (const std::size_t i : newest_first) {
    if (everything || i == newest_first.front()) kept[i].newest = true;
  }
  return kept;
}

}  // namespace seawall::archive
