#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include "crypto/openpgp/public_key.hh"

namespace seawall::crypto::openpgp {

/// What a signature is about (RFC 4880 §5.2.1), as far as a key ring needs it.
enum class SignatureType : unsigned {
  certification_first = 0x10,  ///< of a user id; four kinds of assurance
  certification_last = 0x13,
  subkey_binding = 0x18,
  direct = 0x1F,
  key_revocation = 0x20,
  subkey_revocation = 0x28,
};

/// A signature of version 4: only its hashed part counts, except for the issuer. Views into the packet.
struct Signature {
  SignatureType type{};
  Algorithm algorithm{};
  unsigned hash = 0;
  Bytes hashed;  ///< from the version to the end of the hashed subpackets
  Bytes numbers;
  std::uint32_t created = 0;               ///< seconds since 1970
  std::uint32_t expires_after = 0;         ///< seconds; 0: never
  std::uint32_t key_expires_after = 0;     ///< seconds after the key was created; 0: never
  std::optional<unsigned> flags;           ///< what the key may be used for
  std::vector<unsigned> preferred_cipher;  ///< the owner's, best first
  bool primary_user_id = false;
  std::optional<std::uint64_t> issuer;  ///< key id
};

inline constexpr unsigned flag_encrypts = 0x04 | 0x08;  ///< communications, storage

/// Nothing if it is of another version. Errc::corrupt (malformed) otherwise.
std::optional<Signature> read_signature(Bytes packet);

/// Did `signer` make this signature over `signed_parts`?
bool verifies(const Signature& signature, const PublicKey& signer, std::initializer_list<Bytes> signed_parts);

/// The bytes that stand for a key in what is signed, before its body.
std::string key_prefix(const PublicKey& key);

}  // namespace seawall::crypto::openpgp
