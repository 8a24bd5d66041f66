#include <algorithm>

#include "base/error.hh"
#include "postgres/wal_records.hh"

/// Segments of 1 MiB that begin with the input; how it is cut must make no difference.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t segment_bytes = 1 << 20;
  if (size < 16) return 0;
  const seawall::Bytes input(reinterpret_cast<const std::byte*>(data), size);
  const auto address = seawall::load_le<std::uint64_t>(input, 8);
  const auto timeline = seawall::load_le<std::uint32_t>(input, 4);
  const auto read = [&](std::size_t piece) {
    seawall::postgres::WalRecordReader reader(segment_bytes);
    try {
      reader.begin_segment("fuzz", {timeline, address / segment_bytes});
      for (seawall::Bytes rest = input; !rest.empty(); rest = rest.subspan(std::min(piece, rest.size()))) {
        reader.write(rest.first(std::min(piece, rest.size())));
      }
      reader.end_segment();
    } catch (const seawall::Error&) {
    }
    return reader.records();
  };
  if (read(size) != read(7)) __builtin_trap();
  return 0;
}
