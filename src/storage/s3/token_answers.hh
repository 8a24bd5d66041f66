#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "storage/s3/signer.hh"

namespace seawall::storage::s3 {

/// What a token service says when it refuses.
struct Refusal {
  std::string code;     ///< "AccessDenied"; empty if it named none
  std::string message;  ///< as sent; may hold anything
};

/// The Credentials of an STS answer (XML). Errc::config naming `what` and what is missing, never the text.
Credentials credentials_from_xml(std::string_view text, std::string_view what);
/// Code and Message of an STS error; empty strings where it has none or is no XML.
Refusal refusal_from_xml(std::string_view text);

/// AccessKeyId, SecretAccessKey, Token or SessionToken, and Expiration: what container endpoints, EC2's metadata and
/// credential processes write. Without an Expiration they do not expire. Errors as credentials_from_xml.
Credentials credentials_from_json(std::string_view text, std::string_view what);
/// "code" and "message", also capitalised; "Success" is none.
Refusal refusal_from_json(std::string_view text);
/// The number that "Version" is; nothing if there is none.
std::optional<int> version_from_json(std::string_view text);

}  // namespace seawall::storage::s3
