#include <array>

#include "base/crc32c.hh"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace seawall {
namespace {

constexpr std::uint32_t polynomial = 0x82F63B78;  // reflected

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

/// tables[k][b]: what the byte b does to the sum once k more bytes have passed.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t sum = byte;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? polynomial : 0);
    tables[0][byte] = sum;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr Tables tables = make_tables();

std::uint32_t by_tables(std::uint32_t sum, Bytes data) noexcept {
  for (; data.size() >= 8; data = data.subspan(8)) {
    const std::uint64_t word = load_le<std::uint64_t>(data, 0) ^ sum;
    sum = 0;
    for (std::size_t i = 0; i < 8; ++i) sum ^= tables[7 - i][(word >> (8 * i)) & 0xFF];
  }
  for (const std::byte byte : data) sum = (sum >> 8) ^ tables[0][(sum ^ std::to_integer<std::uint32_t>(byte)) & 0xFF];
  return sum;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::uint32_t sum, Bytes data) noexcept {
  std::uint64_t wide = sum;
  for (; data.size() >= 8; data = data.subspan(8)) wide = _mm_crc32_u64(wide, load_le<std::uint64_t>(data, 0));
  sum = static_cast<std::uint32_t>(wide);
  for (const std::byte byte : data) sum = _mm_crc32_u8(sum, std::to_integer<std::uint8_t>(byte));
  return sum;
}
#endif

}  // namespace

std::uint32_t crc32c_by_tables(Bytes data, std::uint32_t before) noexcept { return ~by_tables(~before, data); }

std::uint32_t crc32c(Bytes data, std::uint32_t before) noexcept {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~by_instruction(~before, data);
#endif
  return ~by_tables(~before, data);
}

}  // namespace seawall
