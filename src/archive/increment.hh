#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hh"
#include "base/io.hh"

namespace seawall::archive {

/// WAL-G's increment of one relation file: "wi1" 0x55, u64 file size, u32 count, count × u32 block numbers, then the
/// pages in that order; little endian (docs/formats/increment.md).
struct IncrementHeader {
  std::uint64_t file_bytes = 0;
  std::vector<std::uint32_t> blocks;
};

/// Parses an increment that is pushed into it. `header` is called once, before the first page; then `page` for every
/// block with its image of `block_bytes`. finish() refuses a cut increment; surplus bytes are refused at once.
class IncrementReader final : public Sink {
 public:
  IncrementReader(std::string name, std::size_t block_bytes, std::function<void(const IncrementHeader&)> header,
                  std::function<void(std::uint32_t block, Bytes page)> page);
  void write(Bytes data) override;
  void finish();

 private:
  void parse_header();
  std::string name_;
  std::size_t block_bytes_;
  std::function<void(const IncrementHeader&)> on_header_;
  std::function<void(std::uint32_t, Bytes)> on_page_;
  std::string pending_;
  IncrementHeader header_;
  bool have_header_ = false;
  std::size_t next_ = 0;
};

}  // namespace seawall::archive
