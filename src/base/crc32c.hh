#pragma once

#include <cstdint>

#include "base/bytes.hh"

namespace seawall {

/// CRC-32C (Castagnoli): PostgreSQL's pg_crc32c of pg_control and of WAL records, and the checksum that S3 verifies.
/// `before` is the sum of what precedes `data`, so that bytes may come in pieces.
std::uint32_t crc32c(Bytes data, std::uint32_t before = 0) noexcept;
/// The same without the processor's instruction, for those that have none.
std::uint32_t crc32c_by_tables(Bytes data, std::uint32_t before = 0) noexcept;

}  // namespace seawall
