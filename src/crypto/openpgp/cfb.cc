#include "crypto/openpgp/cfb.hh"

#include <array>
#include <cstring>

#include "base/error.hh"
#include "crypto/secret.hh"

namespace seawall::crypto::openpgp {
namespace {

const EVP_CIPHER* cipher_of(Cfb::Direction direction, std::size_t key_bytes) {
  const bool encrypt = direction == Cfb::Direction::encrypt;
  switch (key_bytes) {
    case 16:
      return encrypt ? EVP_aes_128_cbc() : EVP_aes_128_ecb();
    case 24:
      return encrypt ? EVP_aes_192_cbc() : EVP_aes_192_ecb();
    case 32:
      return encrypt ? EVP_aes_256_cbc() : EVP_aes_256_ecb();
    default:
      throw Error(Errc::bug, "a key of an impossible size for AES");
  }
}

/// Through locals, since a loop over bytes is not vectorised where `in` and `out` may be the same.
void combine(Bytes in, const std::byte* mask, std::byte* out) {
  using Words = std::array<std::uint64_t, 8>;
  std::size_t at = 0;
  for (; at + sizeof(Words) <= in.size(); at += sizeof(Words)) {
    Words a, b;
    std::memcpy(&a, in.data() + at, sizeof a);
    std::memcpy(&b, mask + at, sizeof b);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] ^= b[i];
    std::memcpy(out + at, &a, sizeof a);
  }
  for (; at < in.size(); ++at) out[at] = in[at] ^ mask[at];
}

}  // namespace

// With C the encrypted blocks, P the plain ones and D_i = E(C_i): C_i = P_i ^ D_(i-1).
// Encrypting, D_i = E(P_i ^ D_(i-1)) is CBC of P that begins with D_0 = E(register).
// Decrypting, all C are known, so D is ECB of C.
Cfb::Cfb(Direction direction, Bytes key, Bytes start) : cipher_(EVP_CIPHER_CTX_new()), mask_(aes_block + stride) {
  ossl::check(cipher_ != nullptr, "begin to encrypt");
  const auto begin = [&](Direction with, const std::byte* iv) {
    ossl::check(EVP_EncryptInit_ex(cipher_.get(), cipher_of(with, key.size()), nullptr, ossl::raw(key.data()),
                                   iv == nullptr ? nullptr : ossl::raw(iv)) == 1 &&
                    EVP_CIPHER_CTX_set_padding(cipher_.get(), 0) == 1,
                "use AES");
  };
  begin(Direction::decrypt, nullptr);
  encipher(start.data(), aes_block, mask_.data());
  if (direction == Direction::encrypt) begin(direction, mask_.data());
}

Cfb::Cfb(Direction direction, Bytes key) : Cfb(direction, key, std::array<std::byte, aes_block>{}) {}

Cfb::~Cfb() { wipe(mask_.span()); }

void Cfb::encipher(const std::byte* in, std::size_t n, std::byte* out) {
  int written = 0;
  ossl::check(EVP_EncryptUpdate(cipher_.get(), ossl::raw(out), &written, ossl::raw(in), static_cast<int>(n)) == 1 &&
                  static_cast<std::size_t>(written) == n,
              "encrypt with AES");
}

void Cfb::run(Bytes in, std::byte* out) {
  if (in.size() > stride) throw Error(Errc::bug, "more bytes for AES than fit");
  const std::size_t whole = in.size() / aes_block * aes_block;
  if (whole > 0) encipher(in.data(), whole, mask_.data() + aes_block);
  combine(in, mask_.data(), out);
  if (whole > 0) std::memcpy(mask_.data(), mask_.data() + whole, aes_block);
}

}  // namespace seawall::crypto::openpgp
