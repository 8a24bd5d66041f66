#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hh"
#include "base/error.hh"
#include "storage/http/http.hh"
#include "storage/s3/http_time.hh"
#include "storage/s3/s3_xml.hh"

namespace seawall::storage::s3 {

/// What was asked of whom, for messages.
struct Asked {
  std::string_view action;       ///< as policies name it, without "s3:": "PutObject"
  std::string label;             ///< "s3://bucket/path/key"
  std::string endpoint;          ///< "http://127.0.0.1:7480"
  std::string credentials = {};  ///< the source of the credentials; empty if none were used
  std::string region = {};
};

/// The Error for an answer that is no success: code, what the server said, and what to try. One table decides. Carries
/// the wait that Retry-After asks for.
Error error_of(const Fault& fault, const http::Answer& answer, const Asked& asked, Time now);

/// The code that the table has for what S3 calls `code`, or else for `status`.
Errc errc_of(std::string_view code, int status) noexcept;

/// The server did not accept these credentials, but may accept renewed ones.
bool asks_for_other_credentials(const Fault& fault) noexcept;
/// The server, or one on the way, does not know what a header of the request asks for.
bool is_not_implemented(const Fault& fault, int status) noexcept;

/// Of a Retry-After header, in seconds or as a date.
std::optional<std::chrono::nanoseconds> retry_delay(std::string_view header, Time now);

}  // namespace seawall::storage::s3
