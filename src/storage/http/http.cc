#include "storage/http/http.hh"

#include <algorithm>
#include <utility>

#include "base/clock.hh"
#include "storage/http/body.hh"
#include "storage/http/lane_pool.hh"
#include "storage/http/transfer.hh"

namespace seawall::storage::http {

struct Client::Shared {
  explicit Shared(ClientOptions options) : pool(std::move(options), clock) {}

  SystemClock clock;
  LanePool pool;
};

std::string_view Answer::header(std::string_view name) const {
  const auto found =
      std::find_if(headers.begin(), headers.end(), [&](const Header& header) { return header.name == name; });
  return found == headers.end() ? std::string_view{} : std::string_view(found->value);
}

Client::Client(ClientOptions options) : shared_(std::make_unique<Shared>(std::move(options))) {}

Client::~Client() = default;

Answer Client::perform(const Request& request, std::stop_token stop, std::size_t body_limit) {
  LanePool& pool = shared_->pool;
  const LanePool::Borrowed borrowed(pool);
  WholeBody body(body_limit);
  Transfer transfer(pool, borrowed.lane(), request, std::move(stop), body);
  while (transfer.step(true)) {
  }
  Answer answer = std::move(transfer.answer());
  answer.body = std::move(body.text());
  return answer;
}

std::unique_ptr<Download> Client::open(const Request& request, std::stop_token stop) {
  return std::make_unique<StreamedDownload>(shared_->pool, request, std::move(stop));
}

std::string percent_encode(std::string_view text, bool keep_slash) {
  constexpr std::string_view unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (unreserved.find(c) != std::string_view::npos || (c == '/' && keep_slash)) {
      encoded += c;
      continue;
    }
    const auto value = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += digits[value >> 4U];
    encoded += digits[value & 15U];
  }
  return encoded;
}

}  // namespace seawall::storage::http
