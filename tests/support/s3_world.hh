#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/log.hh"
#include "storage/s3/s3_store.hh"
#include "support/scripted_server.hh"

namespace seawall::test {

/// An S3 store whose server answers what the test says, and keeps what it was asked.
class S3World : public testing::Test {
 protected:
  static constexpr const char* secret = "the+secret/key";

  S3World() {
    set(settings.prefix, "s3://bucket/some/where");
    set(settings.endpoint, server.url(""));
    variables = {{"AWS_ACCESS_KEY_ID", "AKID"}, {"AWS_SECRET_ACCESS_KEY", secret}};
  }

  template <class Setting>
  static void set(Setting& setting, const std::string& text) {
    setting.parse(text, {.kind = config::Origin::Kind::environment, .detail = "test"});
  }

  std::unique_ptr<storage::Store> open(storage::s3::PutIfAbsentCache cache = {}) {
    const auto lookup = [this](std::string_view key) -> std::optional<std::string> {
      const auto found = variables.find(key);
      return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
    return storage::s3::make_s3_store(settings, lookup, clock, log, std::move(cache));
  }

  /// Answers the requests one after the other; a further one fails the test.
  void answers(std::vector<std::string> given) {
    std::lock_guard lock(mutex);
    queue_ = std::move(given);
    next_ = 0;
  }

  /// First lines of the requests since the last call, without "HTTP/1.1".
  std::vector<std::string> lines() {
    std::lock_guard lock(mutex);
    std::vector<std::string> all;
    for (const SeenRequest& request : seen) all.push_back(request.head.substr(0, request.head.find(" HTTP/1.1")));
    seen.clear();
    return all;
  }

  SeenRequest request(std::size_t number) {
    std::lock_guard lock(mutex);
    return seen.at(number);
  }

  static std::string object_headers(std::string_view etag = "aa") {
    return "ETag: \"" + std::string(etag) + "\"\r\nLast-Modified: Sat, 21 Nov 2026 05:12:22 GMT\r\n";
  }
  /// What a HEAD of an object of `bytes` is answered with.
  static std::string head_of(std::uint64_t bytes, std::string_view etag = "aa", std::string_view more = "") {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(bytes) + "\r\n" + object_headers(etag) +
           std::string(more) + "\r\n";
  }
  static std::string put_answer(std::string_view etag = "aa") {
    return http_answer("200 OK", "", object_headers(etag));
  }
  static std::string refusal(std::string_view status, std::string_view code, std::string_view more = "",
                             std::string_view headers = "") {
    return http_answer(
        status, "<?xml version=\"1.0\"?><Error><Code>" + std::string(code) + "</Code>" + std::string(more) + "</Error>",
        headers);
  }
  static std::string bare(std::string_view status, std::string_view headers = "") {
    return http_answer(status, "", headers);
  }

  /// What `action` fails with; its message and the log hold no secret.
  template <class F>
  Error failure_of(F&& action) {
    try {
      action();
    } catch (const Error& error) {
      for (const std::string& text : {std::string(error.what()), log.text()}) {
        EXPECT_EQ(text.find(secret), std::string::npos) << text;
        EXPECT_EQ(text.find("Signature="), std::string::npos) << text;
        EXPECT_EQ(text.find("the-token"), std::string::npos) << text;
      }
      return error;
    }
    ADD_FAILURE() << "nothing failed";
    return Error(Errc::bug, "nothing failed");
  }

  std::mutex mutex;
  std::vector<SeenRequest> seen;
  /// Comes before the queue where it gives an answer.
  std::function<std::string(const SeenRequest&)> special;
  storage::s3::S3Settings settings;
  std::map<std::string, std::string, std::less<>> variables;
  SystemClock clock;
  MemoryLog log;

 private:
  std::string answer(const SeenRequest& request) {
    if (special) {
      if (std::string text = special(request); !text.empty()) return text;
    }
    std::lock_guard lock(mutex);
    seen.push_back(request);
    if (next_ < queue_.size()) return queue_[next_++];
    ADD_FAILURE() << "not expected: " << request.head;
    return http_answer("500 Internal Server Error", "");
  }

  std::vector<std::string> queue_;
  std::size_t next_ = 0;

 protected:
  // Last, so that it ends first.
  ScriptedServer server{answering([this](const SeenRequest& request) { return answer(request); })};
};

}  // namespace seawall::test
