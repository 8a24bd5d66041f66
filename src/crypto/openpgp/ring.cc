#include "crypto/openpgp/ring.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hh"
#include "crypto/openpgp/packet.hh"

namespace seawall::crypto::openpgp {
namespace {

constexpr unsigned aes_128 = 7;
constexpr unsigned aes_256 = 9;

/// As WAL-G chooses: AES-128 where every key lists it, else AES-256 where every key lists that.
unsigned cipher_for(const std::vector<Entity>& entities) {
  const auto all_list = [&](unsigned cipher) {
    return std::ranges::all_of(entities, [&](const Entity& entity) {
      const auto& self = entity.primary.self;
      return self && std::ranges::find(self->preferred_cipher, cipher) != self->preferred_cipher.end();
    });
  };
  return !all_list(aes_128) && all_list(aes_256) ? aes_256 : aes_128;
}

/// Adds to a failure which key it is about. A damaged key is a matter of configuration.
template <class Work>
void about_key(std::string_view setting, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    throw Error(error.code() == Errc::corrupt ? Errc::config : error.code(),
                fmt::format("the OpenPGP key in {} cannot be used: {}", setting, error.what()));
  }
}

template <class Items, class Name>
std::string listed(const Items& items, const Name& name) {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += ", ";
    out += name(item);
  }
  return out;
}

}  // namespace

Ring::Ring(Bytes text, RingOptions options) : options_(std::move(options)) {
  about_key(options_.setting, [&] { ring_.emplace(text); });
}

Ring::Recipients Ring::choose_recipients() const {
  Recipients chosen;
  about_key(options_.setting, [&] {
    for (const Entity& entity : ring_->entities()) chosen.keys.push_back(&encryption_key(entity, options_.now));
  });
  chosen.cipher = cipher_for(ring_->entities());
  return chosen;
}

std::unique_ptr<Filter> Ring::encrypt(Sink& next) const {
  const Recipients& to = recipients_.get([this] { return choose_recipients(); });
  const SessionKey session = new_session_key(to.cipher);
  std::string packets;
  about_key(options_.setting, [&] {
    for (const RingKey* key : to.keys) packets += encrypt_session(session, key->open);
  });
  return write_message(session, std::move(packets), next);
}

void Ring::expect_secret_keys() const {
  if (ring_->has_secret_keys()) return;
  throw Error(Errc::config, fmt::format("{} holds only a public key: it can encrypt, but reading needs the secret key",
                                        options_.setting));
}

std::string Ring::primary_ids() const {
  std::string ids;
  for (const Entity& entity : ring_->entities()) {
    if (!ids.empty()) ids += ',';
    ids += fmt::format("{:X}", entity.primary.open.id);
  }
  return ids;
}

SessionKey Ring::find_session(std::string_view name, const Envelope& envelope) const {
  std::vector<EncryptedSession> sessions;
  for (const std::string& packet : envelope.packets) {
    if (const auto session = read_encrypted_session(bytes_of(packet))) sessions.push_back(*session);
  }
  bool is_for_us = false;
  for (const EncryptedSession& session : sessions) {
    for (const RingKey* key : ring_->secret_keys(session.recipient)) {
      is_for_us = is_for_us || session.recipient != 0;
      if (auto found = decrypt_session(session, key->open, unlocked(*key))) return std::move(*found);
    }
  }
  if (is_for_us) malformed("its session key for our key is damaged");
  if (sessions.empty()) {
    throw Error(Errc::denied, fmt::format("{}: object is encrypted {}, not for the key in {}", name,
                                          envelope.has_password ? "with a passphrase" : "for no key that can be read",
                                          options_.setting));
  }
  const std::string theirs = listed(sessions, [](const EncryptedSession& one) { return id_text(one.recipient); });
  const std::string ours = listed(ring_->secret_keys(0), [](const RingKey* key) { return id_text(key->open.id); });
  throw Error(Errc::denied, fmt::format("{}: object is encrypted for the OpenPGP key {}, but {} holds {}", name, theirs,
                                        options_.setting, ours.empty() ? "no secret key that decrypts" : ours));
}

const SecretNumbers& Ring::unlocked(const RingKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto known = unlocked_.find(&key);
  if (known != unlocked_.end()) return known->second;
  SecretNumbers numbers;
  about_key(options_.setting, [&] {
    try {
      numbers = unlock(key, options_.passphrase ? options_.passphrase() : Bytes(), options_.passphrase_setting);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", id_text(key.open.id), error.what()));
    }
  });
  return unlocked_.emplace(&key, std::move(numbers)).first->second;
}

}  // namespace seawall::crypto::openpgp
