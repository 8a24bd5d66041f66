#include "storage/s3/token_services.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.hh"
#include "storage/s3/profile_file.hh"

namespace seawall::storage::s3 {
namespace {

using Parameter = std::pair<std::string_view, std::string>;

void blot_out(std::string& text, std::string_view secret) {
  // Shorter ones would blot out ordinary words, and are no secrets.
  if (secret.size() < 8) return;
  static constexpr std::string_view blot = "[secret]";
  for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + blot.size())) {
    text.replace(at, secret.size(), blot);
  }
}

/// One line for people. STS answers a wrong signature with the whole canonical request, session token included, from
/// the second line on.
std::string safe_text(std::string text, const std::vector<std::string_view>& secrets) {
  for (const std::string_view secret : secrets) {
    blot_out(text, secret);
    blot_out(text, http::percent_encode(secret, false));
  }
  text = std::string(trim(text));
  text.resize(std::min({text.find_first_of("\r\n"), text.size(), std::size_t{300}}));
  for (char& c : text) {
    if (c < ' ' || c == '\x7f') c = ' ';
  }
  return text;
}

template <std::size_t n>
bool among(std::string_view code, const std::array<std::string_view, n>& codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

Errc code_of(int status, std::string_view code) {
  static constexpr std::array<std::string_view, 5> slower{"Throttling", "ThrottlingException", "RequestLimitExceeded",
                                                          "TooManyRequestsException", "SlowDown"};
  static constexpr std::array<std::string_view, 4> later{"InternalFailure", "InternalError", "ServiceUnavailable",
                                                         "IDPCommunicationError"};
  static constexpr std::array<std::string_view, 6> wrong{"ValidationError",  "InvalidParameterValue",
                                                         "MissingParameter", "InvalidAction",
                                                         "MalformedInput",   "RegionDisabledException"};
  if (status == 429 || among(code, slower)) return Errc::throttled;
  if (status >= 500 || among(code, later)) return Errc::network;
  if (among(code, wrong)) return Errc::config;
  const bool refuses = status == 400 || status == 401 || status == 403 || (status == 200 && !code.empty());
  return refuses ? Errc::denied : Errc::config;  // 404, redirects: the wrong place was asked
}

std::string_view advice(std::string_view code, std::string_view message) {
  if (code == "AccessDenied") {
    return "; the role's trust policy must allow this caller, and the caller's policy sts:AssumeRole on the role";
  }
  if (code == "InvalidClientTokenId" || code == "UnrecognizedClientException") {
    return "; the access key is unknown or switched off";
  }
  if (code == "ExpiredToken" || code == "ExpiredTokenException") {
    return "; the token it was asked with has ended: renew it, and check this machine's clock";
  }
  if (code == "InvalidIdentityToken") return "; the role's identity provider does not accept the token in the file";
  if (code == "RequestTimeTooSkewed" || message.find("Signature expired") != std::string_view::npos ||
      message.find("not yet current") != std::string_view::npos) {
    return "; check this machine's clock";
  }
  if (code == "SignatureDoesNotMatch") return "; the secret key does not belong to the access key";
  return "";
}

std::string form(const std::vector<Parameter>& parameters) {
  std::string body;
  for (const auto& [name, value] : parameters) {
    if (!body.empty()) body += '&';
    body.append(name).append(1, '=').append(http::percent_encode(value, false));
  }
  return body;
}

std::vector<Parameter> role_parameters(std::string_view action, const Role& role) {
  std::vector<Parameter> parameters{{"Action", std::string(action)},
                                    {"Version", "2011-06-15"},
                                    {"RoleArn", role.arn},
                                    {"RoleSessionName", role.session_name.empty() ? "seawall" : role.session_name}};
  if (role.duration) parameters.emplace_back("DurationSeconds", fmt::to_string(role.duration->count()));
  if (!role.external_id.empty()) parameters.emplace_back("ExternalId", role.external_id);
  return parameters;
}

Credentials ask(const Sts& sts, const http::Request& request, std::string_view what,
                const std::vector<std::string_view>& secrets, std::stop_token stop) {
  http::Answer answer;
  try {
    answer = sts.exchange(request, stop);
  } catch (Error& error) {
    throw error.during(what);
  }
  if (answer.status != 200) throw refused(what, answer, refusal_from_xml(answer.body), secrets);
  return credentials_from_xml(answer.body, what);
}

http::Request post(const Sts& sts, const std::string& body) {
  return {.method = "POST",
          .url = sts.endpoint,
          .headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
          .body = bytes_of(body)};
}

std::optional<std::chrono::nanoseconds> retry_after(const http::Answer& answer) {
  const auto seconds = parse_int<unsigned>(trim(answer.header("retry-after")));
  if (!seconds) return std::nullopt;
  return std::chrono::seconds(*seconds);
}

}  // namespace

Error refused(std::string_view what, const http::Answer& answer, const Refusal& refusal,
              const std::vector<std::string_view>& secrets) {
  const std::string code = safe_text(refusal.code, secrets);
  const std::string message = safe_text(refusal.message, secrets);
  Error error(code_of(answer.status, code),
              fmt::format("{}: the answer is {}{}{}{}{}{}", what, answer.status, code.empty() ? "" : " ", code,
                          message.empty() ? "" : ": ", message, advice(code, message)));
  if (const auto delay = retry_after(answer)) error.retry_after(*delay);
  return error;
}

Sts sts_of(const Lookup& lookup, const std::string& region, Exchange exchange) {
  const std::string used = region.empty() ? "us-east-1" : region;
  const bool name = std::all_of(used.begin(), used.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
  std::string endpoint;
  if (auto given = value_of(lookup, "AWS_ENDPOINT_URL_STS")) {
    const bool url = given->starts_with("http://") || given->starts_with("https://");
    if (!url || given->find_first_of("@?# \t") != std::string::npos) {
      throw Error(Errc::config,
                  "AWS_ENDPOINT_URL_STS must be a URL that begins with https:// or http://, without user "
                  "or query");
    }
    endpoint = std::move(*given);
    if (endpoint.find('/', endpoint.find("://") + 3) == std::string::npos) endpoint += '/';
  } else if (!name) {
    throw Error(Errc::config,
                fmt::format("'{}' is no region whose token service could be asked: set AWS_REGION", used));
  } else {
    endpoint = fmt::format("https://sts.{}.amazonaws.com{}/", used, used.starts_with("cn-") ? ".cn" : "");
  }
  return {.exchange = std::move(exchange), .endpoint = std::move(endpoint), .region = used};
}

Credentials assume_role(const Sts& sts, const Role& role, const Credentials& with, Time now, std::stop_token stop) {
  const std::string body = form(role_parameters("AssumeRole", role));
  http::Request request = post(sts, body);
  sign(request, with, sts.region, "sts", now, Payload::hashed);
  const std::string what = fmt::format("{}: AssumeRole of {}", sts.endpoint, role.arn);
  return ask(sts, request, what, {with.secret_key, with.session_token}, stop);
}

Credentials assume_role_with_web_identity(const Sts& sts, const Role& role, std::string_view token,
                                          std::stop_token stop) {
  std::vector<Parameter> parameters = role_parameters("AssumeRoleWithWebIdentity", role);
  parameters.emplace_back("WebIdentityToken", std::string(token));
  const std::string body = form(parameters);
  const std::string what = fmt::format("{}: AssumeRoleWithWebIdentity of {}", sts.endpoint, role.arn);
  return ask(sts, post(sts, body), what, {token}, stop);
}

}  // namespace seawall::storage::s3
