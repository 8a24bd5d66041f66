#pragma once

#include <optional>
#include <vector>

#include "base/clock.hh"
#include "crypto/openpgp/public_key.hh"
#include "crypto/openpgp/signature.hh"
#include "crypto/secret.hh"

namespace seawall::crypto::openpgp {

/// A primary key or a subkey. Views into the ring's bytes.
struct RingKey {
  PublicKey open;
  bool has_secret_packet = false;
  Bytes secret;                   ///< the secret part of its packet, from the byte that says how it is protected
  std::optional<Signature> self;  ///< the newest verified one: certification or binding
  bool revoked = false;
};

/// A key of OpenPGP as people mean it: a primary key that signs, with subkeys.
struct Entity {
  RingKey primary;
  std::vector<RingKey> subkeys;
};

/// One or several public or secret keys. Self-signatures are verified; what they do not cover is not believed.
class KeyRing {
 public:
  /// `text`: armored or binary. Errc::corrupt (malformed) or Errc::unsupported, both without the ring's name, if it
  /// holds no whole key.
  explicit KeyRing(Bytes text);

  const std::vector<Entity>& entities() const noexcept { return entities_; }
  bool has_secret_keys() const noexcept;
  /// Every key with that id that has a secret packet; with id 0 every one.
  std::vector<const RingKey*> secret_keys(std::uint64_t id) const;

 private:
  SecretBytes packets_;
  std::vector<Entity> entities_;
};

/// The key of `entity` to encrypt to: the subkey bound last that may encrypt, else the primary key if it may.
/// Errc::config saying why there is none (expired, revoked, an algorithm that is not supported).
const RingKey& encryption_key(const Entity& entity, std::optional<Time> now);

}  // namespace seawall::crypto::openpgp
