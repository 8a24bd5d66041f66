#pragma once

#include <cstdint>
#include <string_view>

#include "archive/wal_name.hh"
#include "base/bytes.hh"

namespace seawall::postgres {

/// storage/checksum_impl.h: FNV-1a in 32 lanes, with pd_checksum taken as zero, mixed with the block number.
/// `page` is one block of a multiple of 128 bytes.
std::uint16_t page_checksum(Bytes page, std::uint32_t block) noexcept;

enum class PageState {
  good,
  new_page,  ///< pd_upper is 0: never initialised, carries no checksum
  bad,       ///< header impossible or checksum wrong; a checksum of 0 is wrong too, since no server writes it
};
/// For clusters with data checksums, the rules of pg_checksums. `block` is counted over the whole relation fork:
/// segment number × 131072 + block in the file.
PageState check_page(Bytes page, std::uint32_t block) noexcept;
archive::Lsn page_lsn(Bytes page) noexcept;

/// A file that holds relation pages, and which: base/5/16384.1, pg_tblspc/…/16384_vm, global/1262.
struct RelationFile {
  std::uint32_t segment = 0;  ///< .1, .2, …
  bool init_fork = false;
};
/// By the file's name and directory ("/base/5/16384.1"); nothing if it is no relation file. Temporary relations
/// (t3_16384) are none. The leading slash may be missing.
bool is_relation_file(std::string_view path, RelationFile& out) noexcept;

}  // namespace seawall::postgres
