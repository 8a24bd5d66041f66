#include "storage/s3/sha256.hh"

#include <algorithm>

namespace seawall::storage::s3 {

Sha256 sha256(Bytes data) noexcept {
  Sha256 hash;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, data.data(), data.size());
  SHA256_Final(hash.data(), &context);
  return hash;
}

std::string hex(const Sha256& hash) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * hash.size());
  for (const unsigned char byte : hash) {
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

HmacKey::HmacKey(Bytes key) noexcept {
  std::array<unsigned char, SHA256_CBLOCK> block{};
  if (key.size() > block.size()) {
    const Sha256 shorter = sha256(key);
    std::copy(shorter.begin(), shorter.end(), block.begin());
  } else {
    std::transform(key.begin(), key.end(), block.begin(), [](std::byte b) { return static_cast<unsigned char>(b); });
  }
  for (unsigned char& byte : block) byte ^= 0x36;
  SHA256_Init(&inner_);
  SHA256_Update(&inner_, block.data(), block.size());
  for (unsigned char& byte : block) byte ^= 0x36 ^ 0x5c;
  SHA256_Init(&outer_);
  SHA256_Update(&outer_, block.data(), block.size());
}

Sha256 HmacKey::sign(std::string_view text) const noexcept {
  Sha256 hash;
  SHA256_CTX context = inner_;
  SHA256_Update(&context, text.data(), text.size());
  SHA256_Final(hash.data(), &context);
  context = outer_;
  SHA256_Update(&context, hash.data(), hash.size());
  SHA256_Final(hash.data(), &context);
  return hash;
}

}  // namespace seawall::storage::s3
