#include "archive/sentinel.hh"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "archive/detail/json.hh"
#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::archive {
namespace {

constexpr std::string_view date_format_name = "%Y-%m-%dT%H:%M:%S.%fZ";
/// How Go prints a time that was never set.
constexpr std::string_view unset_time = "0001-01-01T00:00:00Z";

/// Assigns the members of a document by Go's rules: any case, null changes nothing, the last of several wins.
class Members {
 public:
  Members(const Json& document, std::string_view origin) : document_(document), origin_(origin) {}

  template <class T>
  void read(std::string_view name, T& into) const {
    each(name, [&](const Json& value) { assign(name, value, into); });
  }

  void each(std::string_view name, const std::function<void(const Json&)>& visit) const {
    const std::string wanted = lower(name);
    for (const JsonMember& member : document_.members) {
      if (member.value.kind != Json::Kind::null && lower(member.name) == wanted) visit(member.value);
    }
  }

  [[noreturn]] void fail(std::string_view name, std::string_view what) const {
    throw Error(Errc::corrupt, fmt::format("{}: {} {}", origin_, name, what));
  }

 private:
  template <class T>
  void assign(std::string_view name, const Json& value, std::optional<T>& into) const {
    T inner{};
    assign(name, value, inner);
    into = std::move(inner);
  }
  template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  void assign(std::string_view name, const Json& value, T& into) const {
    const auto parsed = value.kind == Json::Kind::number ? parse_int<T>(value.text) : std::nullopt;
    if (!parsed)
      fail(name, fmt::format("is no {} number of {} bits", std::is_signed_v<T> ? "whole" : "natural", 8 * sizeof(T)));
    into = *parsed;
  }
  void assign(std::string_view name, const Json& value, Lsn& into) const { assign(name, value, into.value); }
  void assign(std::string_view name, const Json& value, bool& into) const {
    if (value.kind != Json::Kind::boolean) fail(name, "is neither true nor false");
    into = value.truth;
  }
  void assign(std::string_view name, const Json& value, std::string& into) const {
    if (value.kind != Json::Kind::text) fail(name, "is no string");
    into = value.text;
  }
  void assign(std::string_view name, const Json& value, Time& into) const {
    if (value.kind == Json::Kind::text && value.text == unset_time) return;
    const auto parsed = value.kind == Json::Kind::text ? parse_rfc3339(value.text) : std::nullopt;
    if (!parsed) fail(name, "is no time in RFC 3339 form");
    into = *parsed;
  }

  const Json& document_;
  std::string_view origin_;
};

Json parse_object(std::string_view text, std::string_view origin) {
  Json document = parse_json(text, Errc::corrupt, origin);
  if (document.kind != Json::Kind::object) throw Error(Errc::corrupt, fmt::format("{}: no JSON object", origin));
  return document;
}

/// Appends `"name":value` pairs, printing them as WAL-G's encoder does.
class Printer {
 public:
  void raw(std::string_view name, std::string_view value) {
    fmt::format_to(std::back_inserter(text_), "{}\"{}\":{}", text_.empty() ? "" : ",", name, value);
  }
  template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  void member(std::string_view name, T value) {
    raw(name, fmt::to_string(value));
  }
  void member(std::string_view name, Lsn lsn) { member(name, lsn.value); }
  void member(std::string_view name, bool value) { raw(name, value ? "true" : "false"); }
  void member(std::string_view name, std::string_view value) { raw(name, json_string(value, true)); }
  void member(std::string_view name, const std::string& value) { member(name, std::string_view(value)); }
  void member(std::string_view name, Time value) {
    member(name, std::string_view(rfc3339_nano(std::chrono::ceil<std::chrono::microseconds>(value))));
  }
  template <class T>
  void or_null(std::string_view name, const std::optional<T>& value) {
    if (value) {
      member(name, *value);
    } else {
      raw(name, "null");
    }
  }
  template <class T>
  void if_any(std::string_view name, const std::optional<T>& value) {
    if (value) member(name, *value);
  }
  void user_data(std::string_view name, std::string_view json) {
    const std::string value = canonical_user_data(json);
    if (!value.empty() && value != "null") raw(name, value);
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

const Json* last_member(const Json& object, std::string_view name) {
  const Json* found = nullptr;
  for (const JsonMember& member : object.members) {
    if (member.name == name) found = &member.value;
  }
  return found;
}

const std::string* text_member(const Json& object, std::string_view name) {
  const Json* found = last_member(object, name);
  return found != nullptr && found->kind == Json::Kind::text ? &found->text : nullptr;
}

TablespaceSpec spec_of(const Json& document, std::string_view origin) {
  const auto fail = [&](std::string_view what) {
    throw Error(Errc::corrupt, fmt::format("{}: tablespace specification: {}", origin, what));
  };
  TablespaceSpec spec;
  const std::string* prefix = text_member(document, "base_prefix");
  if (prefix == nullptr || prefix->empty()) {
    fail("base_prefix, the data directory at backup time, is missing");
  } else {
    spec.base_prefix = *prefix;
  }
  const Json* names = last_member(document, "tablespaces");
  if (names == nullptr || names->kind == Json::Kind::null) return spec;
  if (names->kind != Json::Kind::array) fail("tablespaces is no list");
  for (const Json& name : names->items) {
    if (name.kind != Json::Kind::text) fail("tablespaces lists something that is no name");
    const Json* entry = last_member(document, name.text);
    const std::string* location = entry == nullptr ? nullptr : text_member(*entry, "loc");
    const std::string* link = entry == nullptr ? nullptr : text_member(*entry, "link");
    if (location == nullptr || link == nullptr) {
      fail(fmt::format("tablespace {} has no loc and link", json_string(name.text)));
    } else {
      spec.tablespaces.push_back({name.text, *location, *link});
    }
  }
  return spec;
}

void read_spec(const Json& document, const Members& members, std::string_view origin, Sentinel& into) {
  // WAL-E wrote the same thing as "spec"; where both stand, WAL-G's own spelling counts.
  const Json* found = last_member(document, "Spec");
  if (found == nullptr || found->kind == Json::Kind::null) members.each("Spec", [&](const Json& v) { found = &v; });
  if (found == nullptr || found->kind == Json::Kind::null) return;
  if (found->kind != Json::Kind::object) members.fail("Spec", "is no JSON object");
  into.spec = spec_of(*found, origin);
}

std::string user_data_of(const Json& value, std::string_view origin) {
  return print_canonical_json(value, Errc::corrupt, origin);
}

}  // namespace

TablespaceSpec parse_tablespace_spec(std::string_view json, std::string_view origin) {
  return spec_of(parse_object(json, origin), origin);
}

std::string print_tablespace_spec(const TablespaceSpec& spec) {
  std::map<std::string_view, std::string> members;
  Json names{.kind = Json::Kind::array};
  for (const TablespaceSpec::Location& tablespace : spec.tablespaces) {
    members[tablespace.oid] = fmt::format("{{\"loc\":{},\"link\":{}}}", json_string(tablespace.location, true),
                                          json_string(tablespace.link, true));
    names.items.push_back({.kind = Json::Kind::text, .text = tablespace.oid});
  }
  members["base_prefix"] = json_string(spec.base_prefix, true);
  members["tablespaces"] = print_canonical_json(names, Errc::bug, "tablespaces");
  std::string text = "{";
  for (const auto& [name, value] : members) {
    fmt::format_to(std::back_inserter(text), "{}{}:{}", text.size() == 1 ? "" : ",", json_string(name, true), value);
  }
  return text + "}";
}

std::string print_sentinel(const Sentinel& sentinel) {
  Printer out;
  out.or_null("LSN", sentinel.start_lsn);
  out.if_any("DeltaLSN", sentinel.delta_lsn);
  out.if_any("DeltaFrom", sentinel.delta_from);
  out.if_any("DeltaFullName", sentinel.delta_full_name);
  out.if_any("DeltaCount", sentinel.delta_count);
  out.member("PgVersion", sentinel.pg_version);
  out.or_null("FinishLSN", sentinel.finish_lsn);
  out.if_any("SystemIdentifier", sentinel.system_identifier);
  out.member("UncompressedSize", sentinel.uncompressed_bytes);
  out.member("CompressedSize", sentinel.compressed_bytes);
  if (sentinel.data_catalog_bytes != 0) out.member("DataCatalogSize", sentinel.data_catalog_bytes);
  if (sentinel.spec) out.raw("Spec", print_tablespace_spec(*sentinel.spec));
  out.user_data("UserData", sentinel.user_data_json);
  if (sentinel.files_metadata_disabled) out.member("FilesMetadataDisabled", true);
  out.raw("ChkpNum", "null");
  out.member("Version", sentinel.version);
  out.member("StartTime", sentinel.start_time);
  out.member("FinishTime", sentinel.finish_time);
  out.member("DateFmt", date_format_name);
  out.member("Hostname", sentinel.hostname);
  out.member("DataDir", sentinel.data_dir);
  out.member("IsPermanent", sentinel.is_permanent);
  return "{" + out.text() + "}";
}

Sentinel parse_sentinel(std::string_view json, std::string_view origin) {
  const Json document = parse_object(json, origin);
  const Members members(document, origin);
  Sentinel sentinel;
  sentinel.version = 1;
  members.read("LSN", sentinel.start_lsn);
  members.read("DeltaLSN", sentinel.delta_lsn);
  members.read("DeltaFromLSN", sentinel.delta_lsn);  // an older name of the same, which wins where both stand
  members.read("DeltaFrom", sentinel.delta_from);
  members.read("DeltaFullName", sentinel.delta_full_name);
  members.read("DeltaCount", sentinel.delta_count);
  members.read("PgVersion", sentinel.pg_version);
  members.read("FinishLSN", sentinel.finish_lsn);
  members.read("SystemIdentifier", sentinel.system_identifier);
  members.read("UncompressedSize", sentinel.uncompressed_bytes);
  members.read("CompressedSize", sentinel.compressed_bytes);
  members.read("DataCatalogSize", sentinel.data_catalog_bytes);
  members.each("UserData", [&](const Json& value) { sentinel.user_data_json = user_data_of(value, origin); });
  members.read("FilesMetadataDisabled", sentinel.files_metadata_disabled);
  members.each("Files", [&](const Json&) { sentinel.has_files = true; });
  members.read("Version", sentinel.version);
  members.read("StartTime", sentinel.start_time);
  members.read("FinishTime", sentinel.finish_time);
  members.read("Hostname", sentinel.hostname);
  members.read("DataDir", sentinel.data_dir);
  members.read("IsPermanent", sentinel.is_permanent);
  read_spec(document, members, origin, sentinel);
  const bool complete = sentinel.delta_lsn && sentinel.delta_full_name && sentinel.delta_count;
  if (sentinel.is_delta() && !complete) {
    members.fail("DeltaFrom", "names a parent, but DeltaLSN, DeltaFullName or DeltaCount is missing");
  }
  return sentinel;
}

std::string metadata_members(const BackupMetadata& metadata) {
  Printer out;
  out.member("start_time", metadata.start_time);
  out.member("finish_time", metadata.finish_time);
  out.member("date_fmt", metadata.date_format);
  out.member("hostname", metadata.hostname);
  out.member("data_dir", metadata.data_dir);
  out.member("pg_version", metadata.pg_version);
  out.or_null("start_lsn", metadata.start_lsn);
  out.or_null("finish_lsn", metadata.finish_lsn);
  out.member("is_permanent", metadata.is_permanent);
  out.or_null("system_identifier", metadata.system_identifier);
  out.member("uncompressed_size", metadata.uncompressed_bytes);
  out.member("compressed_size", metadata.compressed_bytes);
  out.user_data("user_data", metadata.user_data_json);
  return out.text();
}

std::string print_metadata(const BackupMetadata& metadata) { return "{" + metadata_members(metadata) + "}"; }

BackupMetadata parse_metadata(std::string_view json, std::string_view origin) {
  const Json document = parse_object(json, origin);
  const Members members(document, origin);
  BackupMetadata metadata;
  members.read("start_time", metadata.start_time);
  members.read("finish_time", metadata.finish_time);
  members.read("date_fmt", metadata.date_format);
  members.read("hostname", metadata.hostname);
  members.read("data_dir", metadata.data_dir);
  members.read("pg_version", metadata.pg_version);
  members.read("start_lsn", metadata.start_lsn);
  members.read("finish_lsn", metadata.finish_lsn);
  members.read("is_permanent", metadata.is_permanent);
  members.read("system_identifier", metadata.system_identifier);
  members.read("uncompressed_size", metadata.uncompressed_bytes);
  members.read("compressed_size", metadata.compressed_bytes);
  members.each("user_data", [&](const Json& value) { metadata.user_data_json = user_data_of(value, origin); });
  return metadata;
}

std::string canonical_user_data(std::string_view text) {
  if (text.empty()) return {};
  return print_canonical_json(parse_json(text, Errc::usage, "user data"), Errc::usage, "user data");
}

bool same_user_data(std::string_view a, std::string_view b) {
  const auto canonical = [](std::string_view text) { return text.empty() ? "null" : canonical_user_data(text); };
  return canonical(a) == canonical(b);
}

}  // namespace seawall::archive
