#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "storage/s3/credentials.hh"
#include "storage/s3/token_services.hh"

namespace seawall::storage::s3 {

/// ECS, EKS Pod Identity and what follows their protocol: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, else _FULL_URI, with
/// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (read each time) or AWS_CONTAINER_AUTHORIZATION_TOKEN. Nothing if neither is
/// set. Errc::config for a URI that credentials must not be asked of: http goes to this machine and to the addresses of
/// the two agents only.
std::optional<Credentials> container_credentials(const Lookup& lookup, const Exchange& exchange, std::stop_token stop);

/// What the metadata service of EC2 said.
struct InstanceAnswer {
  std::optional<Credentials> credentials = {};
  std::string why_none = {};  ///< "AWS_EC2_METADATA_DISABLED is set", "no role is attached to this instance"
};

/// The role of the instance, asked with a session token (IMDSv2); without one where the service knows none, unless
/// AWS_EC2_METADATA_V1_DISABLED. AWS_EC2_METADATA_SERVICE_ENDPOINT[_MODE] says where. `exchange` must give up fast:
/// outside EC2 nobody answers, which is no error here but `why_none` unless `expected`. Throws once it is sure that
/// the service is there.
InstanceAnswer instance_credentials(const Lookup& lookup, const Exchange& exchange, bool expected,
                                    std::stop_token stop);

}  // namespace seawall::storage::s3
