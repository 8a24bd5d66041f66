#include <algorithm>

#include "archive/increment.hh"
#include "base/error.hh"

/// The first byte says in what pieces the rest is pushed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  seawall::Bytes input(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  const std::size_t piece = data[0] == 0 ? input.size() + 1 : data[0];
  std::size_t page_bytes = 0;
  std::size_t headers = 0;
  std::size_t pages = 0;
  std::size_t expected = 0;
  seawall::archive::IncrementReader reader(
      data[0] % 2 == 0 ? "fuzz" : "/orioledb_data/16384/16390.1", input.size(),
      [&](const seawall::archive::IncrementHeader& header) {
        ++headers;
        expected = header.blocks.size();
        page_bytes = header.block_bytes;
      },
      [&](std::uint32_t, seawall::Bytes page) {
        if (page.size() != page_bytes) __builtin_trap();
        ++pages;
      });
  try {
    while (!input.empty()) {
      const std::size_t n = std::min(piece, input.size());
      reader.write(input.first(n));
      input = input.subspan(n);
    }
    reader.finish();
    if (headers != 1 || pages != expected) __builtin_trap();
  } catch (const seawall::Error&) {
  }
  return 0;
}
