#pragma once

#include <functional>
#include <memory>
#include <string>

#include "codec/codec.hh"

namespace seawall::codec {

/// Encodes blocks that do not refer to each other. One thread at a time.
class BlockCoder {
 public:
  virtual ~BlockCoder() = default;
  /// Returns the bytes written to `out`, which has room for BlockFormat::encoded_bound.
  virtual std::size_t encode(Bytes raw, MutableBytes out) = 0;
};

/// A format in which an object is a header, blocks that can be decoded alone, and a trailer.
struct BlockFormat {
  std::size_t block_bytes;    ///< raw bytes of every block but the last; a multiple of 64 KiB
  std::size_t encoded_bound;  ///< most bytes of an encoded block
  Bytes header;               ///< static
  std::string (*trailer)(std::uint64_t raw_bytes);
  bool empty_object_has_one_block;  ///< else none
  std::function<std::unique_ptr<BlockCoder>()> make_coder;
};

/// An encoder of `format` that works in `context.pool` if it was given one and the object is worth it. The output is
/// the same either way. Blocks become smaller where the wanted index would otherwise have no block to point to.
std::unique_ptr<Filter> encode_blocks(const ObjectContext& context, BlockFormat format, Sink& next);

}  // namespace seawall::codec
