#include "base/error.hh"
#include "crypto/openpgp/keyring.hh"
#include "crypto/openpgp/packet.hh"
#include "crypto/openpgp/secret_key.hh"
#include "crypto/openpgp/session.hh"

/// A key ring, armored or binary; each of its keys is encrypted to and unlocked.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace openpgp = seawall::crypto::openpgp;
  try {
    const openpgp::KeyRing ring(seawall::Bytes(reinterpret_cast<const std::byte*>(data), size));
    for (const openpgp::Entity& entity : ring.entities()) {
      try {
        const openpgp::RingKey& key = openpgp::encryption_key(entity, seawall::Time{});
        openpgp::encrypt_session(openpgp::new_session_key(7), key.open);
      } catch (const seawall::Error&) {
      }
    }
    for (const openpgp::RingKey* key : ring.secret_keys(0)) {
      try {
        const openpgp::SecretNumbers numbers = openpgp::unlock(*key, seawall::bytes_of("passphrase"), "FUZZ");
        openpgp::decrypt_session({key->open.id, key->open.algorithm, key->open.body}, key->open, numbers);
      } catch (const seawall::Error&) {
      }
    }
  } catch (const seawall::Error&) {
  }
  return 0;
}
