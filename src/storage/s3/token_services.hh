#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hh"
#include "base/error.hh"
#include "storage/http/http.hh"
#include "storage/s3/credentials.hh"
#include "storage/s3/token_answers.hh"

namespace seawall::storage::s3 {

/// Sends a request and gives the whole answer; throws what http::Client::perform does.
using Exchange = std::function<http::Answer(const http::Request&, std::stop_token)>;

/// The security token service that answers for a region.
struct Sts {
  Exchange exchange;
  std::string endpoint;  ///< "https://sts.eu-central-1.amazonaws.com/"
  std::string region;    ///< that requests are signed for
};

/// AWS_ENDPOINT_URL_STS, else the region's. Errc::config if `region` cannot be one ("" is us-east-1).
Sts sts_of(const Lookup& lookup, const std::string& region, Exchange exchange);

struct Role {
  std::string arn;
  std::string session_name = {};  ///< "" becomes "seawall"
  std::string external_id = {};
  std::optional<std::chrono::seconds> duration = {};  ///< nothing: the service's default, an hour
};

/// Both throw denied, throttled, network or config with the service's error code and message, free of secrets, and what
/// Exchange throws. `token` is what the identity provider signed: it proves who asks, so that nothing is signed here.
Credentials assume_role(const Sts& sts, const Role& role, const Credentials& with, Time now, std::stop_token stop);
Credentials assume_role_with_web_identity(const Sts& sts, const Role& role, std::string_view token,
                                          std::stop_token stop);

/// The error that an answer other than 200 means, for every token service. `secrets` are blotted out of the message.
Error refused(std::string_view what, const http::Answer& answer, const Refusal& refusal,
              const std::vector<std::string_view>& secrets);

}  // namespace seawall::storage::s3
