#include "archive/verified.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/detail/json.hh"
#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::archive {
namespace {

constexpr int known_version = 1;

Time whole_seconds(Time t) { return std::chrono::floor<std::chrono::seconds>(t); }

const Json* member_of(const Json& object, std::string_view name) {
  const auto found = std::find_if(object.members.begin(), object.members.end(),
                                  [&](const JsonMember& member) { return member.name == name; });
  return found == object.members.end() ? nullptr : &found->value;
}

/// Takes a document's members out, or says which is wrong.
class Fields {
 public:
  Fields(const Json& object, std::string_view origin) : object_(object), origin_(origin) {
    if (object.kind != Json::Kind::object) fail("an object");
  }

  const std::string& text(std::string_view name) const { return value(name, Json::Kind::text).text; }
  Time time(std::string_view name) const {
    const auto time = parse_rfc3339(text(name));
    if (!time) fail(name);
    return *time;
  }
  std::uint64_t number(std::string_view name) const {
    const auto number = parse_int<std::uint64_t>(value(name, Json::Kind::number).text);
    if (!number) fail(name);
    return *number;
  }
  const std::vector<Json>& items(std::string_view name) const { return value(name, Json::Kind::array).items; }
  [[noreturn]] void fail(std::string_view name) const {
    throw Error(Errc::corrupt, fmt::format("{}: {} is missing or of the wrong kind", origin_, name));
  }

 private:
  const Json& value(std::string_view name, Json::Kind kind) const {
    const Json* found = member_of(object_, name);
    if (found == nullptr || found->kind != kind) fail(name);
    return *found;
  }

  const Json& object_;
  std::string_view origin_;
};

}  // namespace

void Verified::add_backup(std::string_view name, Time stored, Time at) {
  const auto [entry, created] = backups_.try_emplace(std::string(name), Backup{stored, whole_seconds(at)});
  const bool newer = stored > entry->second.stored || (stored == entry->second.stored && at > entry->second.at);
  if (!created && newer) entry->second = {stored, whole_seconds(at)};
}

/// Later findings replace earlier ones; of the earlier ranges stays what they do not cover.
void Verified::add_wal(Timeline timeline, NumberRange range, Time at) {
  std::vector<Wal>& old = wal_[timeline];
  NumberRanges added;
  added.add(range);
  const Time when = whole_seconds(at);
  NumberRanges newer;
  for (const Wal& each : old) {
    if (each.at > when) newer.add(each.range);
  }
  std::vector<Wal> merged;
  const NumberRanges unknown = added.without(newer);
  for (const NumberRange& part : unknown.all()) merged.push_back({part, when});
  for (const Wal& each : old) {
    NumberRanges rest;
    rest.add(each.range);
    if (each.at <= when) rest = rest.without(added);
    for (const NumberRange& part : rest.all()) merged.push_back({part, each.at});
  }
  std::sort(merged.begin(), merged.end(), [](const Wal& a, const Wal& b) { return a.range.first < b.range.first; });
  old.clear();
  for (const Wal& each : merged) {
    if (!old.empty() && old.back().at == each.at && old.back().range.last + 1 == each.range.first) {
      old.back().range.last = each.range.last;
    } else {
      old.push_back(each);
    }
  }
}

void Verified::merge(const Verified& other) {
  for (const auto& [name, backup] : other.backups_) add_backup(name, backup.stored, backup.at);
  for (const auto& [timeline, ranges] : other.wal_) {
    for (const Wal& each : ranges) add_wal(timeline, each.range, each.at);
  }
}

std::optional<Time> Verified::backup(std::string_view name, Time stored) const {
  const auto found = backups_.find(name);
  if (found == backups_.end() || found->second.stored != stored) return std::nullopt;
  return found->second.at;
}

NumberRanges Verified::wal(Timeline timeline, Time since) const {
  NumberRanges found;
  if (const auto ranges = wal_.find(timeline); ranges != wal_.end()) {
    for (const Wal& each : ranges->second) {
      if (each.at >= since) found.add(each.range);
    }
  }
  return found;
}

std::string print_verified(const Verified& verified) {
  std::string text = fmt::format("{{\"version\":{},\n \"backups\":[", known_version);
  std::string_view comma = "\n  ";
  for (const auto& [name, backup] : verified.backups()) {
    text += fmt::format("{}{{\"name\":{},\"stored\":\"{}\",\"at\":\"{}\"}}", comma, json_string(name),
                        rfc3339_nano(backup.stored), rfc3339(backup.at));
    comma = ",\n  ";
  }
  text += "],\n \"wal\":[";
  comma = "\n  ";
  for (const auto& [timeline, ranges] : verified.wal()) {
    for (const Verified::Wal& each : ranges) {
      text += fmt::format("{}{{\"timeline\":{},\"first\":{},\"last\":{},\"at\":\"{}\"}}", comma, timeline,
                          each.range.first, each.range.last, rfc3339(each.at));
      comma = ",\n  ";
    }
  }
  return text + "]}\n";
}

Verified parse_verified(std::string_view json, std::string_view origin) {
  const Json document = parse_json(json, Errc::corrupt, origin);
  const Fields fields(document, origin);
  if (fields.number("version") > known_version) {
    throw Error(Errc::unsupported, fmt::format("{}: written by a newer seawall", origin));
  }
  Verified verified;
  for (const Json& item : fields.items("backups")) {
    const Fields backup(item, origin);
    verified.add_backup(backup.text("name"), backup.time("stored"), backup.time("at"));
  }
  for (const Json& item : fields.items("wal")) {
    const Fields wal(item, origin);
    const NumberRange range{wal.number("first"), wal.number("last")};
    const std::uint64_t timeline = wal.number("timeline");
    if (range.first > range.last || range.last >= no_last - 1) wal.fail("a range");
    if (timeline > std::numeric_limits<Timeline>::max()) wal.fail("a timeline");
    verified.add_wal(static_cast<Timeline>(timeline), range, wal.time("at"));
  }
  return verified;
}

}  // namespace seawall::archive
