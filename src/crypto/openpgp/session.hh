#pragma once

#include <optional>
#include <string>

#include "crypto/openpgp/secret_key.hh"

namespace seawall::crypto::openpgp {

/// The key of one message.
struct SessionKey {
  unsigned cipher = 0;  ///< OpenPGP's number: 7, 8, 9 are AES with 128, 192, 256 bits
  SecretBytes key;
};

/// A random key for a cipher that is AES.
SessionKey new_session_key(unsigned cipher);

/// A session key as a message carries it for one recipient: the fields of a packet of type 1, version 3.
struct EncryptedSession {
  std::uint64_t recipient = 0;  ///< key id; 0: not told
  Algorithm algorithm{};
  Bytes fields;  ///< after the algorithm
};
/// Nothing if it is of another version. Errc::corrupt (malformed).
std::optional<EncryptedSession> read_encrypted_session(Bytes packet);

/// The packet that carries `session` for `recipient`.
std::string encrypt_session(const SessionKey& session, const PublicKey& recipient);

/// Nothing if it is not for this key, or damaged.
std::optional<SessionKey> decrypt_session(const EncryptedSession& encrypted, const PublicKey& key,
                                          const SecretNumbers& secret);

}  // namespace seawall::crypto::openpgp
