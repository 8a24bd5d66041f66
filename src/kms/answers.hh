#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "crypto/secret.hh"
#include "storage/http/http.hh"

/// What key services answer, taken apart. Total functions.
namespace seawall::kms {

/// The bytes that a member of a JSON object holds in base64; `text` is overwritten. Errc::corrupt naming `what` and the
/// member, never the text, if it is not there or no base64. A member must not be empty.
crypto::SecretBytes take_bytes(std::string& text, std::string_view member, std::string_view what);
/// The same of two members.
struct TwoKeys {
  crypto::SecretBytes first;
  crypto::SecretBytes second;
};
TwoKeys take_two(std::string& text, std::string_view first, std::string_view second, std::string_view what);
/// A member that is a text; nothing if it is not there.
std::optional<std::string> text_member(std::string_view text, std::string_view member);
std::optional<double> number_member(std::string_view text, std::string_view member);

/// The name of an AWS error without what is before its '#': "AccessDeniedException"; empty if it has none.
std::string aws_error(std::string_view text);

/// Where services of Yandex are, by the answer of its API: id ("kms-crypto") → "kms.yandex:443"; nothing if it does not
/// tell.
std::optional<std::string> yandex_address(std::string_view text, std::string_view id);

/// The error that a refusal means: `code` and `advice` are the caller's, what the server said is cut to a line and
/// freed of `secrets`, and the wait that it asks for is kept.
Error refusal(Errc code, std::string_view what, const storage::http::Answer& answer, std::string_view name,
              std::string_view message, std::string_view advice, const std::vector<std::string_view>& secrets);

}  // namespace seawall::kms
