#pragma once

#include <cstdint>

#include "base/bytes.hh"

namespace seawall::postgres::detail {

/// CRC-32C (Castagnoli) as PostgreSQL's pg_crc32c: of pg_control and of WAL records.
std::uint32_t crc32c(Bytes data) noexcept;
/// The same without the processor's instruction, for those that have none.
std::uint32_t crc32c_by_tables(Bytes data) noexcept;

}  // namespace seawall::postgres::detail
