#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.hh"

namespace seawall::storage::http {

struct Header {
  std::string name;
  std::string value;
};

struct Request {
  std::string method = "GET";
  std::string url;  ///< absolute and percent-encoded; sent as it is
  std::vector<Header> headers = {};
  Bytes body = {};              ///< of PUT and POST; sent whole, with its Content-Length; outlives the transfer
  bool await_continue = false;  ///< ask the server before sending the body (Expect: 100-continue)
  /// How much longer than the stall timeout the server may be silent, because what it was asked for takes that long.
  std::chrono::nanoseconds patience{0};
  std::string connect_to =
      {};  ///< "host:port" to connect to instead of the URL's, which stays the name for TLS and Host
};

struct Answer {
  int status = 0;
  std::vector<Header> headers = {};  ///< names in lower case
  std::string body = {};
  /// Empty if absent. `name` in lower case.
  std::string_view header(std::string_view name) const;
};

struct ClientOptions {
  std::string ca_file = {};  ///< certificates to trust instead of the system's
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(10);
  /// A transfer during which less than one KiB a second moves for this long has stalled: Errc::timeout.
  std::chrono::nanoseconds stall_timeout = std::chrono::seconds(30);
  std::string user_agent = "seawall";
};

/// The body of an answer, as it arrives. Fewer bytes than its Content-Length, a reset and a stall are Errors, never an
/// end. Destroyed early, it closes the connection; at its end, the connection goes back to the client.
class Download : public Source {
 public:
  const Answer& answer() const { return answer_; }  ///< without body

 protected:
  Answer answer_;
};

/// HTTP/1.1 on libcurl, which is loaded with the first client (docs/adr/0002 says why). Keeps connections alive and
/// resumes TLS sessions across requests; one connection per thread that is inside a request. Thread-safe. Honours
/// http_proxy, https_proxy and no_proxy; servers on this machine are never asked for at a proxy. Redirects are answers
/// like any other. Nothing is retried, but a request goes out again, once, if a kept connection turns out to be closed
/// or (not a POST) to carry the rest of an earlier answer.
///
/// Errors: network (unresolvable, refused, reset, no HTTP, empty answer), timeout, cancelled within 100 ms of `stop`,
/// config (CA file unreadable, certificate not trusted or of another name, proxy refuses), corrupt (fewer bytes than
/// announced). Messages name host and port, never the query or a header.
class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// The whole answer, whatever its status. Errc::corrupt if its body exceeds `body_limit` bytes.
  Answer perform(const Request& request, std::stop_token stop, std::size_t body_limit = std::size_t{64} << 20);
  /// Returns when the headers are there. The Download must end before the Client.
  std::unique_ptr<Download> open(const Request& request, std::stop_token stop);

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

/// RFC 3986: everything but unreserved characters becomes %XX; '/' stays if `keep_slash`.
std::string percent_encode(std::string_view text, bool keep_slash);

}  // namespace seawall::storage::http
