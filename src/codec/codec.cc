#include "codec/codec.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.hh"
#include "codec/makers.hh"

namespace seawall::codec {
namespace {

// The order in which WAL-G looks for a WAL object.
constexpr auto codecs = std::to_array<Codec>({
    {"lz4", "lz4", encode_lz4, decode_lz4},
    {"lzma", "lzma", encode_lzma, decode_lzma},
    {"gzip", "gz", nullptr, decode_gzip},
    {"none", "", encode_none, decode_none},
    {"brotli", "br", encode_brotli, decode_brotli},
#ifdef SEAWALL_LZO
    {"lzo", "lzo", encode_lzo, decode_lzo},
#endif
    {"zstd", "zst", encode_zstd, decode_zstd},
});

}  // namespace

void check_index(const ObjectContext& context) {
  if (context.block_index == nullptr) return;
  if (context.index_stride == 0 || context.index_stride % (64 << 10) != 0) {
    throw Error(Errc::bug, fmt::format("{}: a block index every {} bytes is not possible: not a multiple of 64 KiB",
                                       context.key, context.index_stride));
  }
}

std::span<const Codec> all_codecs() noexcept { return codecs; }

const Codec* find_codec(std::string_view name) noexcept {
  const auto found = std::ranges::find(codecs, name, &Codec::name);
  return found == codecs.end() ? nullptr : &*found;
}

const Codec* find_codec_by_suffix(std::string_view suffix) noexcept {
  const auto found = std::ranges::find(codecs, suffix, &Codec::suffix);
  return found == codecs.end() ? nullptr : &*found;
}

}  // namespace seawall::codec
