#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/filter.hh"
#include "crypto/lazy.hh"
#include "crypto/openpgp/keyring.hh"
#include "crypto/openpgp/message.hh"

namespace seawall::crypto::openpgp {

struct RingOptions {
  std::string setting;                ///< that gave the ring, for messages
  std::string passphrase_setting;     ///< that gives the passphrase
  std::function<Bytes()> passphrase;  ///< asked for when a key is to be unlocked; empty, or not set: none
  std::optional<Time> now;            ///< for expiry; nothing: keys do not expire
};

/// A key ring at work: which keys to encrypt to, and its secret keys, each unlocked once. Thread-safe.
class Ring {
 public:
  /// Errc::config if `text` is no key ring.
  Ring(Bytes text, RingOptions options);

  /// A stage that writes a message to every key of the ring. Errc::config if one cannot be encrypted to.
  std::unique_ptr<Filter> encrypt(Sink& next) const;
  /// For ReadOptions::find_session; `name` is the object's. Errc::denied: it is for other keys, or the passphrase is
  /// wrong.
  SessionKey find_session(std::string_view name, const Envelope& envelope) const;
  /// Errc::config if there is none.
  void expect_secret_keys() const;
  /// In upper case, without zeros in front, joined by commas: as envelopes name a ring.
  std::string primary_ids() const;

 private:
  const SecretNumbers& unlocked(const RingKey& key) const;

  struct Recipients {
    std::vector<const RingKey*> keys;
    unsigned cipher = 0;
  };
  Recipients choose_recipients() const;

  const RingOptions options_;
  std::optional<KeyRing> ring_;
  Lazy<Recipients> recipients_;
  mutable std::mutex mutex_;
  mutable std::map<const RingKey*, SecretNumbers> unlocked_;  // guarded by mutex_; entries stay where they are
};

}  // namespace seawall::crypto::openpgp
