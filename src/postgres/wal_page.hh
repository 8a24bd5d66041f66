#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "archive/wal_name.hh"
#include "base/bytes.hh"

namespace seawall::postgres {

/// The long header of a segment's first page (access/xlog_internal.h, XLogLongPageHeaderData), little endian.
struct WalSegmentHeader {
  std::uint16_t magic = 0;
  std::uint16_t info = 0;
  archive::Timeline timeline = 0;
  archive::Lsn page_address;
  std::uint64_t system_identifier = 0;
  std::uint32_t segment_bytes = 0;
  std::uint32_t block_bytes = 0;
};
inline constexpr std::size_t wal_segment_header_bytes = 40;

/// The first and the newest magic this build knows: 0xD097 is PostgreSQL 10's, 0xD118 is 18's.
inline constexpr std::uint16_t oldest_wal_magic = 0xD097;
inline constexpr std::uint16_t newest_wal_magic = 0xD118;

/// Errc::corrupt if `first_page` is shorter than the header, is no long header, or holds impossible values;
/// Errc::unsupported for a magic older than PostgreSQL 10. `name` is for messages.
WalSegmentHeader parse_segment_header(Bytes first_page, std::string_view name);

/// The server's major version for a magic, "15"; nothing for one newer than this build knows.
std::optional<std::string_view> wal_magic_version(std::uint16_t magic) noexcept;

}  // namespace seawall::postgres
