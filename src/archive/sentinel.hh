#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/wal_name.hh"
#include "base/clock.hh"

namespace seawall::archive {

/// Tablespaces of a backup (`Spec`, and the --restore-spec file).
struct TablespaceSpec {
  struct Location {
    std::string oid;       ///< also the entry's name in pg_tblspc
    std::string location;  ///< where the files were
    std::string link;      ///< "pg_tblspc/16385"
  };
  std::string base_prefix;  ///< PGDATA at backup time
  std::vector<Location> tablespaces;
  bool empty() const { return tablespaces.empty(); }
};
/// Errc::corrupt naming `origin` if base_prefix is missing or a listed tablespace has no location.
TablespaceSpec parse_tablespace_spec(std::string_view json, std::string_view origin);
std::string print_tablespace_spec(const TablespaceSpec& spec);

/// `<NAME>_backup_stop_sentinel.json`, WAL-G's V2 form.
struct Sentinel {
  std::optional<Lsn> start_lsn;
  std::optional<Lsn> delta_lsn;
  std::optional<std::string> delta_from;       ///< parent's name: set iff a delta
  std::optional<std::string> delta_full_name;  ///< the chain's full backup
  std::optional<int> delta_count;
  int pg_version = 0;  ///< server_version_num
  std::optional<Lsn> finish_lsn;
  std::optional<std::uint64_t> system_identifier;
  std::int64_t uncompressed_bytes = 0;
  std::int64_t compressed_bytes = 0;
  std::int64_t data_catalog_bytes = 0;
  std::optional<TablespaceSpec> spec;
  std::string user_data_json;  ///< raw JSON; empty: none
  bool files_metadata_disabled = false;
  int version = 2;
  Time start_time{};
  Time finish_time{};
  std::string hostname;
  std::string data_dir;
  bool is_permanent = false;
  bool has_files = false;  ///< read only: a sentinel of the V1 form, which carries its file list itself
  bool is_delta() const { return delta_from.has_value(); }
};
/// Members in WAL-G's order, one line, Go's HTML escapes, no newline.
std::string print_sentinel(const Sentinel& sentinel);
/// Go's reading rules: keys match case-insensitively, unknown ones are ignored, null keeps the default; WAL-E's `spec`
/// is used if `Spec` is absent. Errc::corrupt naming `origin` on anything that is no such document.
Sentinel parse_sentinel(std::string_view json, std::string_view origin);

/// `<NAME>/metadata.json`: authoritative for permanence and user data.
struct BackupMetadata {
  Time start_time{};  ///< WAL-G rounds both times up to a whole microsecond; print does so
  Time finish_time{};
  std::string date_format = "%Y-%m-%dT%H:%M:%S.%fZ";
  std::string hostname;
  std::string data_dir;
  int pg_version = 0;
  std::optional<Lsn> start_lsn;
  std::optional<Lsn> finish_lsn;
  bool is_permanent = false;
  std::optional<std::uint64_t> system_identifier;
  std::int64_t uncompressed_bytes = 0;
  std::int64_t compressed_bytes = 0;
  std::string user_data_json;
};
std::string print_metadata(const BackupMetadata& metadata);
BackupMetadata parse_metadata(std::string_view json, std::string_view origin);
/// The members of metadata.json without the braces, as backup-list --detail --json appends them.
std::string metadata_members(const BackupMetadata& metadata);

/// Validates user data and rewrites it as WAL-G's encoder would (sorted keys, numbers as doubles, HTML escapes).
/// Errc::usage if `text` is no JSON.
std::string canonical_user_data(std::string_view text);
/// Deep equality, numbers as doubles.
bool same_user_data(std::string_view a, std::string_view b);

}  // namespace seawall::archive
