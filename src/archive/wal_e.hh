#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/sentinel.hh"
#include "archive/wal_name.hh"

/// What WAL-E names and writes otherwise than WAL-G (docs/formats/wal-e.md).
namespace seawall::archive {

/// "base_000000010000000000000007_00000040": the segment, and the decimal offset in it, of which WAL-E keeps the first
/// eight digits.
std::string wal_e_backup_name(Timeline timeline, Lsn start, std::uint64_t segment_bytes);

struct WalEName {
  std::string segment;  ///< 24 digits
  std::string offset;   ///< 8
};
/// Nothing unless `name` is one whole.
std::optional<WalEName> parse_wal_e_name(std::string_view name);

std::string wal_e_part_name(unsigned number);  ///< "part_00000000.tar", the first
/// The number of a volume: of "part_00000007.tar.lzo" 7. Nothing for what is none.
std::optional<std::uint32_t> wal_e_part_number(std::string_view object);
/// Those that are missing from 0 to the highest: volumes are numbered without a gap. In any order, twice or not.
std::vector<std::uint64_t> wal_e_missing_parts(const std::vector<std::uint32_t>& present);
/// Relative, directories with a slash at the end; the data directory itself is "/".
std::string wal_e_member_name(std::string_view name, bool directory);
std::string wal_e_version_object(std::string_view backup);  ///< "basebackups_005/NAME/extended_version.txt"

/// The end of a backup as WAL-E's sentinel tells it; empty: it does not.
struct WalEStop {
  std::string segment;
  std::string offset;
  std::string expanded_bytes;
  /// Is it where the backup starts? Then the cluster was shut down, and has no backup_label.
  bool is_start(const WalEName& start) const { return segment == start.segment && offset == start.offset; }
};
/// Errc::corrupt if it is no JSON object.
WalEStop parse_wal_e_stop(std::string_view json, std::string_view origin);

/// One line in Python's spelling. Behind WAL-E's own members stand those of WAL-G's that tell what WAL-E does not:
/// LSNs, version and system; WAL-E and WAL-G take no offence. Locations get WAL-E's slash at their end.
std::string print_wal_e_sentinel(const Sentinel& sentinel, Timeline timeline, std::uint64_t segment_bytes);

/// The specification of a --restore-spec file laid over the sentinel's, member by member. Errc::corrupt as
/// parse_tablespace_spec(). An empty base_prefix: neither has one.
TablespaceSpec merge_wal_e_spec(const TablespaceSpec& sentinels, std::string_view json, std::string_view origin);
/// Does the document set base_prefix?
bool sets_base_prefix(std::string_view json, std::string_view origin);

}  // namespace seawall::archive
