#pragma once

#include <array>
#include <optional>

#include "crypto/openpgp/keyring.hh"

namespace seawall::crypto::openpgp {

/// The secret numbers of a key, in memory of their own. Views into `memory`.
struct SecretNumbers {
  SecretBytes memory;
  std::array<Bytes, 4> numbers;  ///< RSA: d, p, q, u. ECDH: the scalar
};

/// Unlocks a secret key; `setting` names where the passphrase comes from, for messages. Errc::config: the secret part
/// is not in the file, or a passphrase is missing. Errc::denied: the passphrase is wrong. Errc::unsupported: a way of
/// protection that is not read. Errc::corrupt (malformed).
SecretNumbers unlock(const RingKey& key, Bytes passphrase, std::string_view setting);

}  // namespace seawall::crypto::openpgp
