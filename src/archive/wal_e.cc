#include "archive/wal_e.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/detail/json.hh"
#include "archive/layout.hh"
#include "archive/number_ranges.hh"
#include "base/text.hh"

namespace seawall::archive {
namespace {

constexpr std::size_t segment_digits = 24;
constexpr std::size_t offset_digits = 8;

bool all_digits(std::string_view text) { return text.find_first_not_of("0123456789ABCDEF") == std::string_view::npos; }

/// WAL-E pads with PostgreSQL's lpad(), which cuts what is longer: segments beyond 95 MiB.
std::string offset_text(Lsn lsn, std::uint64_t segment_bytes) {
  return fmt::format("{:08}", lsn.value % segment_bytes).substr(0, offset_digits);
}

std::string with_slash(std::string_view path) { return std::string(path) + (path.ends_with('/') ? "" : "/"); }

const Json* member_of(const Json& object, std::string_view name) {
  const Json* found = nullptr;
  for (const JsonMember& member : object.members) {
    if (member.name == name) found = &member.value;
  }
  return found;
}

Json object_of(std::string_view json, std::string_view origin) {
  Json document = parse_json(json, Errc::corrupt, origin);
  if (document.kind != Json::Kind::object) throw Error(Errc::corrupt, fmt::format("{} is no JSON object", origin));
  return document;
}

std::string text_of_member(const Json& document, std::string_view name) {
  const Json* value = member_of(document, name);
  const bool plain = value != nullptr && (value->kind == Json::Kind::text || value->kind == Json::Kind::number);
  return plain ? value->text : std::string();
}

[[noreturn]] void refuse(std::string_view origin, std::string_view what) {
  throw Error(Errc::corrupt, fmt::format("{}: {}", origin, what));
}

TablespaceSpec::Location* location_named(TablespaceSpec& spec, std::string_view oid) {
  const auto found =
      std::find_if(spec.tablespaces.begin(), spec.tablespaces.end(), [&](const auto& t) { return t.oid == oid; });
  return found == spec.tablespaces.end() ? nullptr : &*found;
}

/// The tablespaces that the document lists: those known keep what it says nothing of.
std::vector<TablespaceSpec::Location> listed(const Json& names, TablespaceSpec& known, std::string_view origin) {
  if (names.kind != Json::Kind::array) refuse(origin, "tablespaces is no list");
  std::vector<TablespaceSpec::Location> tablespaces;
  for (const Json& name : names.items) {
    if (name.kind != Json::Kind::text) refuse(origin, "tablespaces lists something that is no name");
    const TablespaceSpec::Location* before = location_named(known, name.text);
    tablespaces.push_back(before != nullptr ? *before
                                            : TablespaceSpec::Location{name.text, {}, "pg_tblspc/" + name.text});
  }
  return tablespaces;
}

}  // namespace

std::string wal_e_backup_name(Timeline timeline, Lsn start, std::uint64_t segment_bytes) {
  return fmt::format("base_{}_{}", segment_of(timeline, start, segment_bytes).name(segment_bytes),
                     offset_text(start, segment_bytes));
}

std::optional<WalEName> parse_wal_e_name(std::string_view name) {
  constexpr std::string_view prefix = "base_";
  if (name.size() != prefix.size() + segment_digits + 1 + offset_digits || !name.starts_with(prefix))
    return std::nullopt;
  const std::string_view segment = name.substr(prefix.size(), segment_digits);
  const std::string_view offset = name.substr(name.size() - offset_digits);
  if (name[prefix.size() + segment_digits] != '_' || !all_digits(segment) || !all_digits(offset)) return std::nullopt;
  return WalEName{std::string(segment), std::string(offset)};
}

std::string wal_e_part_name(unsigned number) { return fmt::format("part_{:08}.tar", number); }

std::optional<std::uint32_t> wal_e_part_number(std::string_view object) {
  constexpr std::string_view prefix = "part_";
  constexpr std::string_view suffix = ".tar";
  if (!object.starts_with(prefix)) return std::nullopt;
  object.remove_prefix(prefix.size());
  const std::size_t digits = object.find_first_not_of("0123456789");
  if (digits == std::string_view::npos || !object.substr(digits).starts_with(suffix)) return std::nullopt;
  const std::string_view codec = object.substr(digits + suffix.size());
  if (!codec.empty() && !codec.starts_with('.')) return std::nullopt;
  return parse_int<std::uint32_t>(object.substr(0, digits));
}

std::vector<std::uint64_t> wal_e_missing_parts(const std::vector<std::uint32_t>& present) {
  NumberRanges ranges;
  for (const std::uint32_t number : present) ranges.add({number, number});
  std::vector<std::uint64_t> missing;
  if (ranges.empty()) return missing;
  for (const NumberRange& gap : ranges.gaps({0, ranges.last()})) {
    for (std::uint64_t number = gap.first; number <= gap.last && missing.size() < 1000; ++number)
      missing.push_back(number);
  }
  return missing;
}

std::string wal_e_member_name(std::string_view name, bool directory) {
  while (name.starts_with('/')) name.remove_prefix(1);
  if (name.empty()) return "/";
  return directory ? with_slash(name) : std::string(name);
}

std::string wal_e_version_object(std::string_view backup) {
  return fmt::format("{}{}/extended_version.txt", backups_folder, backup);
}

WalEStop parse_wal_e_stop(std::string_view json, std::string_view origin) {
  const Json document = object_of(json, origin);
  return {.segment = text_of_member(document, "wal_segment_backup_stop"),
          .offset = text_of_member(document, "wal_segment_offset_backup_stop"),
          .expanded_bytes = text_of_member(document, "expanded_size_bytes")};
}

std::string print_wal_e_sentinel(const Sentinel& sentinel, Timeline timeline, std::uint64_t segment_bytes) {
  const Lsn stop = sentinel.finish_lsn.value_or(Lsn{});
  const TablespaceSpec spec = sentinel.spec.value_or(TablespaceSpec{});
  std::string names;
  std::string locations;
  for (const TablespaceSpec::Location& tablespace : spec.tablespaces) {
    names += (names.empty() ? "" : ", ") + json_string(tablespace.oid);
    locations += fmt::format(", {}: {{\"loc\": {}, \"link\": {}}}", json_string(tablespace.oid),
                             json_string(with_slash(tablespace.location)), json_string(tablespace.link));
  }
  std::string text = fmt::format(
      "{{\"wal_segment_backup_stop\": \"{}\", \"wal_segment_offset_backup_stop\": \"{}\", \"expanded_size_bytes\": "
      "{}, \"spec\": {{\"base_prefix\": {}, \"tablespaces\": [{}]{}}}",
      segment_of(timeline, stop, segment_bytes).name(segment_bytes), offset_text(stop, segment_bytes),
      sentinel.uncompressed_bytes, json_string(with_slash(sentinel.data_dir)), names, locations);
  text += fmt::format(", \"LSN\": {}, \"FinishLSN\": {}, \"PgVersion\": {}", sentinel.start_lsn.value_or(Lsn{}).value,
                      stop.value, sentinel.pg_version);
  if (sentinel.system_identifier) text += fmt::format(", \"SystemIdentifier\": {}", *sentinel.system_identifier);
  return text + "}";
}

TablespaceSpec merge_wal_e_spec(const TablespaceSpec& sentinels, std::string_view json, std::string_view origin) {
  const Json document = object_of(json, origin);
  TablespaceSpec merged = sentinels;
  if (const Json* prefix = member_of(document, "base_prefix")) {
    if (prefix->kind != Json::Kind::text) refuse(origin, "base_prefix is no text");
    merged.base_prefix = prefix->text;
  }
  if (const Json* names = member_of(document, "tablespaces")) merged.tablespaces = listed(*names, merged, origin);
  for (TablespaceSpec::Location& tablespace : merged.tablespaces) {
    if (const Json* entry = member_of(document, tablespace.oid)) {
      tablespace.location = text_of_member(*entry, "loc");
      if (std::string link = text_of_member(*entry, "link"); !link.empty()) tablespace.link = std::move(link);
    }
    if (tablespace.location.empty()) {
      refuse(origin, fmt::format("tablespace {} has no loc", json_string(tablespace.oid)));
    }
    if (tablespace.link != "pg_tblspc/" + tablespace.oid) {
      refuse(origin, fmt::format("the link of tablespace {0} is {1}; it must be \"pg_tblspc/{2}\"",
                                 json_string(tablespace.oid), json_string(tablespace.link), tablespace.oid));
    }
  }
  return merged;
}

bool sets_base_prefix(std::string_view json, std::string_view origin) {
  const Json document = object_of(json, origin);
  return !text_of_member(document, "base_prefix").empty();
}

}  // namespace seawall::archive
