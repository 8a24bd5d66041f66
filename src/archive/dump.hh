#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hh"
#include "base/digest.hh"

/// Logical dumps in an archive, and which of them are kept (docs/formats/dump.md). Ours: WAL-G sees none of this.
namespace seawall::archive {

inline constexpr std::string_view dumps_folder = "seawall_005/dumps/";

/// One dump of one database, or of what belongs to no database (roles, tablespaces): what its record says. The record
/// is the commit point: a dump exists iff it does.
struct Dump {
  std::string name;      ///< when the run began that made it, and others beside it: "20261121T093414Z"
  std::string database;  ///< empty: the globals
  Time started{};
  Time finished{};
  std::uint64_t raw_bytes = 0;  ///< that pg_dump wrote
  std::string object;           ///< what it was stored as, with suffix: "seawall_005/dumps/…/database_app.dump.lz4"
  std::uint64_t stored_bytes = 0;
  Digest digest;                         ///< of the stored bytes
  int server_version = 0;                ///< 150014
  std::string encoding, collate, ctype;  ///< of the database

  bool operator==(const Dump&) const = default;
};

/// Where the dump of a database (or the globals, if empty) of the run `name` is, without suffix. Bytes of the
/// database's name other than ASCII letters, digits, '-' and '_' are written %XX.
std::string dump_object(std::string_view name, std::string_view database);
/// "seawall_005/dumps/NAME/database_app.json"
std::string dump_record_object(std::string_view name, std::string_view database);
/// Whether a key under dumps_folder is the name of a record.
bool is_dump_record(std::string_view key_under_dumps_folder);

std::string print_dump_record(const Dump& dump);
/// Errc::corrupt naming `origin` for what is no record, and for one that names an object other than its own: what a
/// rotation removes must be what the dump wrote. `record_object` is the record's own name in the archive.
Dump parse_dump_record(std::string_view text, std::string_view record_object, std::string_view origin);

/// How many days, weeks (from Monday) and months, in UTC, keep the newest dump made in them. Those without a dump do
/// not count. All 0: everything is kept.
struct DumpRotation {
  unsigned days = 0;
  unsigned weeks = 0;
  unsigned months = 0;
};

/// What a dump is kept as. Nothing of it: rotation removes the dump.
struct DumpKept {
  bool newest = false;
  bool day = false;
  bool week = false;
  bool month = false;

  bool any() const { return newest || day || week || month; }
  bool operator==(const DumpKept&) const = default;
};

/// For each of the times at which dumps of one database began, in any order. The newest is always kept.
std::vector<DumpKept> rotate_dumps(std::span<const Time> started, const DumpRotation& rotation);

}  // namespace seawall::archive
