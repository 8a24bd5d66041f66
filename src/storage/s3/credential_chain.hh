#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hh"
#include "storage/s3/credentials.hh"
#include "storage/s3/profile_file.hh"
#include "storage/s3/token_services.hh"

namespace seawall::storage::s3 {

struct Found {
  Credentials credentials;
  std::string source;  ///< as CredentialProvider::description()
  bool fixed = false;  ///< asked again it gives the same
};

/// Asks the sources in their order, from the first one on each time, so that what was renewed in a file is seen. Used
/// by one thread at a time.
class CredentialChain {
 public:
  /// `metadata` is the exchange with EC2's metadata service, which must give up fast.
  CredentialChain(Lookup lookup, std::string region, Exchange services, Exchange metadata, Clock& clock);
  /// Errors as CredentialProvider::get().
  Found fetch(std::stop_token stop);

 private:
  Found base(bool metadata_only, std::stop_token stop);
  std::optional<Found> from_settings() const;
  Found from_web_identity(const std::string& token_file, const Role& role, std::string source, std::stop_token stop);
  std::optional<Found> from_profile(std::stop_token stop);
  std::optional<Found> resolve(const ProfileFiles& files, const Profile& profile, std::vector<std::string> passed,
                               std::stop_token stop);
  Found role_of(const ProfileFiles& files, const Profile& profile, std::vector<std::string> passed,
                std::stop_token stop);
  Found source_of_role(const ProfileFiles& files, const Profile& profile, std::vector<std::string> passed,
                       std::stop_token stop);
  Found credential_source(const Profile::Value& named, std::stop_token stop);
  std::optional<Found> from_container(std::stop_token stop);
  std::optional<Found> from_instance(std::stop_token stop);
  Found assume(const Role& role, const Found& with, std::stop_token stop);
  Sts sts() const { return sts_of(lookup_, region_, services_); }
  /// What was asked in vain, for the message that nothing was found.
  void in_vain(std::string what) { asked_.push_back(std::move(what)); }

  Lookup lookup_;
  std::string region_;
  Exchange services_;
  Exchange metadata_;
  Clock& clock_;
  std::vector<std::string> asked_;
  bool instance_answered_ = false;
};

/// What make_credentials() of credentials.hh gives, with the outside world of the caller's choice.
std::unique_ptr<CredentialProvider> make_credentials(CredentialChain chain, Clock& clock, Log& log);

}  // namespace seawall::storage::s3
