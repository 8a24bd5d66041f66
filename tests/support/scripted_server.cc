#include "support/scripted_server.hh"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "base/text.hh"

namespace seawall::test {
namespace {

void free_session(SSL* tls) { SSL_free(tls); }
void free_context(SSL_CTX* context) { SSL_CTX_free(context); }

template <class T>
T* made(T* object) {
  if (object == nullptr) throw std::runtime_error("the test's TLS server cannot be set up");
  return object;
}

std::unique_ptr<BIO, decltype(&BIO_free)> memory_of(const std::string& text) {
  return {made(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))), BIO_free};
}

SSL_CTX* make_context(const Identity& identity) {
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(made(SSL_CTX_new(TLS_server_method())), SSL_CTX_free);
  const auto certificate_text = memory_of(identity.certificate);
  const auto key_text = memory_of(identity.key);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      made(PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr)), X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      made(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr)), EVP_PKEY_free);
  if (SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    throw std::runtime_error("the test's certificate and key cannot be used");
  }
  return context.release();
}

Fd make_listener(int& port) {
  Fd listening(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (!listening || bind(listening.get(), generic, size) != 0 || listen(listening.get(), 64) != 0 ||
      getsockname(listening.get(), generic, &size) != 0) {
    throw std::runtime_error("no port to listen on");
  }
  port = ntohs(address.sin_port);
  return listening;
}

}  // namespace

ServerConnection::ServerConnection(Fd socket, int number, ssl_ctx_st* tls)
    : socket_(std::move(socket)), number_(number), tls_(tls == nullptr ? nullptr : made(SSL_new(tls)), free_session) {
  const int on = 1;
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

ServerConnection::~ServerConnection() = default;

bool ServerConnection::resumed_tls() const noexcept { return tls_ != nullptr && SSL_session_reused(tls_.get()) == 1; }

void ServerConnection::shake_hands() {
  if (tls_ == nullptr) return;
  ERR_clear_error();
  SSL_set_fd(tls_.get(), socket_.get());
  if (SSL_accept(tls_.get()) != 1) throw ClientGone{};
}

void ServerConnection::take_leave() {
  if (tls_ != nullptr) SSL_shutdown(tls_.get());
}

bool ServerConnection::fill() {
  std::array<char, std::size_t{64} << 10> piece{};
  ERR_clear_error();
  const auto got = tls_ == nullptr ? recv(socket_.get(), piece.data(), piece.size(), 0)
                                   : SSL_read(tls_.get(), piece.data(), static_cast<int>(piece.size()));
  if (got <= 0) return false;
  unread_.append(piece.data(), static_cast<std::size_t>(got));
  return true;
}

std::string ServerConnection::read_head() {
  constexpr std::string_view end = "\r\n\r\n";
  while (unread_.find(end) == std::string::npos) {
    if (!fill()) throw ClientGone{};
  }
  return read(unread_.find(end) + end.size());
}

std::string ServerConnection::read(std::size_t bytes) {
  while (unread_.size() < bytes) {
    if (!fill()) throw ClientGone{};
  }
  std::string taken = unread_.substr(0, bytes);
  unread_.erase(0, bytes);
  return taken;
}

void ServerConnection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    ERR_clear_error();
    const auto written = tls_ == nullptr ? send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL)
                                         : SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (written <= 0) throw ClientGone{};
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void ServerConnection::await_close() {
  while (fill()) unread_.clear();
}

void ServerConnection::await_arrival(std::size_t bytes) {
  for (;;) {
    int waiting = 0;
    if (ioctl(socket_.get(), FIONREAD, &waiting) != 0) throw ClientGone{};
    if (unread_.size() + static_cast<std::size_t>(waiting) >= bytes) return;
    pollfd pause{.fd = socket_.get(), .events = POLLRDHUP, .revents = 0};
    if (poll(&pause, 1, 1) > 0) throw ClientGone{};
  }
}

void ServerConnection::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  throw ClientGone{};
}

void ServerConnection::hold() {
  pollfd waited{.fd = socket_.get(), .events = POLLRDHUP, .revents = 0};
  poll(&waited, 1, -1);
}

void ServerConnection::give_up() noexcept { shutdown(socket_.get(), SHUT_RDWR); }

ScriptedServer::ScriptedServer(Script script, const Identity* identity)
    : script_(std::move(script)),
      tls_(identity == nullptr ? nullptr : make_context(*identity), free_context),
      listening_(make_listener(port_)) {
  std::signal(SIGPIPE, SIG_IGN);  // as the program does; OpenSSL writes without MSG_NOSIGNAL
  accepting_ = std::jthread([this](const std::stop_token& stop) { accept_all(stop); });
}

ScriptedServer::~ScriptedServer() {
  accepting_.request_stop();
  shutdown(listening_.get(), SHUT_RDWR);
  accepting_.join();
  {
    const std::lock_guard lock(mutex_);
    for (auto& connection : open_) connection.give_up();
  }
  for (auto& thread : threads_) thread.join();
}

std::string ScriptedServer::url(std::string_view path) const {
  return fmt::format("{}://127.0.0.1:{}{}", tls_ == nullptr ? "http" : "https", port_, path);
}

void ScriptedServer::accept_all(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Fd client(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client || stop.stop_requested()) continue;
    const std::lock_guard lock(mutex_);
    const auto connection = open_.emplace(open_.end(), std::move(client), ++connections_, tls_.get());
    threads_.emplace_back([this, connection] {
      try {
        connection->shake_hands();
        script_(*connection);
        connection->take_leave();
      } catch (const ServerConnection::ClientGone&) {
      }
      const std::lock_guard closing(mutex_);
      open_.erase(connection);
    });
  }
}

std::size_t content_length(std::string_view head) {
  constexpr std::string_view name = "content-length:";
  const std::string lowered = lower(head);
  const std::size_t at = lowered.find(name);
  return at == std::string::npos ? 0 : std::strtoull(lowered.c_str() + at + name.size(), nullptr, 10);
}

ScriptedServer::Script answering(std::function<std::string(const SeenRequest&)> answer) {
  return [answer = std::move(answer)](ServerConnection& connection) {
    for (;;) {
      SeenRequest seen{connection.read_head(), {}, connection.number()};
      if (seen.has("Expect: 100-continue")) connection.write("HTTP/1.1 100 Continue\r\n\r\n");
      seen.body = connection.read(content_length(seen.head));
      connection.write(answer(seen));
    }
  };
}

std::string http_answer(std::string_view status, std::string_view body, std::string_view headers) {
  return fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), headers, body);
}

int closed_port() {
  int port = 0;
  make_listener(port);
  return port;
}

}  // namespace seawall::test
