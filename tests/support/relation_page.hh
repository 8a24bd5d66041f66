#pragma once

#include <algorithm>
#include <cstdint>

#include "base/bytes.hh"
#include "postgres/page.hh"

namespace seawall::test {

inline constexpr std::size_t relation_page_bytes = 8192;

/// A page with a valid header, the given LSN and a right checksum (bufpage.h, PageHeaderData).
inline void make_page(MutableBytes page, std::uint64_t lsn, std::uint32_t block) {
  std::fill(page.begin(), page.end(), std::byte{0x5A});
  store_le<std::uint32_t>(page, 0, static_cast<std::uint32_t>(lsn >> 32));
  store_le<std::uint32_t>(page, 4, static_cast<std::uint32_t>(lsn));
  store_le<std::uint16_t>(page, 8, 0);
  store_le<std::uint16_t>(page, 10, 0);
  store_le<std::uint16_t>(page, 12, 28);
  store_le<std::uint16_t>(page, 14, relation_page_bytes);
  store_le<std::uint16_t>(page, 16, relation_page_bytes);
  store_le<std::uint16_t>(page, 18, relation_page_bytes | 4);
  store_le<std::uint16_t>(page, 8, postgres::page_checksum(page, block));
}

}  // namespace seawall::test
