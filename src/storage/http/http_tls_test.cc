#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "support/http_checks.hh"
#include "support/scripted_server.hh"
#include "support/temp_dir.hh"

namespace seawall::storage::http {
namespace {

using test::answering;
using test::http_answer;
using test::ScriptedServer;
using test::SeenRequest;
using test::ServerConnection;

std::string write_file(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path) << content;
  return path.string();
}

class HttpTls : public testing::Test {
 protected:
  test::TempDir directory_;
  test::Identity identity_ = test::make_identity();
  std::string ca_file_ = write_file(directory_ / "ca.pem", identity_.certificate);
};

TEST_F(HttpTls, BodiesGoBothWays) {
  const std::string body = numbered_bytes((std::size_t{2} << 20) + 5);
  ScriptedServer server(answering([](const SeenRequest& request) { return http_answer("200 OK", request.body); }),
                        identity_);
  Client client({.ca_file = ca_file_});
  const Request request{.method = "PUT", .url = server.url("/"), .body = bytes_of(body)};
  EXPECT_TRUE(client.perform(request, {}).body == body);
  std::string back(body.size() + 1, '\0');
  back.resize(read_full(*client.open(request, {}), std::as_writable_bytes(std::span(back))));
  EXPECT_TRUE(back == body);
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpTls, SessionsAreResumedByNewConnections) {
  std::atomic<int> resumed = 0;
  ScriptedServer server(
      [&](ServerConnection& connection) {
        resumed += connection.resumed_tls() ? 1 : 0;
        connection.read_head();
        connection.write(http_answer("200 OK", "", "Connection: close\r\n"));
      },
      identity_);
  Client client({.ca_file = ca_file_});
  for (int turn = 0; turn < 3; ++turn) EXPECT_EQ(client.perform(get(server.url("/")), {}).status, 200);
  EXPECT_EQ(server.connections(), 3);
  EXPECT_EQ(resumed, 2);
}

TEST_F(HttpTls, ThreadsShareSessions) {
  std::atomic<int> resumed = 0;
  ScriptedServer server(
      [&](ServerConnection& connection) {
        resumed += connection.resumed_tls() ? 1 : 0;
        connection.read_head();
        connection.write(http_answer("200 OK", "", "Connection: close\r\n"));
      },
      identity_);
  Client client({.ca_file = ca_file_});
  std::atomic<int> answers = 0;
  std::vector<std::jthread> workers;
  for (int worker = 0; worker < 4; ++worker) {
    workers.emplace_back([&] {
      for (int turn = 0; turn < 10; ++turn) answers += client.perform(get(server.url("/")), {}).status == 200 ? 1 : 0;
    });
  }
  workers.clear();
  EXPECT_EQ(answers, 40);
  EXPECT_GE(resumed, 1);
}

TEST_F(HttpTls, AnEarlyAnswerEndsAPut) {
  ScriptedServer waits(refusing_bodies(Refusal::waits), identity_);
  ScriptedServer resets(refusing_bodies(Refusal::resets_after_all), identity_);
  ScriptedServer races(refusing_bodies(Refusal::closes_at_once), identity_);
  Client client({.ca_file = ca_file_});
  EXPECT_EQ(early_answers(client, waits.url("/"), big_body), 10);
  EXPECT_EQ(early_answers(client, resets.url("/"), small_body), 10);
  early_answers(client, races.url("/"), big_body);
}

TEST_F(HttpTls, AuthoritiesThatDoNotKnowTheServerRefuseIt) {
  ScriptedServer server(answering([](const SeenRequest&) { return http_answer("200 OK", ""); }), identity_);
  const std::string other = write_file(directory_ / "other.pem", test::make_identity().certificate);
  for (const std::string& authorities : {std::string(), other}) {
    Client client({.ca_file = authorities});
    const Error error = error_of([&] { client.perform(get(server.url("/")), {}); });
    EXPECT_EQ(error.code(), Errc::config);
    EXPECT_NE(std::string(error.what()).find("not trusted"), std::string::npos) << error.what();
  }
}

TEST_F(HttpTls, ACertificateOfAnotherNameIsRefused) {
  ScriptedServer server(answering([](const SeenRequest&) { return http_answer("200 OK", ""); }), identity_);
  const std::string address = "127.0.0.1:" + std::to_string(server.port());
  Client client({.ca_file = ca_file_});
  EXPECT_EQ(client.perform({.url = "https://localhost/", .connect_to = address}, {}).status, 200);
  const Error error = error_of([&] { client.perform({.url = "https://store.invalid/", .connect_to = address}, {}); });
  EXPECT_EQ(error.code(), Errc::config);
  EXPECT_NE(std::string(error.what()).find("store.invalid"), std::string::npos) << error.what();
}

TEST_F(HttpTls, FilesOfAuthoritiesThatCannotBeUsedAreNamed) {
  const std::string missing = (directory_ / "missing.pem").string();
  for (const std::string& path : {missing, directory_.path().string()}) {
    const Error error = error_of([&] { Client client({.ca_file = path}); });
    EXPECT_EQ(error.code(), Errc::config);
    EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
  }
  ScriptedServer server(answering([](const SeenRequest&) { return http_answer("200 OK", ""); }), identity_);
  const std::string text_file = write_file(directory_ / "text.pem", "no certificate\n");
  Client client({.ca_file = text_file});
  const Error error = error_of([&] { client.perform(get(server.url("/")), {}); });
  EXPECT_EQ(error.code(), Errc::config);
  EXPECT_NE(std::string(error.what()).find(text_file), std::string::npos) << error.what();
}

TEST_F(HttpTls, AServerWithoutTlsIsToldFromOneThatCannotBeTrusted) {
  ScriptedServer server([](ServerConnection& connection) {
    connection.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    connection.await_close();
  });
  Client client({.ca_file = ca_file_});
  const std::string url = "https://127.0.0.1:" + std::to_string(server.port()) + "/";
  const Error error = error_of([&] { client.perform(get(url), {}); });
  EXPECT_EQ(error.code(), Errc::network);
  EXPECT_NE(std::string(error.what()).find("http or https"), std::string::npos) << error.what();
}

TEST_F(HttpTls, ABodyCutOffIsAnError) {
  ScriptedServer server(
      [](ServerConnection& connection) {
        connection.read_head();
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcd");
        connection.give_up();  // without TLS's good-bye
        throw ServerConnection::ClientGone{};
      },
      identity_);
  Client client({.ca_file = ca_file_});
  const Errc code = error_of([&] { client.perform(get(server.url("/")), {}); }).code();
  EXPECT_TRUE(code == Errc::network || code == Errc::corrupt);
}

}  // namespace
}  // namespace seawall::storage::http
