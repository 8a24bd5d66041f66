#pragma once

#include <memory>

#include "codec/codec.hh"

/// Inside the room only: the functions that codec.cc's table points to.
namespace seawall::codec {

/// Raw bytes that a stage offers through space(): reads of this size cost little, and it is four lz4 blocks or one of
/// lzo.
inline constexpr std::size_t space_bytes = 256 << 10;
/// Compressed output is collected until there are this many bytes, so that the next stage is not called per block.
inline constexpr std::size_t piece_bytes = 256 << 10;

/// Errc::bug unless the index, if wanted, has a stride that is a multiple of 64 KiB.
void check_index(const ObjectContext& context);

std::unique_ptr<Filter> encode_brotli(const ObjectContext& context, int level, Sink& next);
std::unique_ptr<Filter> decode_brotli(const ObjectContext& context, Sink& next);
std::unique_ptr<Filter> decode_gzip(const ObjectContext& context, Sink& next);
std::unique_ptr<Filter> encode_lz4(const ObjectContext& context, int level, Sink& next);
std::unique_ptr<Filter> decode_lz4(const ObjectContext& context, Sink& next);
std::unique_ptr<Filter> encode_lzma(const ObjectContext& context, int level, Sink& next);
std::unique_ptr<Filter> decode_lzma(const ObjectContext& context, Sink& next);
std::unique_ptr<Filter> encode_lzo(const ObjectContext& context, int level, Sink& next);
std::unique_ptr<Filter> decode_lzo(const ObjectContext& context, Sink& next);
std::unique_ptr<Filter> encode_none(const ObjectContext& context, int level, Sink& next);
std::unique_ptr<Filter> decode_none(const ObjectContext& context, Sink& next);
std::unique_ptr<Filter> encode_zstd(const ObjectContext& context, int level, Sink& next);
std::unique_ptr<Filter> decode_zstd(const ObjectContext& context, Sink& next);

}  // namespace seawall::codec
