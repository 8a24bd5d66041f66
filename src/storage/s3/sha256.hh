#pragma once

// The functions below EVP: EVP builds OpenSSL's tables of algorithms first, 1 ms of CPU in every process that signs,
// and would be 4 MB of the program. The assembly that does the work is the same.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/bytes.hh"

namespace seawall::storage::s3 {

using Sha256 = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

Sha256 sha256(Bytes data) noexcept;
/// 64 lower-case digits.
std::string hex(const Sha256& hash);

/// HMAC-SHA256 under one key, whose two padded blocks are hashed only once. Copied freely; a const one may be used by
/// several threads.
class HmacKey {
 public:
  HmacKey() = default;
  explicit HmacKey(Bytes key) noexcept;
  Sha256 sign(std::string_view text) const noexcept;

 private:
  SHA256_CTX inner_{};
  SHA256_CTX outer_{};
};

}  // namespace seawall::storage::s3
