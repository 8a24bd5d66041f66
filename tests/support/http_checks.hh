#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

#include "base/error.hh"
#include "storage/http/http.hh"
#include "support/scripted_server.hh"

namespace seawall::storage::http {

/// The Error that `action` throws; the test fails if there is none.
inline Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return {Errc::bug, "no Error was thrown"};
}

/// Content in which a piece that is missing, doubled or misplaced shows.
inline std::string numbered_bytes(std::size_t bytes) {
  std::string text;
  text.reserve(bytes + 16);
  for (std::size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
  text.resize(bytes);
  return text;
}

enum class Refusal { waits, resets_after_all, closes_at_once };

/// Answers 503 to a body that it does not ask for. Then it waits for the client to close; or it resets the connection
/// when all of the body has arrived; or it closes while the body is being sent, which makes the system send a reset.
inline test::ScriptedServer::Script refusing_bodies(Refusal refusal) {
  return [refusal](test::ServerConnection& connection) {
    const std::string head = connection.read_head();
    if (refusal == Refusal::resets_after_all) connection.await_arrival(test::content_length(head));
    connection.write(test::http_answer("503 Slow Down", "later", "Connection: close\r\n"));
    if (refusal == Refusal::waits) connection.hold();
    if (refusal == Refusal::resets_after_all) connection.reset();
  };
}

/// How many of ten PUTs get the 503 of refusing_bodies(); the others must fail as the network does.
inline int early_answers(Client& client, const std::string& url, std::size_t bytes) {
  const std::string body(bytes, 'x');
  int answers = 0;
  for (int turn = 0; turn < 10; ++turn) {
    try {
      const Answer answer = client.perform({.method = "PUT", .url = url, .body = bytes_of(body)}, {});
      EXPECT_EQ(answer.status, 503);
      EXPECT_EQ(answer.body, "later");
      ++answers;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::network) << error.what();
    }
  }
  return answers;
}

/// More than all the system's buffers hold, and less than one of them.
constexpr std::size_t big_body = std::size_t{32} << 20;
constexpr std::size_t small_body = std::size_t{30} << 10;

inline Request get(std::string url) { return {.url = std::move(url)}; }

}  // namespace seawall::storage::http
