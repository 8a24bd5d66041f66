#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/log.hh"
#include "storage/http/http.hh"
#include "storage/s3/signer.hh"

namespace seawall::storage::s3 {

/// Looks a key up in flags, environment and settings file: "AWS_PROFILE". Nothing: not set.
using Lookup = std::function<std::optional<std::string>(std::string_view key)>;

/// The credentials that requests are signed with at the moment. Thread-safe.
class CredentialProvider {
 public:
  virtual ~CredentialProvider() = default;
  /// Renewed when fewer than five minutes (or a quarter of a shorter life) are left; while a renewal fails, those at
  /// hand are given as long as they live. Errc::denied if no source has any, naming each that was asked and what it
  /// said; config, network and timeout for what a source that is configured fails with.
  virtual Credentials get(std::stop_token stop) = 0;
  /// The server called these expired or unknown: the next get() asks their source again. True if that can give others.
  virtual bool reject(const Credentials& credentials) = 0;
  /// Names the source, for messages: "environment", "profile 'backup' in /root/.aws/credentials". No secret.
  virtual std::string description() const = 0;
};

/// The sources in the order in which WAL-G's SDK asks them (docs/storage-s3.md lists them). Nothing is read or asked
/// before the first get(). `client`, `clock` and `log` must outlive it; `client` is used for the token services only.
/// `region`: of the STS endpoint; "" means us-east-1.
std::unique_ptr<CredentialProvider> make_credentials(Lookup lookup, std::string region, http::Client& client,
                                                     Clock& clock, Log& log);

/// The region that `AWS_REGION`, `AWS_DEFAULT_REGION` or the profile names; nothing if none does.
std::optional<std::string> configured_region(const Lookup& lookup);

}  // namespace seawall::storage::s3
