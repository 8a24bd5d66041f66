#include "storage/http/transfer.hh"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/error.hh"
#include "base/text.hh"
#include "storage/http/failure.hh"

namespace seawall::storage::http {
namespace {

/// What one recv() may bring. Smaller costs system calls, larger falls out of the second-level cache.
constexpr long receive_bytes = long{256} << 10;
constexpr long small_receive_bytes = long{16} << 10;
constexpr long send_bytes = long{512} << 10;
/// A server that does not want a body says so on its first bytes. Over these it is asked about before every record of
/// TLS: see answer_waits(). Beyond them that would cost a fifth of the throughput.
constexpr std::size_t careful_bytes = std::size_t{1} << 20;
constexpr std::size_t careful_step = std::size_t{16} << 10;
constexpr long continue_milliseconds = 1000;
constexpr double least_bytes_per_second = 1024;
constexpr std::chrono::milliseconds longest_wait{1000};

long milliseconds(std::chrono::nanoseconds duration) {
  return std::max<long>(1, std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

}  // namespace

Transfer::Transfer(LanePool& pool, Lane& lane, const Request& request, std::stop_token stop, BodyTaker& taker)
    : options_(pool.options()),
      trust_(pool.trust()),
      clock_(pool.clock()),
      lane_(lane),
      curl_(lane.curl()),
      taker_(taker),
      stop_(std::move(stop)),
      peer_(peer_of(request.url)),
      method_(request.method),
      body_(request.body),
      stall_timeout_(options_.stall_timeout.count() > 0 ? options_.stall_timeout + request.patience
                                                        : options_.stall_timeout),
      headers_(nullptr, FreeList{curl_.slist_free_all}),
      routes_(nullptr, FreeList{curl_.slist_free_all}) {
  lane_.reset();
  set_options(request);
  set_method(request);
  set_route(request);
  set_headers(request);
  begin();
  wake_up_.emplace(stop_, [this] { curl_.multi_wakeup(lane_.multi()); });
}

Transfer::~Transfer() {
  wake_up_.reset();
  if (added_) curl_.multi_remove_handle(lane_.multi(), lane_.easy());
}

void Transfer::set_options(const Request& request) {
  lane_.set(CURLOPT_URL, request.url);
  lane_.set(CURLOPT_PATH_AS_IS, 1L);
  lane_.set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  lane_.set(CURLOPT_NOSIGNAL, 1L);
  lane_.set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  lane_.set(CURLOPT_TCP_NODELAY, 1L);
  lane_.set(CURLOPT_TCP_KEEPALIVE, 1L);
  lane_.set(CURLOPT_BUFFERSIZE, request.method == "GET" ? receive_bytes : small_receive_bytes);
  lane_.set(CURLOPT_UPLOAD_BUFFERSIZE, send_bytes);
  lane_.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options_.connect_timeout));
  lane_.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  // A store's name has many addresses, each with a share of its capacity.
  lane_.set(CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  // Without it a stop would wait for the name server.
  lane_.set(CURLOPT_QUICK_EXIT, 1L);
#endif
  trust_.apply(lane_);
  lane_.set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  lane_.set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  lane_.set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  lane_.set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  // libcurl creates sockets that child processes would inherit.
  lane_.set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::on_socket);
}

void Transfer::set_method(const Request& request) {
  const bool uploads = request.method == "PUT" || request.method == "POST" || !request.body.empty();
  if (request.method == "HEAD") {
    lane_.set(CURLOPT_NOBODY, 1L);
  } else if (uploads) {
    lane_.set(CURLOPT_UPLOAD, 1L);
    lane_.set_size(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    lane_.set(CURLOPT_READFUNCTION, &Transfer::on_read);
    lane_.set(CURLOPT_READDATA, static_cast<void*>(this));
    lane_.set(CURLOPT_SEEKFUNCTION, &Transfer::on_seek);
    lane_.set(CURLOPT_SEEKDATA, static_cast<void*>(this));
    lane_.set(CURLOPT_EXPECT_100_TIMEOUT_MS, continue_milliseconds);
    add_header(request.await_continue ? "Expect: 100-continue" : "Expect:");
  }
  const std::string_view implied = uploads ? "PUT" : request.method == "HEAD" ? "HEAD" : "GET";
  if (request.method != implied) lane_.set(CURLOPT_CUSTOMREQUEST, request.method);
}

void Transfer::set_route(const Request& request) {
  // As Go's programs do, WAL-G among them: a server on this machine is never asked for at a proxy.
  if (is_loopback(peer_)) lane_.set(CURLOPT_PROXY, "");
  if (request.connect_to.empty()) return;
  routes_.reset(curl_.slist_append(nullptr, fmt::format("::{}", request.connect_to).c_str()));
  if (routes_ == nullptr) throw Error(Errc::io, fmt::format("{}: out of memory", peer_));
  lane_.set(CURLOPT_CONNECT_TO, routes_.get());
}

void Transfer::set_headers(const Request& request) {
  lane_.set(CURLOPT_USERAGENT, options_.user_agent);
  for (const Header& header : request.headers) {
    constexpr std::string_view line_breaks("\r\n\0", 3);
    if (header.name.empty() || header.name.find_first_of(line_breaks) != std::string::npos ||
        header.value.find_first_of(line_breaks) != std::string::npos) {
      throw Error(Errc::config, fmt::format("{}: a header of the request has no name or holds a line break", peer_));
    }
    // "Name:" would remove a header that libcurl makes.
    add_header(header.value.empty() ? header.name + ";" : fmt::format("{}: {}", header.name, header.value));
  }
  lane_.set(CURLOPT_HTTPHEADER, headers_.get());
}

void Transfer::add_header(const std::string& line) {
  curl_slist* longer = curl_.slist_append(headers_.get(), line.c_str());
  if (longer == nullptr) throw Error(Errc::io, fmt::format("{}: out of memory", peer_));
  static_cast<void>(headers_.release());
  headers_.reset(longer);
}

void Transfer::begin() {
  const CURLMcode result = curl_.multi_add_handle(lane_.multi(), lane_.easy());
  if (result != CURLM_OK) throw Error(Errc::io, fmt::format("{}: {}", peer_, curl_.multi_strerror(result)));
  added_ = true;
}

std::optional<std::uint64_t> Transfer::announced() const noexcept {
  const curl_off_t bytes = lane_.size(CURLINFO_CONTENT_LENGTH_DOWNLOAD_T);
  return bytes < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(bytes));
}

bool Transfer::step(bool may_wait) {
  if (ended_) return false;
  if (stop_.stop_requested()) throw Error(Errc::cancelled, fmt::format("{}: stopped on request", peer_));
  if (std::exchange(paused_, false)) curl_.easy_pause(lane_.easy(), CURLPAUSE_CONT);
  const auto before = std::pair(has_head_, received_);
  int running = 0;
  const CURLMcode result = curl_.multi_perform(lane_.multi(), &running);
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  if (result != CURLM_OK) throw Error(Errc::io, fmt::format("{}: {}", peer_, curl_.multi_strerror(result)));
  if (running == 0) {
    end();
    return !ended_;
  }
  if (may_wait && !paused_ && before == std::pair(has_head_, received_)) wait();
  return true;
}

/// libcurl's own low-speed limit counts the time during which nobody asked for the next bytes as well. Here only
/// waiting counts: every byte moved pays for 1/1024 s of it.
void Transfer::wait() {
  const bool limited = stall_timeout_.count() > 0;
  const std::uint64_t moved = received_ + static_cast<std::uint64_t>(lane_.size(CURLINFO_SIZE_UPLOAD_T));
  const std::uint64_t fresh = moved - std::min(moved, accounted_);
  accounted_ = moved;
  const std::chrono::duration<double> paid(static_cast<double>(fresh) / least_bytes_per_second);
  silence_ = paid >= silence_ ? std::chrono::nanoseconds(0)
                              : silence_ - std::chrono::duration_cast<std::chrono::nanoseconds>(paid);

  const std::chrono::nanoseconds longest =
      limited ? std::min<std::chrono::nanoseconds>(longest_wait, stall_timeout_ - silence_) : longest_wait;
  const auto start = clock_.steady();
  const CURLMcode result =
      curl_.multi_poll(lane_.multi(), nullptr, 0, static_cast<int>(milliseconds(longest)), nullptr);
  if (result != CURLM_OK) throw Error(Errc::io, fmt::format("{}: {}", peer_, curl_.multi_strerror(result)));
  // Until the request is on its way, connect_timeout is what limits.
  if (!limited || lane_.size(CURLINFO_PRETRANSFER_TIME_T) == 0) return;
  silence_ += clock_.steady() - start;
  if (silence_ < stall_timeout_) return;
  throw Error(Errc::timeout, fmt::format("{}: the transfer stalled: less than 1 KiB a second moved for {}; {} bytes "
                                         "had come",
                                         peer_, seconds_text(stall_timeout_), received_));
}

void Transfer::end() {
  int left = 0;
  const CURLMsg* message = curl_.multi_info_read(lane_.multi(), &left);
  const CURLcode code = message == nullptr ? CURLE_FAILED_INIT : message->data.result;
  curl_.multi_remove_handle(lane_.multi(), lane_.easy());
  added_ = false;
  if (prepare_repetition(code)) {
    sent_ = 0;
    begin();
    return;
  }
  if (code != CURLE_OK) throw failure_of(code, lane_, peer_, options_, received_);
  ended_ = true;
}

/// Two failures that are not the caller's business: the request did not cause them.
bool Transfer::prepare_repetition(CURLcode code) {
  if (code == CURLE_PEER_FAILED_VERIFICATION && trust_.is_narrow() && !widened_) {
    widened_ = true;
    trust_.widen(lane_);
    return true;
  }
  // Swift sends the last chunk of a body that HEAD and 204 do not have. What of it comes after the connection was found
  // clean is taken for the next answer. libcurl likewise repeats a request upon a kept connection that was closed.
  const bool is_no_http = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY;
  const bool is_kept = lane_.number(CURLINFO_NUM_CONNECTS) == 0;
  if (!is_no_http || !is_kept || repeated_ || answer_.status != 0 || method_ == "POST") return false;
  repeated_ = true;
  lane_.set(CURLOPT_FRESH_CONNECT, 1L);
  return true;
}

std::size_t Transfer::on_header(char* line, std::size_t size, std::size_t count, void* self) noexcept {
  auto& transfer = *static_cast<Transfer*>(self);
  try {
    transfer.header({line, size * count});
    return size * count;
  } catch (...) {
    transfer.thrown_ = std::current_exception();
    return 0;
  }
}

void Transfer::header(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    // Another answer follows: the final one after 1xx, or the one to a repetition without Expect after 417.
    if (has_head_) taker_.forget();
    has_head_ = false;
    received_ = 0;
    answer_ = {};
  } else if (has_head_) {
    return;  // trailers of a chunked body
  } else if (line.empty()) {
    end_of_head();
  } else if (line.front() == ' ' || line.front() == '\t') {
    if (!answer_.headers.empty()) answer_.headers.back().value.append(" ").append(trim(line));
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    answer_.headers.push_back({lower(trim(line.substr(0, colon))), std::string(trim(line.substr(colon + 1)))});
  }
}

void Transfer::end_of_head() {
  const auto status = static_cast<int>(lane_.number(CURLINFO_RESPONSE_CODE));
  if (status < 200) return;
  if (status == 407) throw proxy_refusal(peer_, status);
  answer_.status = status;
  has_head_ = true;
  const bool bodiless = method_ == "HEAD" || status == 204 || status == 304;
  // Such a server may send the last chunk of the body that there is not, at any time: see prepare_repetition().
  if (bodiless && !answer_.header("transfer-encoding").empty()) lane_.set(CURLOPT_FORBID_REUSE, 1L);
}

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept {
  auto& transfer = *static_cast<Transfer*>(self);
  try {
    if (!transfer.taker_.take(transfer, bytes_of({data, size * count}))) {
      transfer.paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    transfer.received_ += size * count;
    return size * count;
  } catch (...) {
    transfer.thrown_ = std::current_exception();
    return 0;
  }
}

std::size_t Transfer::on_read(char* into, std::size_t size, std::size_t count, void* self) noexcept {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::size_t room = transfer.sent_ < careful_bytes ? std::min(size * count, careful_step) : size * count;
  const std::size_t bytes = std::min(room, transfer.body_.size() - transfer.sent_);
  if (bytes == 0) return 0;
  std::memcpy(into, transfer.body_.data() + transfer.sent_, bytes);
  if (transfer.answer_waits()) {
    transfer.paused_ = true;
    return CURL_READFUNC_PAUSE;
  }
  transfer.sent_ += bytes;
  return bytes;
}

/// A server that does not want the body answers and closes. Sending on then fails, and libcurl closes the connection
/// without looking at the answer; so this is asked after the copy, right before libcurl sends. What is left of the race
/// is an Errc::network.
bool Transfer::answer_waits() const noexcept {
  curl_socket_t socket = CURL_SOCKET_BAD;
  if (curl_.easy_getinfo(lane_.easy(), CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK || socket == CURL_SOCKET_BAD) {
    return false;
  }
  pollfd asked{.fd = socket, .events = POLLIN, .revents = 0};
  return poll(&asked, 1, 0) > 0;
}

int Transfer::on_seek(void* self, curl_off_t offset, int origin) noexcept {
  auto& transfer = *static_cast<Transfer*>(self);
  if (origin != SEEK_SET || offset < 0 || static_cast<std::size_t>(offset) > transfer.body_.size()) {
    return CURL_SEEKFUNC_FAIL;
  }
  transfer.sent_ = static_cast<std::size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

curl_socket_t Transfer::on_socket(void* /*self*/, curlsocktype /*purpose*/, curl_sockaddr* address) noexcept {
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

}  // namespace seawall::storage::http
