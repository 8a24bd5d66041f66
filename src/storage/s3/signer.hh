#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hh"
#include "storage/http/http.hh"

namespace seawall::storage::s3 {

/// What a request is signed with. Never logged.
struct Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token = {};
  std::optional<Time> expires = {};
};

enum class Payload {
  unsigned_body,  ///< over TLS: UNSIGNED-PAYLOAD
  hashed,         ///< the body's sha256 is signed
};

/// Signs `request` as AWS Signature Version 4 wants it (docs.aws.amazon.com, "Signature Version 4 signing process"):
/// sets Host, X-Amz-Date, X-Amz-Content-Sha256 (service s3 only), X-Amz-Security-Token and Authorization. Every header
/// that is there already is signed, but for those that may change on the way (Accept-Encoding, Connection,
/// Content-Length, Expect, Transfer-Encoding, User-Agent). Signing again, after a redirect or for a later attempt,
/// replaces the former; an X-Amz-Content-Sha256 that begins with "STREAMING-" is the caller's and stays. `payload` is
/// for s3: other services want the body hashed always. Any thread; each keeps the derived key of its last call.
void sign(http::Request& request, const Credentials& credentials, std::string_view region, std::string_view service,
          Time now, Payload payload);

}  // namespace seawall::storage::s3
