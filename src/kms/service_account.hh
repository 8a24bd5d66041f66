#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hh"
#include "crypto/key_text.hh"

namespace seawall::kms {

/// An authorized key of a Yandex service account: a JSON file with `id`, `service_account_id` and `private_key` (PEM,
/// after a line of text that Yandex puts there). Thread-safe.
class ServiceAccount {
 public:
  /// Reads the file. Errc::config naming setting and path if it is no such key, never its content.
  explicit ServiceAccount(const crypto::KeySource& source);
  ~ServiceAccount();
  ServiceAccount(const ServiceAccount&) = delete;
  ServiceAccount& operator=(const ServiceAccount&) = delete;

  const std::string& id() const noexcept;  ///< of the service account
  /// A JSON Web Token for `audience`, good for an hour from `now` on, signed with PS256 (RFC 7518, 3.5).
  std::string token(std::string_view audience, Time now) const;

 private:
  struct Key;
  std::unique_ptr<Key> key_;
};

}  // namespace seawall::kms
