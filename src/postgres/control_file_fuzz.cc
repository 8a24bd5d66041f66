#include <algorithm>
#include <array>
#include <vector>

#include "base/crc32c.hh"
#include "base/error.hh"
#include "postgres/control_file.hh"

namespace {

void parse(seawall::Bytes content) {
  try {
    const auto file = seawall::postgres::parse_control_file(content, "fuzz");
    if (file.block_bytes == 0 || file.wal_segment_bytes == 0) __builtin_trap();
  } catch (const seawall::Error&) {
  }
}

}  // namespace

/// Once as it comes, once with the checksum made right at each place where a version has it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const seawall::Bytes input(reinterpret_cast<const std::byte*>(data), size);
  parse(input);
  if (seawall::crc32c(input) != seawall::crc32c_by_tables(input)) __builtin_trap();
  constexpr std::array<std::size_t, 3> places{280, 288, 292};
  for (const std::size_t place : places) {
    if (size < place + 4) continue;
    std::vector<std::byte> copy(input.begin(), input.end());
    seawall::store_le(copy, place, seawall::crc32c(input.first(place)));
    parse(copy);
  }
  return 0;
}
