#include "storage/s3/metadata_services.hh"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "config/setting.hh"
#include "storage/s3/profile_file.hh"
#include "storage/s3/token_answers.hh"

namespace seawall::storage::s3 {
namespace {

constexpr std::string_view relative_key = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
constexpr std::string_view full_key = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
constexpr std::string_view token_file_key = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
constexpr std::string_view token_key = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

/// No blank, control character or anything else that clients of different makers read differently.
bool plain_uri(std::string_view uri) {
  return std::all_of(uri.begin(), uri.end(), [](char c) { return c > ' ' && c <= '~' && c != '\\' && c != '"'; });
}

/// "[::1]:80" gives "::1", "localhost:80" gives "localhost"; nothing of what is no host, or has a user in front.
std::optional<std::string> host_of(std::string_view uri) {
  std::string_view rest = uri.substr(uri.find("://") + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  if (rest.empty() || rest.find('@') != std::string_view::npos) return std::nullopt;
  if (rest.front() == '[') {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    return std::string(rest.substr(1, close - 1));
  }
  return std::string(rest.substr(0, rest.find(':')));
}

/// This machine, or an address at which only an agent on this machine or its host listens.
bool trusted_in_clear(const std::string& host) {
  if (lower(host) == "localhost") return true;
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    const std::uint32_t address = ntohl(v4.s_addr);
    return address >> 24U == 127 || address == 0xA9FEAA02 || address == 0xA9FEAA17;  // 169.254.170.2, .23
  }
  in6_addr v6{};
  in6_addr agent{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) != 1) return false;
  ::inet_pton(AF_INET6, "fd00:ec2::23", &agent);
  return IN6_IS_ADDR_LOOPBACK(&v6) || IN6_ARE_ADDR_EQUAL(&v6, &agent);
}

std::optional<std::string> container_uri(const Lookup& lookup) {
  if (const auto relative = value_of(lookup, relative_key)) {
    if (!relative->starts_with('/') || !plain_uri(*relative)) {
      throw Error(Errc::config, fmt::format("{} must be a path that begins with '/'", relative_key));
    }
    return fmt::format("http://169.254.170.2{}", *relative);
  }
  auto full = value_of(lookup, full_key);
  if (!full) return std::nullopt;
  const bool clear = full->starts_with("http://");
  const auto host = (clear || full->starts_with("https://")) && plain_uri(*full) ? host_of(*full) : std::nullopt;
  if (!host) throw Error(Errc::config, fmt::format("{} must be a URL that begins with https:// or http://", full_key));
  if (clear && !trusted_in_clear(*host)) {
    throw Error(Errc::config,
                fmt::format("{}: http is only for this machine, 169.254.170.2 and 169.254.170.23, not for "
                            "{}: use https",
                            full_key, *host));
  }
  return full;
}

std::string container_token(const Lookup& lookup) {
  std::string token;
  std::string_view from = token_key;
  if (const auto path = value_of(lookup, token_file_key)) {
    from = token_file_key;
    const auto text = try_read_file(*path, std::size_t{64} << 10);
    if (!text) throw Error(Errc::config, fmt::format("{}: {} does not exist", token_file_key, *path));
    token = trim(*text);
  } else {
    token = value_of(lookup, token_key).value_or("");
  }
  const bool header = std::all_of(token.begin(), token.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!header) throw Error(Errc::config, fmt::format("{} holds a character that no header may have", from));
  return token;
}

/// Without the query, which is the caller's.
std::string_view without_query(std::string_view uri) { return uri.substr(0, uri.find('?')); }

bool is_true(const Lookup& lookup, std::string_view key) {
  const auto value = value_of(lookup, key);
  return value && lower(*value) == "true";
}

std::string metadata_endpoint(const Lookup& lookup) {
  auto given = value_of(lookup, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (!given) {
    const bool v6 = lower(value_of(lookup, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").value_or("")) == "ipv6";
    return v6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
  }
  const bool url = given->starts_with("http://") || given->starts_with("https://");
  if (!url || !plain_uri(*given) || !host_of(*given)) {
    throw Error(Errc::config, "AWS_EC2_METADATA_SERVICE_ENDPOINT must be a URL that begins with http:// or https://");
  }
  while (given->ends_with('/')) given->pop_back();
  return *given;
}

/// One conversation with the instance's metadata service.
class Metadata {
 public:
  Metadata(std::string endpoint, const Exchange& exchange, std::stop_token stop)
      : endpoint_(std::move(endpoint)), exchange_(exchange), stop_(std::move(stop)) {}

  /// Fetches the token; false if the service knows none or does not give one.
  bool open() {
    const http::Answer answer = exchange_({.method = "PUT",
                                           .url = endpoint_ + "/latest/api/token",
                                           .headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}}},
                                          stop_);
    const std::string_view token = trim(answer.body);
    const bool usable = !token.empty() && token.size() <= 4096 &&
                        std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (answer.status == 200 && usable) token_ = token;
    if (token_.empty() && answer.status != 403 && answer.status != 404 && answer.status != 405) {
      throw refused(fmt::format("{}/latest/api/token", endpoint_), answer, {}, {});
    }
    return !token_.empty();
  }
  bool has_token() const { return !token_.empty(); }

  /// The credentials of the attached role; nothing if none is attached.
  std::optional<Credentials> credentials() const {
    const std::string path = "/latest/meta-data/iam/security-credentials/";
    const http::Answer roles = get(path);
    if (roles.status == 404) return std::nullopt;
    if (roles.status != 200) throw refused(endpoint_ + path, roles, {}, {token_});
    const std::string_view role = trim(split(trim(roles.body), '\n').front());
    if (role.empty()) return std::nullopt;
    const std::string role_path = path + http::percent_encode(role, false);
    const http::Answer answer = get(role_path);
    const Refusal refusal = refusal_from_json(answer.body);
    // A role that cannot be assumed is told with status 200 and a code.
    if (answer.status != 200 || !refusal.code.empty()) {
      throw refused(endpoint_ + role_path, answer, refusal, {token_});
    }
    return credentials_from_json(answer.body, endpoint_ + role_path);
  }

 private:
  http::Answer get(const std::string& path) const {
    http::Request request{.url = endpoint_ + path};
    if (!token_.empty()) request.headers.push_back({"X-aws-ec2-metadata-token", token_});
    return exchange_(request, stop_);
  }

  std::string endpoint_;
  const Exchange& exchange_;
  std::stop_token stop_;
  std::string token_;
};

}  // namespace

std::optional<Credentials> container_credentials(const Lookup& lookup, const Exchange& exchange, std::stop_token stop) {
  const std::optional<std::string> uri = container_uri(lookup);
  if (!uri) return std::nullopt;
  const std::string token = container_token(lookup);
  http::Request request{.url = *uri, .headers = {{"Accept", "application/json"}}};
  if (!token.empty()) request.headers.push_back({"Authorization", token});
  const std::string what = fmt::format("container credentials from {}", without_query(*uri));
  http::Answer answer;
  try {
    answer = exchange(request, stop);
  } catch (Error& error) {
    throw error.during(what);
  }
  if (answer.status != 200) throw refused(what, answer, refusal_from_json(answer.body), {token});
  return credentials_from_json(answer.body, what);
}

InstanceAnswer instance_credentials(const Lookup& lookup, const Exchange& exchange, bool expected,
                                    std::stop_token stop) {
  if (is_true(lookup, "AWS_EC2_METADATA_DISABLED")) return {.why_none = "AWS_EC2_METADATA_DISABLED is set"};
  const std::string endpoint = metadata_endpoint(lookup);
  Metadata metadata(endpoint, exchange, stop);
  try {
    bool token = false;
    try {
      token = metadata.open();
    } catch (const Error& error) {
      // In a container behind the host's network the answer to the token request is lost on its way: one hop too far.
      if (error.code() != Errc::timeout) throw;
    }
    if (!token && is_true(lookup, "AWS_EC2_METADATA_V1_DISABLED")) {
      return {.why_none = fmt::format("{} gives no token, and AWS_EC2_METADATA_V1_DISABLED is set", endpoint)};
    }
    auto credentials = metadata.credentials();
    if (credentials) return {.credentials = std::move(credentials)};
    return {.why_none = fmt::format("{} knows of no role attached to this instance", endpoint)};
  } catch (Error& error) {
    error.during("EC2 instance metadata");
    if (expected || metadata.has_token() || error.code() == Errc::cancelled) throw;
    return {.why_none = error.what()};
  }
}

}  // namespace seawall::storage::s3
