#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

namespace seawall::test {

/// A WAL segment as far as archiving looks at it: every page with the header that belongs there, filled with what
/// `seed` gives. No records: a server could not replay it.
struct WalSegment {
  std::uint32_t timeline = 1;  ///< in the page headers
  std::uint64_t number = 1;
  std::uint32_t segment_bytes = 1 << 20;
  std::uint64_t system_identifier = 7710409946933241964U;
  std::uint16_t magic = 0xD110;  // PostgreSQL 15
  std::uint32_t seed = 1;
  bool only_first_page = false;  ///< zeros behind it, as after a segment switch

  std::string content() const {
    constexpr std::size_t page_bytes = 8192;
    std::string text(segment_bytes, '\0');
    std::uint32_t state = seed * 2654435761U + 1;
    for (std::size_t page = 0; page < text.size(); page += page_bytes) {
      char* const at = text.data() + page;
      put(at, magic);
      put(at + 2, static_cast<std::uint16_t>(page == 0 ? 0x0002 : 0));
      put(at + 4, timeline);
      put(at + 8, number * segment_bytes + page);
      if (page == 0) {
        put(at + 24, system_identifier);
        put(at + 32, segment_bytes);
        put(at + 36, static_cast<std::uint32_t>(page_bytes));
      }
      // Half noise, half zeros: compresses like WAL does.
      for (std::size_t i = 40; i < page_bytes / 2; ++i) {
        state = state * 1664525U + 1013904223U;
        at[i] = static_cast<char>(state >> 24);
      }
      if (only_first_page) break;
    }
    return text;
  }

 private:
  template <class T>
  static void put(char* at, T value) {
    std::memcpy(at, &value, sizeof value);
  }
};

/// The control file of a PostgreSQL 15 cluster.
inline std::string control_file(std::uint64_t system_identifier, std::uint32_t segment_bytes = 1 << 20) {
  std::string text(8192, '\0');
  const auto put = [&](std::size_t offset, auto value) { std::memcpy(text.data() + offset, &value, sizeof value); };
  put(0, system_identifier);
  put(8, std::uint32_t{1300});
  put(48, std::uint32_t{1});
  put(216, std::uint32_t{8192});
  put(228, segment_bytes);
  std::uint32_t crc = ~std::uint32_t{0};  // CRC-32C, a bit at a time
  for (std::size_t i = 0; i < 288; ++i) {
    crc ^= static_cast<unsigned char>(text[i]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
  }
  put(288, ~crc);
  return text;
}

}  // namespace seawall::test
