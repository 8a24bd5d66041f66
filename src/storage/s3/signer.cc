#include "storage/s3/signer.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/text.hh"
#include "base/time_text.hh"
#include "storage/s3/sha256.hh"

namespace seawall::storage::s3 {
namespace {

using http::Header;
using http::Request;

struct Url {
  std::string_view host;  // with its port unless that is the scheme's own
  std::string_view path;
  std::string_view query;
};

Url split_url(std::string_view url) {
  const std::size_t colon = url.find("://");
  const std::string_view scheme = url.substr(0, colon == std::string_view::npos ? 0 : colon);
  std::string_view rest = colon == std::string_view::npos ? url : url.substr(colon + 3);
  Url result;
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  result.host = rest.substr(0, end);
  rest.remove_prefix(end);
  if (const auto at = result.host.rfind('@'); at != std::string_view::npos) result.host.remove_prefix(at + 1);
  // Servers see no default port in the URL they compute with, nor does curl put one into Host.
  const std::string_view own_port = scheme == "https" ? ":443" : ":80";
  if (result.host.ends_with(own_port)) result.host.remove_suffix(own_port.size());
  const std::size_t mark = std::min(rest.find('?'), rest.size());
  result.path = rest.substr(0, mark);
  result.query = rest.substr(std::min(mark + 1, rest.size()));
  return result;
}

bool same_name(std::string_view name, std::string_view lower_case) {
  return name.size() == lower_case.size() && lower(name) == lower_case;
}

void erase_header(Request& request, std::string_view lower_case) {
  std::erase_if(request.headers, [&](const Header& header) { return same_name(header.name, lower_case); });
}

void set_header(Request& request, std::string name, std::string value) {
  erase_header(request, lower(name));
  request.headers.push_back({std::move(name), std::move(value)});
}

/// Whatever the writer left unencoded is encoded, and what is encoded already stays: servers compare the decoded names.
std::string recode(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto code =
        text[i] == '%' && i + 2 < text.size() ? parse_int<unsigned>(text.substr(i + 1, 2), 16) : std::nullopt;
    plain += code ? static_cast<char>(*code) : text[i];
    if (code) i += 2;
  }
  return http::percent_encode(plain, false);
}

std::string canonical_query(std::string_view query) {
  if (query.empty()) return {};
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string_view part : split(query, '&')) {
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    pairs.emplace_back(recode(part.substr(0, equals)), recode(part.substr(std::min(equals + 1, part.size()))));
  }
  std::sort(pairs.begin(), pairs.end());
  std::string result;
  for (const auto& [name, value] : pairs) {
    if (!result.empty()) result += '&';
    result.append(name).append(1, '=').append(value);
  }
  return result;
}

/// What proxies, load balancers and curl itself add, drop or rewrite on the way.
bool changes_on_the_way(std::string_view lower_case) {
  static constexpr std::array<std::string_view, 8> names{"accept-encoding", "authorization",    "connection",
                                                         "content-length",  "expect",           "user-agent",
                                                         "x-amzn-trace-id", "transfer-encoding"};
  return std::find(names.begin(), names.end(), lower_case) != names.end();
}

void append_collapsed(std::string& into, std::string_view value) {
  char before = 'x';
  for (const char c : trim(value)) {
    if (c != ' ' || before != ' ') into += c;
    before = c;
  }
}

struct CanonicalHeaders {
  std::string lines;
  std::string names;
};

CanonicalHeaders canonical_headers(const std::vector<Header>& headers) {
  std::vector<std::pair<std::string, std::string_view>> sorted;
  sorted.reserve(headers.size());
  for (const Header& header : headers) {
    std::string name = lower(trim(header.name));
    if (!changes_on_the_way(name)) sorted.emplace_back(std::move(name), header.value);
  }
  // Values of one name keep their order: a server sees them joined in it.
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  CanonicalHeaders result;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto& [name, value] = sorted[i];
    if (i > 0 && sorted[i - 1].first == name) {
      result.lines.back() = ',';
    } else {
      result.lines.append(name).append(1, ':');
      if (i > 0) result.names += ';';
      result.names += name;
    }
    append_collapsed(result.lines, value);
    result.lines += '\n';
  }
  return result;
}

/// The key of one day, region and service. Deriving it takes four HMACs; kept per thread it costs nothing and no lock.
class SigningKey {
 public:
  const HmacKey& of(std::string_view secret, std::string_view day, std::string_view region, std::string_view service) {
    if (secret != secret_ || day != day_ || region != region_ || service != service_) {
      const auto bytes = [](const Sha256& hash) { return std::as_bytes(std::span(hash)); };
      Sha256 key = HmacKey(bytes_of(std::string("AWS4").append(secret))).sign(day);
      key = HmacKey(bytes(key)).sign(region);
      key = HmacKey(bytes(key)).sign(service);
      key = HmacKey(bytes(key)).sign("aws4_request");
      secret_ = secret;
      day_ = day;
      region_ = region;
      service_ = service;
      key_ = HmacKey(bytes(key));
    }
    return key_;
  }

 private:
  std::string secret_, day_, region_, service_;
  HmacKey key_{bytes_of("")};
};

std::string payload_hash(const Request& request, bool s3, Payload payload) {
  if (s3) {
    for (const Header& header : request.headers) {
      // A body in signed chunks or with a trailer is announced in the hash's place.
      if (same_name(header.name, "x-amz-content-sha256") && header.value.starts_with("STREAMING-")) return header.value;
    }
    if (payload == Payload::unsigned_body) return "UNSIGNED-PAYLOAD";
  }
  return hex(sha256(request.body));
}

}  // namespace

void sign(Request& request, const Credentials& credentials, std::string_view region, std::string_view service, Time now,
          Payload payload) {
  const bool s3 = service == "s3";
  const Url url = split_url(request.url);
  const std::string stamp = compact_utc(now);
  const std::string_view day = std::string_view(stamp).substr(0, 8);
  const std::string hash = payload_hash(request, s3, payload);
  set_header(request, "Host", std::string(url.host));
  set_header(request, "X-Amz-Date", stamp);
  if (s3) set_header(request, "X-Amz-Content-Sha256", hash);
  erase_header(request, "x-amz-security-token");
  if (!credentials.session_token.empty()) {
    request.headers.push_back({"X-Amz-Security-Token", credentials.session_token});
  }

  // S3 takes a path as it was sent, every other service one encoded once more.
  const std::string path = url.path.empty() ? "/" : s3 ? std::string(url.path) : http::percent_encode(url.path, true);
  const CanonicalHeaders headers = canonical_headers(request.headers);
  const std::string canonical = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, path, canonical_query(url.query),
                                            headers.lines, headers.names, hash);
  const std::string scope = fmt::format("{}/{}/{}/aws4_request", day, region, service);
  const std::string to_sign =
      fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", stamp, scope, hex(sha256(bytes_of(canonical))));
  static thread_local SigningKey keys;
  const Sha256 signature = keys.of(credentials.secret_key, day, region, service).sign(to_sign);
  set_header(request, "Authorization",
             fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}", credentials.access_key,
                         scope, headers.names, hex(signature)));
}

}  // namespace seawall::storage::s3
