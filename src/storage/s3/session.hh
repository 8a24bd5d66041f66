#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.hh"
#include "base/error.hh"
#include "base/log.hh"
#include "storage/http/http.hh"
#include "storage/s3/credentials.hh"
#include "storage/s3/options.hh"
#include "storage/s3/s3_xml.hh"

namespace seawall::storage::s3 {

/// One request of S3's API, before it has an address and a signature.
struct Call {
  std::string_view action;  ///< as policies name it: "PutObject"
  std::string method = "GET";
  std::string key = {};    ///< in the bucket; empty: the bucket itself
  std::string query = {};  ///< percent-encoded, without '?'
  Headers headers = {};
  Bytes body = {};
  bool await_continue = false;
  /// Beyond the stall timeout, for what a server works on before it answers.
  std::chrono::nanoseconds patience{0};
};

struct Reply {
  http::Answer answer;
  Fault fault = {};         ///< of an answer that is no success
  std::string region = {};  ///< that the request was signed for
  bool ok() const noexcept { return answer.status >= 200 && answer.status < 300; }
};

/// Requests to one bucket: addressed, signed, sent. What can be put right is, once: a wrong region is replaced by the
/// one that the server names, credentials that it no longer accepts are renewed. Nothing else is repeated. Thread-safe.
/// Loads libcurl and asks for credentials with the first request.
class Session {
 public:
  /// `clock` and `log` must outlive it.
  Session(Options options, Lookup lookup, Clock& clock, Log& log);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Options& options() const noexcept { return options_; }
  Clock& clock() const noexcept { return clock_; }
  Log& log() const noexcept { return log_; }
  /// "s3://bucket/path/key"; `key` in the bucket.
  std::string label(std::string_view key) const;

  /// Whatever its status.
  Reply perform(const Call& call, const std::stop_token& stop);
  /// A success, or the error that it was refused with.
  Reply expect(const Call& call, const std::stop_token& stop);
  /// Null if the answer was no success; `reply` then has all of it, else the headers.
  std::unique_ptr<http::Download> open(const Call& call, Reply& reply, const std::stop_token& stop);
  Error error_of(const Call& call, const Reply& reply);

 private:
  struct Live;
  struct Attempt;

  Live& live();
  Attempt prepare(const Call& call, const std::stop_token& stop);
  bool repair(Attempt& attempt, const Reply& reply);
  std::string region(const std::stop_token& stop);
  std::string discovered_region(const std::stop_token& stop);
  std::string node(const std::stop_token& stop);
  void forget_node();
  void validate(const std::stop_token& stop);
  void log_request(const Attempt& attempt, const Reply& reply);

  const Options options_;
  Lookup lookup_;
  Clock& clock_;
  Log& log_;

  std::mutex mutex_;  // of what follows
  std::unique_ptr<Live> live_;
  std::string region_;
  std::string node_;
  std::optional<std::chrono::steady_clock::time_point> node_until_;
  std::atomic<bool> validated_ = false;
};

}  // namespace seawall::storage::s3
