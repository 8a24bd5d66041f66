#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hh"
#include "crypto/ossl.hh"

namespace seawall::crypto::openpgp {

/// Public-key algorithms by their numbers in OpenPGP.
enum class Algorithm : unsigned {
  rsa = 1,
  rsa_encrypt_only = 2,
  rsa_sign_only = 3,
  elgamal = 16,
  dsa = 17,
  ecdh = 18,
  ecdsa = 19,
  eddsa = 22,
};

/// An elliptic curve that seawall can use.
struct Curve {
  std::string_view oid;   ///< its encoding in OpenPGP
  std::string_view name;  ///< OpenSSL's
};
/// Null: unknown.
const Curve* find_curve(Bytes oid) noexcept;

/// The public part of a key packet of version 4. Views into the key ring's bytes.
struct PublicKey {
  Algorithm algorithm{};
  std::uint32_t created = 0;  ///< seconds since 1970
  std::array<std::byte, 20> fingerprint{};
  std::uint64_t id = 0;
  Bytes body;  ///< the public fields, as they are hashed
  /// RSA: n, e. DSA: p, q, g, y. Elliptic curves: the point.
  std::array<Bytes, 4> numbers;
  const Curve* curve = nullptr;  ///< of an elliptic key; null: not one that is known
  Bytes curve_oid;
  unsigned kdf_hash = 0;  ///< ECDH
  unsigned kdf_cipher = 0;

  bool can_encrypt() const noexcept;
};

/// Reads the public fields from the front of a key packet; `rest` is what follows them (the secret part).
/// Errc::corrupt (malformed) or Errc::unsupported (another version).
PublicKey read_public_key(Bytes packet, Bytes& rest);

/// "0x0123456789ABCDEF"
std::string id_text(std::uint64_t id);

/// The key as OpenSSL takes it; null if it does not accept the numbers or the algorithm is not known.
ossl::Key to_openssl(const PublicKey& key);
ossl::Number to_number(Bytes big_endian);
/// Makes a key of `type` from named parameters; null if OpenSSL does not accept them.
ossl::Key key_from(const char* type, int selection, OSSL_PARAM_BLD* parameters);

/// OpenSSL's hash for OpenPGP's number; null: unknown or not to be used any more (MD5).
const EVP_MD* hash_of(unsigned number) noexcept;
/// Bytes of an AES key by OpenPGP's number of the cipher; 0: not AES.
std::size_t aes_key_bytes(unsigned cipher) noexcept;
/// "AES-128", "CAST5", … for messages.
std::string_view cipher_name(unsigned cipher) noexcept;

}  // namespace seawall::crypto::openpgp
