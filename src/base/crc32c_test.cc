#include "base/crc32c.hh"

#include <gtest/gtest.h>

#include <string>

namespace seawall {
namespace {

TEST(Crc32c, HasTheKnownValues) {
  // RFC 3720, B.4, and the check value of the CRC catalogues.
  std::string rising(32, '\0');
  for (std::size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<char>(i);
  for (const auto function : {crc32c, crc32c_by_tables}) {
    EXPECT_EQ(function(bytes_of(""), 0), 0U);
    EXPECT_EQ(function(bytes_of("123456789"), 0), 0xE3069283);
    EXPECT_EQ(function(bytes_of(std::string(32, '\0')), 0), 0x8A9136AA);
    EXPECT_EQ(function(bytes_of(std::string(32, '\xFF')), 0), 0x62A8AB43);
    EXPECT_EQ(function(bytes_of(rising), 0), 0x46DD794E);
  }
}

TEST(Crc32c, TakesPieces) {
  const std::string text = "whatever the pieces are, the sum is that of the whole";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const Bytes whole = bytes_of(text);
    for (const auto function : {crc32c, crc32c_by_tables}) {
      EXPECT_EQ(function(whole.subspan(cut), function(whole.first(cut), 0)), crc32c(whole)) << cut;
    }
  }
}

}  // namespace
}  // namespace seawall
