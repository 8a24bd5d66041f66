#include <algorithm>

#include "base/error.hh"
#include "codec/codec.hh"

namespace {

class Discard final : public seawall::Sink {
 public:
  void write(seawall::Bytes) override {}
};

}  // namespace

/// The first byte says in what pieces the rest is pushed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  seawall::Bytes input(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  const std::size_t piece = data[0] == 0 ? input.size() + 1 : data[0];
  Discard out;
  const auto decoder = seawall::codec::find_codec("lz4")->decode({.key = "fuzz", .size_hint = {}}, out);
  try {
    while (!input.empty()) {
      const std::size_t n = std::min(piece, input.size());
      decoder->write(input.first(n));
      input = input.subspan(n);
    }
    decoder->finish();
  } catch (const seawall::Error&) {
  }
  return 0;
}
