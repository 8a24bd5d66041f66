#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/file.hh"

struct ssl_st;      // OpenSSL's SSL
struct ssl_ctx_st;  // and SSL_CTX

namespace seawall::test {

/// A key and a certificate for "127.0.0.1" and "localhost", signed by itself; both in PEM.
struct Identity {
  std::string certificate;
  std::string key;
};
Identity make_identity();

/// One client, as a script sees it. Everything but reset() throws ClientGone once the connection is closed.
class ServerConnection {
 public:
  struct ClientGone {};

  ServerConnection(Fd socket, int number, ssl_ctx_st* tls);
  ~ServerConnection();
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;

  int number() const noexcept { return number_; }  ///< 1 for the first connection that the server accepted
  bool resumed_tls() const noexcept;
  /// The next request's first line and headers, with the empty line behind them.
  std::string read_head();
  std::string read(std::size_t bytes);
  void write(std::string_view bytes);
  /// Returns when the client closes; what it sends until then is dropped.
  void await_close();
  /// Returns when the server is to end, or the connection is lost; reads nothing.
  void hold();
  /// Returns when at least `bytes` have arrived that were not asked for yet.
  void await_arrival(std::size_t bytes);
  /// Ends the connection so that the client's system sees it broken.
  void reset();
  /// Makes whoever waits in it throw ClientGone. Any thread.
  void give_up() noexcept;

 private:
  friend class ScriptedServer;
  void shake_hands();
  void take_leave();
  bool fill();

  Fd socket_;
  int number_;
  std::unique_ptr<ssl_st, void (*)(ssl_st*)> tls_;
  std::string unread_;
};

/// A TCP server on a port of its own that answers as its test tells it, byte by byte. `script` runs for each
/// connection in a thread of that connection; when it returns the connection is closed in the ordinary way.
/// The destructor ends all scripts that wait for their clients.
class ScriptedServer {
 public:
  using Script = std::function<void(ServerConnection&)>;

  explicit ScriptedServer(Script script) : ScriptedServer(std::move(script), nullptr) {}
  /// Speaks TLS. `identity` is needed during the call only.
  ScriptedServer(Script script, const Identity& identity) : ScriptedServer(std::move(script), &identity) {}
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  int port() const noexcept { return port_; }
  /// "http://127.0.0.1:PORT" and `path`.
  std::string url(std::string_view path) const;
  int connections() const noexcept { return connections_; }

 private:
  ScriptedServer(Script script, const Identity* identity);
  void accept_all(const std::stop_token& stop);

  Script script_;
  std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> tls_;
  int port_ = 0;  // before listening_, which sets it
  Fd listening_;
  std::atomic<int> connections_ = 0;
  std::mutex mutex_;
  std::list<ServerConnection> open_;
  std::list<std::thread> threads_;
  std::jthread accepting_;
};

struct SeenRequest {
  std::string head;
  std::string body;
  int connection = 0;

  bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
};

/// A script that reads each request whole, saying "100 Continue" where it is asked to, and answers what `answer` gives.
ScriptedServer::Script answering(std::function<std::string(const SeenRequest&)> answer);
/// "HTTP/1.1 200 OK", Content-Length, `headers` (each with its line break), the empty line, `body`.
std::string http_answer(std::string_view status, std::string_view body, std::string_view headers = "");
/// The Content-Length of a request's head; 0 if it has none.
std::size_t content_length(std::string_view head);
/// A port on which nobody listens.
int closed_port();

}  // namespace seawall::test
