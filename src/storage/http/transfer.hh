#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "storage/http/http.hh"
#include "storage/http/lane.hh"
#include "storage/http/lane_pool.hh"

namespace seawall::storage::http {

class Transfer;

/// Takes the body of an answer, in pieces of at most 16 KiB.
class BodyTaker {
 public:
  virtual ~BodyTaker() = default;
  /// False: not now; the same piece comes again. What it throws ends the transfer.
  virtual bool take(const Transfer& transfer, Bytes piece) = 0;
  /// The answer taken so far is not the one: another follows.
  virtual void forget() = 0;
};

/// One request under way on a lane, driven by its caller: nothing moves outside step(). Destroyed before its end, it
/// closes the connection. One thread at a time.
class Transfer {
 public:
  /// All but `stop` must outlive it, as must the request's body.
  Transfer(LanePool& pool, Lane& lane, const Request& request, std::stop_token stop, BodyTaker& taker);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Moves what can be moved at once. If that completed no head and brought no byte of a body, and `may_wait`, it then
  /// waits until more can be moved. False when the transfer has ended well. Errors as Client's.
  bool step(bool may_wait);
  bool has_head() const noexcept { return has_head_; }
  bool ended() const noexcept { return ended_; }
  /// Status and headers, once has_head().
  Answer& answer() noexcept { return answer_; }
  const std::string& peer() const noexcept { return peer_; }
  /// Of the answer's body, if it was announced.
  std::optional<std::uint64_t> announced() const noexcept;

 private:
  struct FreeList {
    decltype(&::curl_slist_free_all) free;
    void operator()(curl_slist* list) const noexcept { free(list); }
  };

  void set_options(const Request& request);
  void set_method(const Request& request);
  void set_route(const Request& request);
  void set_headers(const Request& request);
  void add_header(const std::string& line);
  void begin();
  void wait();
  void end();
  bool prepare_repetition(CURLcode code);

  static std::size_t on_header(char* line, std::size_t size, std::size_t count, void* self) noexcept;
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  static std::size_t on_read(char* into, std::size_t size, std::size_t count, void* self) noexcept;
  static int on_seek(void* self, curl_off_t offset, int origin) noexcept;
  static curl_socket_t on_socket(void* self, curlsocktype purpose, curl_sockaddr* address) noexcept;
  void header(std::string_view line);
  void end_of_head();
  bool answer_waits() const noexcept;

  const ClientOptions& options_;
  const Trust& trust_;
  Clock& clock_;
  Lane& lane_;
  const Libcurl& curl_;
  BodyTaker& taker_;
  std::stop_token stop_;
  std::string peer_;
  std::string method_;
  Bytes body_;
  std::chrono::nanoseconds stall_timeout_;
  std::unique_ptr<curl_slist, FreeList> headers_;
  std::unique_ptr<curl_slist, FreeList> routes_;
  std::size_t sent_ = 0;
  Answer answer_;
  std::uint64_t received_ = 0;
  std::uint64_t accounted_ = 0;
  std::chrono::nanoseconds silence_{0};
  std::exception_ptr thrown_;
  bool has_head_ = false;
  bool ended_ = false;
  bool added_ = false;
  bool paused_ = false;
  bool repeated_ = false;
  bool widened_ = false;
  // Last: it must not run when the rest is gone.
  std::optional<std::stop_callback<std::function<void()>>> wake_up_;
};

}  // namespace seawall::storage::http
