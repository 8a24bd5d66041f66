#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <thread>

#include "support/http_checks.hh"
#include "support/scripted_server.hh"

namespace seawall::storage::http {
namespace {

using test::answering;
using test::http_answer;
using test::ScriptedServer;
using test::SeenRequest;
using test::ServerConnection;

/// A stall long enough that a test which waits for it is seen to hang.
constexpr std::chrono::minutes patient{10};

/// Reads one request, writes `answer`, closes.
ScriptedServer::Script writing(std::string answer) {
  return [answer = std::move(answer)](ServerConnection& connection) {
    connection.read_head();
    connection.write(answer);
  };
}

std::string text(const Error& error) { return error.what(); }

void drain(Download& download) {
  std::array<std::byte, 1000> buffer{};
  while (download.read(buffer) > 0) {
  }
}

TEST(HttpFault, FewerBytesThanAnnouncedAreCorruptAndCounted) {
  ScriptedServer server(writing("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcd"));
  Client client({});
  const Error whole = error_of([&] { client.perform(get(server.url("/")), {}); });
  EXPECT_EQ(whole.code(), Errc::corrupt);
  EXPECT_NE(text(whole).find("4 of 10"), std::string::npos) << whole.what();
  const Error streamed = error_of([&] { drain(*client.open(get(server.url("/")), {})); });
  EXPECT_EQ(streamed.code(), Errc::corrupt);
  EXPECT_NE(text(streamed).find("4 of 10"), std::string::npos) << streamed.what();
}

TEST(HttpFault, ChunksWithoutTheLastOneAreCorrupt) {
  ScriptedServer server(writing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
  Client client({});
  const Error error = error_of([&] { client.perform(get(server.url("/")), {}); });
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_NE(text(error).find("5 bytes"), std::string::npos) << error.what();
}

TEST(HttpFault, AResetIsANetworkFault) {
  std::atomic<bool> reached = false;
  ScriptedServer server([&](ServerConnection& connection) {
    connection.read_head();
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcd");
    reached.wait(false);
    connection.reset();
  });
  Client client({});
  const auto download = client.open(get(server.url("/")), {});
  std::array<std::byte, 4> four{};
  EXPECT_EQ(read_full(*download, four), 4U);
  reached = true;
  reached.notify_one();
  const Error error = error_of([&] { drain(*download); });
  EXPECT_EQ(error.code(), Errc::network);
  EXPECT_NE(text(error).find(fmt::format("127.0.0.1:{}", server.port())), std::string::npos) << error.what();
}

TEST(HttpFault, AStallIsATimeout) {
  ScriptedServer server([](ServerConnection& connection) {
    const std::string head = connection.read_head();
    if (head.find("/head") == std::string::npos) connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcd");
    connection.await_close();
  });
  Client client({.stall_timeout = std::chrono::milliseconds(50)});
  for (const auto* path : {"/head", "/body"}) {
    const Error error = error_of([&] { client.perform(get(server.url(path)), {}); });
    EXPECT_EQ(error.code(), Errc::timeout) << path;
    EXPECT_NE(text(error).find("stalled"), std::string::npos) << error.what();
  }
}

TEST(HttpFault, APatientRequestOutlastsTheStallTimeout) {
  const ScriptedServer server([](ServerConnection& connection) {
    connection.read_head();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    connection.write(http_answer("200 OK", "late"));
  });
  Client client({.stall_timeout = std::chrono::milliseconds(50)});
  EXPECT_EQ(client.perform({.url = server.url("/"), .patience = patient}, {}).body, "late");
}

TEST(HttpFault, AnUploadThatNobodyTakesIsATimeout) {
  ScriptedServer server([](ServerConnection& connection) {
    connection.read_head();
    static_cast<void>(connection.read(1));
    connection.hold();
  });
  Client client({.stall_timeout = std::chrono::milliseconds(50)});
  const std::string body(std::size_t{32} << 20, 'x');
  const Error error =
      error_of([&] { client.perform({.method = "PUT", .url = server.url("/"), .body = bytes_of(body)}, {}); });
  EXPECT_EQ(error.code(), Errc::timeout);
}

TEST(HttpFault, StopEndsARequestThatWaits) {
  std::stop_source stop;
  ScriptedServer server([&](ServerConnection& connection) {
    const std::string head = connection.read_head();
    if (head.find("/body") != std::string::npos) connection.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    stop.request_stop();
    connection.await_close();
  });
  Client client({.stall_timeout = patient});
  for (const auto* path : {"/head", "/body"}) {
    stop = {};
    EXPECT_EQ(error_of([&] { client.perform(get(server.url(path)), stop.get_token()); }).code(), Errc::cancelled);
  }
  stop = {};
  EXPECT_EQ(error_of([&] { drain(*client.open(get(server.url("/body")), stop.get_token())); }).code(), Errc::cancelled);
}

TEST(HttpFault, StopEndsAnUpload) {
  std::stop_source stop;
  ScriptedServer server([&](ServerConnection& connection) {
    connection.read_head();
    stop.request_stop();
    connection.hold();
  });
  Client client({.stall_timeout = patient});
  const std::string body(std::size_t{32} << 20, 'x');
  const Request request{.method = "PUT", .url = server.url("/"), .body = bytes_of(body)};
  EXPECT_EQ(error_of([&] { client.perform(request, stop.get_token()); }).code(), Errc::cancelled);
}

TEST(HttpFault, NothingIsSentOnceStopWasRequested) {
  ScriptedServer server(writing(http_answer("200 OK", "")));
  Client client({});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(error_of([&] { client.perform(get(server.url("/")), stop.get_token()); }).code(), Errc::cancelled);
  EXPECT_EQ(server.connections(), 0);
}

TEST(HttpFault, WhatIsNoHttpIsSaidToBeNone) {
  ScriptedServer server([](ServerConnection& connection) {
    if (connection.read_head().find("/silent") == std::string::npos) connection.write("SSH-2.0-OpenSSH_9.2\r\n");
  });
  Client client({});
  const Error ssh = error_of([&] { client.perform(get(server.url("/")), {}); });
  EXPECT_EQ(ssh.code(), Errc::network);
  EXPECT_NE(text(ssh).find("not HTTP"), std::string::npos) << ssh.what();
  const Error silent = error_of([&] { client.perform(get(server.url("/silent")), {}); });
  EXPECT_EQ(silent.code(), Errc::network);
  EXPECT_NE(text(silent).find("without an answer"), std::string::npos) << silent.what();
}

TEST(HttpFault, WhoCannotBeReachedIsNamed) {
  Client client({});
  const int port = test::closed_port();
  const Error refused = error_of([&] { client.perform(get(fmt::format("http://127.0.0.1:{}/", port)), {}); });
  EXPECT_EQ(refused.code(), Errc::network);
  EXPECT_NE(text(refused).find(fmt::format("127.0.0.1:{}", port)), std::string::npos) << refused.what();
  EXPECT_NE(text(refused).find("Connection refused"), std::string::npos) << refused.what();
  const Error unknown = error_of([&] { client.perform(get("https://no-such-host.invalid/"), {}); });
  EXPECT_EQ(unknown.code(), Errc::network);
  EXPECT_NE(text(unknown).find("no-such-host.invalid:443"), std::string::npos) << unknown.what();
}

TEST(HttpFault, MessagesHoldNoQueryHeaderOrUser) {
  Client client({});
  const std::string address = fmt::format("127.0.0.1:{}", test::closed_port());
  for (const std::string& url :
       {fmt::format("http://{}/k?X-Amz-Signature=s3cret", address), fmt::format("http://s3cret:s3cret@{}/k", address),
        fmt::format("ftp://s3cret@{}/k", address), std::string("http://?s3cret"),
        fmt::format("http://{}x/s3cret", address)}) {
    const Error error = error_of([&] { client.perform({.url = url, .headers = {{"Authorization", "s3cret"}}}, {}); });
    EXPECT_EQ(text(error).find("s3cret"), std::string::npos) << error.what();
    EXPECT_NE(error.code(), Errc::bug) << error.what();
  }
  const Error injected = error_of([&] {
    client.perform({.url = fmt::format("http://{}/", address), .headers = {{"A", "s3cret\r\nB: c"}}}, {});
  });
  EXPECT_EQ(injected.code(), Errc::config);
  EXPECT_EQ(text(injected).find("s3cret"), std::string::npos) << injected.what();
}

TEST(HttpFault, AnEarlyAnswerEndsAPut) {
  ScriptedServer waits(refusing_bodies(Refusal::waits));
  ScriptedServer resets(refusing_bodies(Refusal::resets_after_all));
  ScriptedServer races(refusing_bodies(Refusal::closes_at_once));
  Client client({.stall_timeout = patient});
  EXPECT_EQ(early_answers(client, waits.url("/"), big_body), 10);
  EXPECT_EQ(early_answers(client, resets.url("/"), small_body), 10);
  early_answers(client, races.url("/"), big_body);
}

TEST(HttpFault, AnAnswerBeyondItsLimitIsCorrupt) {
  ScriptedServer server(answering([](const SeenRequest& request) -> std::string {
    if (request.has("/chunked")) return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n0\r\n\r\n";
    return http_answer("200 OK", "123456");
  }));
  Client client({});
  for (const auto* path : {"/chunked", "/announced"}) {
    EXPECT_EQ(error_of([&] { client.perform(get(server.url(path)), {}, 5); }).code(), Errc::corrupt) << path;
    EXPECT_EQ(client.perform(get(server.url(path)), {}, 6).body, "123456") << path;
  }
}

TEST(HttpFault, AConnectionClosedWhileIdleIsReplaced) {
  ScriptedServer server(writing(http_answer("200 OK", "once")));  // and closes without having said so
  Client client({});
  const std::string body = numbered_bytes(100000);
  for (int turn = 1; turn <= 5; ++turn) {
    EXPECT_EQ(client.perform(get(server.url("/")), {}).body, "once");
    EXPECT_EQ(server.connections(), turn);
  }
}

TEST(HttpFault, JunkBehindAnAnswerWithoutBodyDoesNoHarm) {
  ScriptedServer server(answering([](const SeenRequest& request) -> std::string {
    if (request.has("HEAD ")) return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    if (request.has("DELETE ")) return "HTTP/1.1 204 No Content\r\n\r\n0\r\n\r\n";
    return http_answer("200 OK", "clean");
  }));
  Client client({});
  for (int turn = 0; turn < 20; ++turn) {
    EXPECT_EQ(client.perform({.method = "HEAD", .url = server.url("/")}, {}).status, 200);
    EXPECT_EQ(client.perform(get(server.url("/")), {}).body, "clean");
    EXPECT_EQ(client.perform({.method = "DELETE", .url = server.url("/")}, {}).status, 204);
    EXPECT_EQ(client.perform(get(server.url("/")), {}).body, "clean");
  }
}

TEST(HttpFault, JunkThatComesLateMakesTheRequestAgainUnlessItIsAPost) {
  ScriptedServer server([](ServerConnection& connection) {
    connection.read_head();
    connection.write(http_answer("200 OK", ""));
    connection.read_head();
    connection.write("0\r\n\r\n");
    connection.await_close();
  });
  Client client({});
  EXPECT_EQ(client.perform(get(server.url("/")), {}).status, 200);
  EXPECT_EQ(client.perform(get(server.url("/")), {}).status, 200);
  EXPECT_EQ(server.connections(), 2);
  const Error error = error_of([&] { client.perform({.method = "POST", .url = server.url("/")}, {}); });
  EXPECT_EQ(error.code(), Errc::network);
  EXPECT_EQ(server.connections(), 2);
}

/// Sets an environment variable while it lives. No other thread may run.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST(HttpFault, ProxiesAreUsedAndTheirRefusalsAreConfiguration) {
  std::atomic<int> status = 200;
  ScriptedServer proxy(answering([&](const SeenRequest& request) {
    if (status == 200) return http_answer("200 OK", request.head.substr(0, request.head.find('\r')));
    return http_answer(fmt::format("{} No", status.load()), "");
  }));
  ScriptedServer direct(answering([&](const SeenRequest&) { return http_answer("200 OK", "direct"); }));
  const Variable http("http_proxy", fmt::format("http://user:s3cret@127.0.0.1:{}", proxy.port()));
  const Variable https("https_proxy", fmt::format("http://user:s3cret@127.0.0.1:{}", proxy.port()));
  Client client({});
  EXPECT_EQ(client.perform(get("http://store.invalid/k"), {}).body, "GET http://store.invalid/k HTTP/1.1");
  EXPECT_EQ(client.perform(get(direct.url("/k")), {}).body, "direct");
  for (const auto& [refusal, code] : {std::pair{407, Errc::config}, {403, Errc::config}, {502, Errc::network}}) {
    status = refusal;
    const Error error = error_of([&] { client.perform(get("https://store.invalid/k"), {}); });
    EXPECT_EQ(error.code(), code) << refusal << error.what();
    EXPECT_NE(text(error).find(std::to_string(refusal)), std::string::npos) << error.what();
    EXPECT_EQ(text(error).find("s3cret"), std::string::npos) << error.what();
  }
  status = 407;
  EXPECT_EQ(error_of([&] { client.perform(get("http://store.invalid/k"), {}); }).code(), Errc::config);
  status = 403;
  EXPECT_EQ(client.perform(get("http://store.invalid/k"), {}).status, 403);
  const Variable exception("no_proxy", ".invalid");
  EXPECT_EQ(error_of([&] { client.perform(get("http://store.invalid/k"), {}); }).code(), Errc::network);
}

}  // namespace
}  // namespace seawall::storage::http
