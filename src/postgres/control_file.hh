#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "archive/wal_name.hh"
#include "base/bytes.hh"

namespace seawall::postgres {

/// What seawall needs of global/pg_control (catalog/pg_control.h, ControlFileData) of PostgreSQL 10 to 18.
struct ControlFile {
  std::uint64_t system_identifier = 0;
  std::uint32_t control_version = 0;  ///< 1002 for 10, … 1800 for 18
  archive::Lsn checkpoint;
  archive::Timeline timeline = 0;
  std::uint32_t block_bytes = 0;
  std::uint32_t wal_segment_bytes = 0;
  std::uint32_t data_checksum_version = 0;  ///< 0: off
  bool shut_down = false;                   ///< cleanly, as a primary: `checkpoint` is the last thing in its WAL
};

/// The stored CRC-32C is verified. Errc::corrupt naming `name` if it is wrong or the file is cut;
/// Errc::unsupported for versions that this build does not know.
ControlFile parse_control_file(Bytes content, std::string_view name);
/// Of a data directory; nothing if global/pg_control is not there. Reads again while a server is writing it.
std::optional<ControlFile> try_read_control_file(const std::filesystem::path& data_directory);

/// pid in postmaster.pid (of a postmaster or a single-user server) if a process of that id lives that is not this
/// one, else nothing. The process may be another program that got the id of a dead server.
std::optional<int> running_postmaster(const std::filesystem::path& data_directory);

}  // namespace seawall::postgres
