#include "base/digest.hh"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace seawall {
namespace {

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>((i * 2654435761U) >> 13);
  return text;
}

// As the C library gives them: digests stand in stored objects, so they may never change.
TEST(Digest, KnownValues) {
  EXPECT_EQ(digest_of({}).hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(digest_of(bytes_of("abc")).hex(), "06b05ab6733a618578af5f94892f3950");
  EXPECT_EQ(digest_of(bytes_of(std::string(100'000, 'a'))).hex(), "819d5302938c790308f809ef04c54838");
}

TEST(Digest, HexKeepsLeadingZeros) {
  EXPECT_EQ((Digest{.high = 1, .low = 0xAB}).hex(), "000000000000000100000000000000ab");
}

TEST(Digester, PiecesGiveTheDigestOfTheWhole) {
  const std::string text = pattern(70'000);
  for (const std::size_t piece : {1UL, 7UL, 240UL, 241UL, 1024UL, 65'536UL}) {
    Digester digester;
    for (std::size_t at = 0; at < text.size(); at += piece) digester.update(bytes_of(text.substr(at, piece)));
    EXPECT_EQ(digester.value(), digest_of(bytes_of(text))) << piece;
  }
}

TEST(Digester, OfNothingIsTheEmptyDigest) {
  Digester digester;
  digester.update({});
  EXPECT_EQ(digester.value(), digest_of({}));
}

TEST(Digester, StartsAfreshAfterReset) {
  Digester digester;
  digester.update(bytes_of("something else"));
  digester.reset();
  digester.update(bytes_of("abc"));
  EXPECT_EQ(digester.value(), digest_of(bytes_of("abc")));
}

TEST(Digester, ValueDoesNotEndIt) {
  Digester digester;
  digester.update(bytes_of("ab"));
  EXPECT_EQ(digester.value(), digest_of(bytes_of("ab")));
  Digester moved = std::move(digester);
  moved.update(bytes_of("c"));
  EXPECT_EQ(moved.value(), digest_of(bytes_of("abc")));
}

}  // namespace
}  // namespace seawall
