#include "storage/http/failure.hh"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "base/text.hh"

namespace seawall::storage::http {
namespace {

/// Whether libcurl's own words go into the message. Some hold a proxy's password or parts of the URL.
enum class Detail { hidden, shown };

struct Row {
  CURLcode code;
  Errc errc;
  Detail detail;
  std::string_view cause;
  std::string_view remedy;
};

constexpr std::string_view check_network =
    "check that the server runs, its address, firewalls, and the proxy if http_proxy or https_proxy names one";
constexpr std::string_view check_proxy = "check http_proxy, https_proxy and no_proxy";
constexpr std::string_view check_trust =
    "name the file of the authority's certificates, and the server by a name that its certificate holds";
constexpr std::string_view check_scheme = "check the port, and whether it is http or https";
constexpr std::string_view check_url = "check the endpoint's URL";

/// What is not here is a fault of the network.
constexpr std::array<Row, 28> table{{
    {CURLE_COULDNT_RESOLVE_HOST, Errc::network, Detail::hidden, "the name cannot be resolved",
     "check the endpoint's name and the name servers"},
    {CURLE_COULDNT_RESOLVE_PROXY, Errc::network, Detail::hidden, "the proxy's name cannot be resolved", check_proxy},
    {CURLE_COULDNT_CONNECT, Errc::network, Detail::shown, "not reached", check_network},
    {CURLE_SEND_ERROR, Errc::network, Detail::shown, "the connection broke while sending", {}},
    {CURLE_RECV_ERROR, Errc::network, Detail::shown, "the connection broke while receiving", {}},
    {CURLE_SEND_FAIL_REWIND, Errc::network, Detail::hidden, "the connection broke while sending", {}},
    {CURLE_GOT_NOTHING, Errc::network, Detail::hidden, "the server closed the connection without an answer", {}},
    {CURLE_UNSUPPORTED_PROTOCOL, Errc::network, Detail::hidden, "the answer is not HTTP", check_scheme},
    {CURLE_WEIRD_SERVER_REPLY, Errc::network, Detail::shown, "the answer is not proper HTTP", check_scheme},
    {CURLE_SSL_CONNECT_ERROR, Errc::network, Detail::shown, "no TLS connection", check_scheme},
    {CURLE_BAD_CONTENT_ENCODING, Errc::corrupt, Detail::shown, "the answer's body is malformed", {}},
    {CURLE_PEER_FAILED_VERIFICATION, Errc::config, Detail::shown, "the certificate is not trusted", check_trust},
    {CURLE_SSL_ISSUER_ERROR, Errc::config, Detail::shown, "the certificate is not trusted", check_trust},
    {CURLE_SSL_INVALIDCERTSTATUS, Errc::config, Detail::shown, "the certificate is not trusted", check_trust},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, Errc::config, Detail::shown, "the certificate is not trusted", check_trust},
    {CURLE_SSL_CRL_BADFILE, Errc::config, Detail::shown, "the list of revoked certificates cannot be read", {}},
    {CURLE_SSL_CERTPROBLEM, Errc::config, Detail::shown, "the client's certificate cannot be used", {}},
    {CURLE_SSL_CLIENTCERT, Errc::config, Detail::shown, "the server asks for a client's certificate", {}},
    {CURLE_SSL_CIPHER, Errc::config, Detail::shown, "no cipher that both sides know", {}},
    {CURLE_PROXY, Errc::config, Detail::hidden, "the proxy refuses the connection", check_proxy},
    {CURLE_URL_MALFORMAT, Errc::config, Detail::hidden, "the URL is malformed", check_url},
    {CURLE_LOGIN_DENIED, Errc::config, Detail::hidden, "a URL must not hold a user name", check_url},
    {CURLE_NOT_BUILT_IN, Errc::unsupported, Detail::hidden, "this libcurl lacks a feature",
     "install libcurl with OpenSSL"},
    {CURLE_OUT_OF_MEMORY, Errc::io, Detail::hidden, "out of memory", {}},
    {CURLE_FAILED_INIT, Errc::io, Detail::hidden, "libcurl cannot be initialised", {}},
    {CURLE_BAD_FUNCTION_ARGUMENT, Errc::bug, Detail::shown, "libcurl refuses the request", {}},
    {CURLE_ABORTED_BY_CALLBACK, Errc::bug, Detail::hidden, "the transfer was given up", {}},
    {CURLE_WRITE_ERROR, Errc::bug, Detail::hidden, "the transfer was given up", {}},
}};

Row row_of(CURLcode code) {
  for (const Row& row : table) {
    if (row.code == code) return row;
  }
  return {code, Errc::network, Detail::shown, "the transfer failed", {}};
}

Error truncated(const Lane& lane, std::string_view peer, std::uint64_t received) {
  const curl_off_t announced = lane.size(CURLINFO_CONTENT_LENGTH_DOWNLOAD_T);
  if (announced < 0) {
    return {Errc::corrupt, fmt::format("{}: the answer ended after {} bytes, before its last chunk", peer, received)};
  }
  return {Errc::corrupt, fmt::format("{}: the answer ended after {} of {} announced bytes", peer, received, announced)};
}

std::string detail_of(CURLcode code, const Lane& lane) {
  std::string detail(trim(lane.detail()));
  if (detail.empty()) detail = lane.curl().easy_strerror(code);
  // libcurl tells which address it tried, and leaves the reason to the error number.
  const long number = code == CURLE_COULDNT_CONNECT ? lane.number(CURLINFO_OS_ERRNO) : 0;
  if (number != 0) detail += fmt::format(" ({})", std::strerror(static_cast<int>(number)));
  return detail;
}

}  // namespace

std::string seconds_text(std::chrono::nanoseconds duration) {
  return fmt::format("{:g} s", std::chrono::duration<double>(duration).count());
}

std::string peer_of(std::string_view url) {
  const std::size_t colon = url.find("://");
  const std::string scheme = colon == std::string_view::npos ? std::string() : lower(url.substr(0, colon));
  if (scheme != "http" && scheme != "https") {
    throw Error(Errc::config, "the URL of a store must begin with http:// or https://; check the endpoint");
  }
  std::string_view authority = url.substr(colon + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) authority = authority.substr(at + 1);
  const std::size_t port = authority.rfind(':');
  const bool has_port = port != std::string_view::npos && authority.find(']', port) == std::string_view::npos;
  if (authority.substr(0, has_port ? port : authority.size()).empty()) {
    throw Error(Errc::config, "the URL of a store names no host; check the endpoint");
  }
  if (has_port) return std::string(authority);
  return fmt::format("{}:{}", authority, scheme == "https" ? 443 : 80);
}

bool is_loopback(std::string_view peer) {
  const std::string_view host = peer.substr(0, peer.rfind(':'));
  return lower(host) == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

Error proxy_refusal(std::string_view peer, long status) {
  return {Errc::config,
          fmt::format("{}: the proxy refuses the connection with status {}; {}", peer, status, check_proxy)};
}

Error failure_of(CURLcode code, const Lane& lane, std::string_view peer, const ClientOptions& options,
                 std::uint64_t received) {
  if (code == CURLE_PARTIAL_FILE) return truncated(lane, peer, received);
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return {Errc::timeout,
            fmt::format("{}: no connection within {}; {}", peer, seconds_text(options.connect_timeout), check_network)};
  }
  if (code == CURLE_SSL_CACERT_BADFILE) {
    return {Errc::config, fmt::format("{}: {} holds no certificates that can be used; name a file in PEM format", peer,
                                      options.ca_file.empty() ? "the system's file of authorities" : options.ca_file)};
  }
  const long tunnel = lane.number(CURLINFO_HTTP_CONNECTCODE);
  if (tunnel >= 400 && (code == CURLE_RECV_ERROR || code == CURLE_COULDNT_CONNECT)) {
    if (tunnel < 500) return proxy_refusal(peer, tunnel);
    return {Errc::network, fmt::format("{}: the proxy cannot connect, status {}", peer, tunnel)};
  }
  const Row row = row_of(code);
  std::string message = fmt::format("{}: {}", peer, row.cause);
  if (row.detail == Detail::shown) message += fmt::format(": {}", detail_of(code, lane));
  if (!row.remedy.empty()) message += fmt::format("; {}", row.remedy);
  return {row.errc, std::move(message)};
}

}  // namespace seawall::storage::http
