#include "codec/fuzz_decoder.hh"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return seawall::codec::fuzz_decoder("lz4", data, size);
}
