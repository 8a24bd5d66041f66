#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "base/io.hh"

namespace seawall::archive {

/// WAL-G's increment of one relation file: "wi1" 0x55, u64 file size, u32 count, count × u32 block numbers, then the
/// pages in that order; little endian (docs/formats/increment.md).
struct IncrementHeader {
  std::uint64_t file_bytes = 0;       ///< size of the source file when it was found; a multiple of its block size
  std::uint32_t block_bytes = 0;      ///< the cluster's block size; 0 if there are no pages to tell it
  std::vector<std::uint32_t> blocks;  ///< ascending; may lie beyond file_bytes: the file grew while it was read
  /// Of a file of OrioleDB, whose increments each tell a block size: the file's size is a multiple of none, and the
  /// next increment of it may have another.
  bool any_block_size = false;
};

/// Every block size that an increment with any_block_size can have is a multiple of it.
inline constexpr std::uint32_t least_any_block_bytes = 512;

/// PostgreSQL's, where nothing else tells.
inline constexpr std::uint32_t usual_block_bytes = 8192;

/// How many blocks are neither in the increment nor in a file of `base_bytes` bytes to which it is applied.
std::uint64_t absent_pages(const IncrementHeader& header, std::uint64_t base_bytes) noexcept;

/// Parses an increment of `bytes` bytes (by its tar header) that is pushed into it. The block size is not stored,
/// unless `name` is a data file of OrioleDB: it follows from the length, so increments of every cluster are read
/// without being told. At most 16 MiB of block numbers are kept, and no page. `header` is called once, before the first
/// page; then `page` for every block with its image of one block. finish() refuses a cut increment; surplus bytes are
/// refused at once; both, and a header that cannot be, with Errc::corrupt naming `name`. One thread.
class IncrementReader final : public Sink {
 public:
  IncrementReader(std::string name, std::uint64_t bytes, std::function<void(const IncrementHeader&)> header,
                  std::function<void(std::uint32_t block, Bytes page)> page);
  void write(Bytes data) override;
  void finish();

 private:
  enum class Stage { fixed, blocks, pages };

  [[noreturn]] void fail(std::string_view cause) const;
  std::size_t wanted_bytes() const noexcept;
  void accept(Bytes unit);
  void accept_fixed(Bytes unit);
  void find_block_size();
  void check_any_block_size();
  void accept_block(std::uint32_t block);
  void end_header();

  std::string name_;
  std::uint64_t bytes_;
  std::size_t fixed_bytes_;  // of what stands before the block numbers
  std::function<void(const IncrementHeader&)> on_header_;
  std::function<void(std::uint32_t, Bytes)> on_page_;
  std::string pending_;  // a unit that came in pieces
  Stage stage_ = Stage::fixed;
  std::uint32_t count_ = 0;
  IncrementHeader header_;
  std::size_t next_ = 0;  // index of the block whose page comes next
};

}  // namespace seawall::archive
