#include "crypto/openpgp/keyring.hh"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/error.hh"
#include "crypto/openpgp/armor.hh"
#include "crypto/openpgp/packet.hh"

namespace seawall::crypto::openpgp {
namespace {

/// Puts packets together: keys, and the verified signatures about them.
class Assembler {
 public:
  explicit Assembler(std::vector<Entity>& out) : entities_(out) {}

  void accept(Tag tag, Bytes body) {
    switch (tag) {
      case Tag::public_key:
      case Tag::secret_key:
        entities_.emplace_back().primary = read_key(tag == Tag::secret_key, body);
        subkey_ = nullptr;
        user_ = {};
        return;
      case Tag::public_subkey:
      case Tag::secret_subkey:
        begin_subkey(tag == Tag::secret_subkey, body);
        return;
      case Tag::user_id:
      case Tag::user_attribute:
        user_ = body;
        user_is_attribute_ = tag == Tag::user_attribute;
        subkey_ = nullptr;
        return;
      case Tag::signature:
        if (!entities_.empty()) begin_signature(body);
        return;
      default:
        return;
    }
  }

 private:
  static RingKey read_key(bool secret, Bytes body) {
    RingKey key;
    Bytes rest;
    key.open = read_public_key(body, rest);
    key.has_secret_packet = secret;
    if (secret) key.secret = rest;
    return key;
  }

  void begin_subkey(bool secret, Bytes body) {
    if (entities_.empty()) malformed("a subkey stands before any key");
    try {
      subkey_ = &entities_.back().subkeys.emplace_back(read_key(secret, body));
    } catch (const Error& error) {
      // Of a kind that came later, beside ones that can be used.
      if (error.code() != Errc::unsupported) throw;
      subkey_ = &unknown_;
    }
  }

  void begin_signature(Bytes body) {
    const std::optional<Signature> signature = read_signature(body);
    if (!signature || subkey_ == &unknown_) return;
    const PublicKey& primary = entities_.back().primary.open;
    if (signature->issuer && *signature->issuer != primary.id) return;
    if (subkey_ != nullptr) {
      about_subkey(*signature, primary);
    } else {
      about_primary(*signature, primary);
    }
  }

  void about_subkey(const Signature& signature, const PublicKey& primary) {
    if (signature.type != SignatureType::subkey_binding && signature.type != SignatureType::subkey_revocation) return;
    const std::string a = key_prefix(primary);
    const std::string b = key_prefix(subkey_->open);
    if (!verifies(signature, primary, {bytes_of(a), primary.body, bytes_of(b), subkey_->open.body})) return;
    if (signature.type == SignatureType::subkey_revocation) {
      subkey_->revoked = true;
    } else if (!subkey_->self || signature.created >= subkey_->self->created) {
      subkey_->self = signature;
    }
  }

  void about_primary(const Signature& signature, const PublicKey& primary) {
    RingKey& key = entities_.back().primary;
    const std::string a = key_prefix(primary);
    if (signature.type == SignatureType::key_revocation || signature.type == SignatureType::direct) {
      if (!verifies(signature, primary, {bytes_of(a), primary.body})) return;
      if (signature.type == SignatureType::key_revocation) {
        key.revoked = true;
      } else if (!key.self) {
        key.self = signature;
      }
      return;
    }
    if (signature.type < SignatureType::certification_first || signature.type > SignatureType::certification_last ||
        user_.data() == nullptr) {
      return;
    }
    std::string user(user_is_attribute_ ? "\xD1" : "\xB4");
    append_big_endian(user, user_.size(), 4);
    if (!verifies(signature, primary, {bytes_of(a), primary.body, bytes_of(user), user_})) return;
    // A certification says more than a direct signature; that of the primary user id more than another one.
    const auto rank = [](const Signature& s) {
      return std::tuple(s.type != SignatureType::direct, s.primary_user_id, s.created);
    };
    if (!key.self || rank(signature) >= rank(*key.self)) key.self = signature;
  }

  std::vector<Entity>& entities_;
  RingKey unknown_;
  RingKey* subkey_ = nullptr;  // that the next signatures are about; null: the primary key or a user id
  Bytes user_;
  bool user_is_attribute_ = false;
};

bool over(std::uint64_t since, std::uint64_t after, std::optional<Time> now) {
  if (after == 0 || !now) return false;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(*now).time_since_epoch().count();
  return seconds > 0 && static_cast<std::uint64_t>(seconds) > since + after;
}

/// Why a key cannot be encrypted to; empty: it can.
std::string_view obstacle(const RingKey& key, std::optional<Time> now) {
  if (!key.self) return "has no valid signature by its owner";
  if (key.revoked) return "is revoked";
  if (over(key.open.created, key.self->key_expires_after, now)) return "has expired";
  if (over(key.self->created, key.self->expires_after, now)) return "has a signature that has expired";
  return {};
}

bool is_for_encryption(const RingKey& key) {
  return key.open.can_encrypt() && (!key.self || !key.self->flags || (*key.self->flags & flag_encrypts) != 0);
}

}  // namespace

KeyRing::KeyRing(Bytes text) : packets_(dearmor(text)) {
  PacketSplitter splitter;
  Assembler assembler(entities_);
  Bytes data = packets_.span();
  Bytes body;
  for (auto item = splitter.next(data); item.what != PacketSplitter::What::more; item = splitter.next(data)) {
    if (item.what == PacketSplitter::What::begin) body = {};
    // No packet of a key comes in parts, so its body lies in one piece.
    if (item.what == PacketSplitter::What::body) body = item.body;
    if (item.what == PacketSplitter::What::end) assembler.accept(splitter.tag(), body);
  }
  if (!splitter.may_end()) malformed("the last OpenPGP packet is cut");
  if (entities_.empty()) malformed("it holds no OpenPGP key");
}

bool KeyRing::has_secret_keys() const noexcept {
  return std::ranges::any_of(entities_, [](const Entity& entity) {
    return entity.primary.has_secret_packet || std::ranges::any_of(entity.subkeys, &RingKey::has_secret_packet);
  });
}

std::vector<const RingKey*> KeyRing::secret_keys(std::uint64_t id) const {
  std::vector<const RingKey*> found;
  const auto look_at = [&](const RingKey& key) {
    if (key.has_secret_packet && key.open.can_encrypt() && (id == 0 || key.open.id == id)) found.push_back(&key);
  };
  for (const Entity& entity : entities_) {
    for (const RingKey& key : entity.subkeys) look_at(key);
    look_at(entity.primary);
  }
  return found;
}

const RingKey& encryption_key(const Entity& entity, std::optional<Time> now) {
  const std::string name = id_text(entity.primary.open.id);
  if (const auto why = obstacle(entity.primary, now); !why.empty()) {
    throw Error(Errc::config, fmt::format("OpenPGP key {} {}", name, why));
  }
  const RingKey* best = nullptr;
  std::string why_not = "has no key for encryption of a kind that is supported (RSA, ECDH)";
  for (const RingKey& key : entity.subkeys) {
    if (!is_for_encryption(key)) continue;
    if (const auto why = obstacle(key, now); !why.empty()) {
      why_not = fmt::format("has a subkey {} for encryption that {}", id_text(key.open.id), why);
    } else if (best == nullptr || key.self->created > best->self->created) {
      best = &key;
    }
  }
  if (best == nullptr && is_for_encryption(entity.primary)) best = &entity.primary;
  if (best == nullptr) throw Error(Errc::config, fmt::format("OpenPGP key {} {}", name, why_not));
  return *best;
}

}  // namespace seawall::crypto::openpgp
