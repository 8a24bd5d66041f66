#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/error.hh"
#include "codec/codec.hh"

namespace seawall::codec {

/// Decodes `data` as if it lay in an object. Its first byte says in what pieces the rest is pushed, and whether
/// checksums are looked at: without them the fuzzer reaches what lies behind.
inline int fuzz_decoder(std::string_view codec, const std::uint8_t* data, std::size_t size) {
  class Discard final : public Sink {
   public:
    void write(Bytes) override {}
  };
  if (size == 0) return 0;
  Bytes input(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  const std::size_t piece = data[0] < 2 ? input.size() + 1 : data[0];
  Discard out;
  try {
    const auto decoder =
        find_codec(codec)->decode({.key = "fuzz", .size_hint = {}, .digest_is_checked = data[0] % 2 == 1}, out);
    while (!input.empty()) {
      const std::size_t n = std::min(piece, input.size());
      decoder->write(input.first(n));
      input = input.subspan(n);
    }
    decoder->finish();
  } catch (const Error&) {
  }
  return 0;
}

}  // namespace seawall::codec
