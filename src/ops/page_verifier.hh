#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "archive/wal_name.hh"
#include "base/bytes.hh"

namespace seawall::ops {

/// Checks the pages of one relation file while its bytes pass by.
///
/// A page that looks bad may just be half-written at this moment. It is bad only if its LSN is older than the backup's
/// start (otherwise WAL holds a full image of it) and two reads of it in a row agree.
class PageVerifier {
 public:
  /// `first_block`: of this file within the relation (segment number × 131072). `reread` reads a page of the file
  /// again; false if it no longer exists there.
  PageVerifier(std::uint32_t first_block, archive::Lsn backup_start,
               std::function<bool(std::uint32_t block_in_file, MutableBytes page)> reread);

  void update(Bytes data);
  const std::vector<std::uint32_t>& bad_blocks() const noexcept { return bad_; }
  /// Bytes behind the last whole page: the file's size is no multiple of the page size.
  std::size_t remainder() const noexcept { return carried_; }

  static constexpr std::size_t page_bytes = 8192;

 private:
  void check(Bytes page);
  bool confirmed_bad(Bytes first_read);

  const std::uint32_t first_block_;
  const archive::Lsn backup_start_;
  std::function<bool(std::uint32_t, MutableBytes)> reread_;
  std::uint32_t block_ = 0;
  std::size_t carried_ = 0;
  std::vector<std::byte> carry_;  // a page that straddles two updates
  std::vector<std::uint32_t> bad_;
};

}  // namespace seawall::ops
