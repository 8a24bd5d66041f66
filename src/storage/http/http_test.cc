#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "base/clock.hh"
#include "storage/http/body.hh"
#include "storage/http/lane_pool.hh"
#include "support/http_checks.hh"
#include "support/scripted_server.hh"

namespace seawall::storage::http {
namespace {

using test::answering;
using test::http_answer;
using test::ScriptedServer;
using test::SeenRequest;
using test::ServerConnection;

std::string read_all(Download& download, const std::vector<std::size_t>& sizes) {
  std::string all;
  std::vector<std::byte> buffer(*std::max_element(sizes.begin(), sizes.end()));
  for (std::size_t turn = 0;; ++turn) {
    const MutableBytes into = MutableBytes(buffer).first(sizes[turn % sizes.size()]);
    const std::size_t got = download.read(into);
    if (got == 0) return all;
    all += text_of(into.first(got));
  }
}

TEST(Http, GetSendsTheUrlAsItIsAndGivesTheWholeAnswer) {
  SeenRequest seen;
  ScriptedServer server(answering([&](const SeenRequest& request) {
    seen = request;
    return http_answer("200 OK", "the body", "ETag:  \"abc\" \r\nX-Empty:\r\n");
  }));
  Client client({});
  const Answer answer = client.perform(
      {.url = server.url("/a%2Fb/../c%20d?x=1&uploads"), .headers = {{"X-Given", "one two"}, {"X-Void", ""}}}, {});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "the body");
  EXPECT_EQ(answer.header("etag"), "\"abc\"");
  EXPECT_EQ(answer.header("content-length"), "8");
  EXPECT_EQ(answer.header("x-empty"), "");
  EXPECT_EQ(answer.header("x-absent"), "");
  EXPECT_TRUE(seen.head.starts_with("GET /a%2Fb/../c%20d?x=1&uploads HTTP/1.1\r\n")) << seen.head;
  EXPECT_TRUE(seen.has("\r\nHost: 127.0.0.1:" + std::to_string(server.port()) + "\r\n")) << seen.head;
  EXPECT_TRUE(seen.has("\r\nX-Given: one two\r\n")) << seen.head;
  EXPECT_TRUE(seen.has("\r\nX-Void:\r\n")) << seen.head;
  EXPECT_TRUE(seen.has("\r\nUser-Agent: seawall\r\n")) << seen.head;
  EXPECT_FALSE(seen.has("Accept-Encoding")) << seen.head;
  EXPECT_FALSE(seen.has("Content-Length")) << seen.head;
}

TEST(Http, EveryStatusIsAnAnswerAndRedirectsAreNotFollowed) {
  ScriptedServer server(answering([&](const SeenRequest& request) {
    if (request.has("/moved"))
      return http_answer("307 Temporary Redirect", "elsewhere", "Location: http://x.invalid/\r\n");
    return http_answer("503 Slow Down", "later", "Retry-After: 3\r\n");
  }));
  Client client({});
  const Answer moved = client.perform(get(server.url("/moved")), {});
  EXPECT_EQ(moved.status, 307);
  EXPECT_EQ(moved.body, "elsewhere");
  EXPECT_EQ(moved.header("location"), "http://x.invalid/");
  const Answer slow = client.perform(get(server.url("/slow")), {});
  EXPECT_EQ(slow.status, 503);
  EXPECT_EQ(slow.header("retry-after"), "3");
}

TEST(Http, HeadHasHeadersOnlyAndDeleteHasNoBody) {
  std::vector<std::string> heads;
  ScriptedServer server(answering([&](const SeenRequest& request) -> std::string {
    heads.push_back(request.head);
    if (request.has("HEAD ")) return "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n";
    return "HTTP/1.1 204 No Content\r\n\r\n";
  }));
  Client client({});
  const Answer head = client.perform({.method = "HEAD", .url = server.url("/k")}, {});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), "12345");
  EXPECT_EQ(head.body, "");
  const Answer gone = client.perform({.method = "DELETE", .url = server.url("/k")}, {});
  EXPECT_EQ(gone.status, 204);
  EXPECT_EQ(client.perform({.method = "HEAD", .url = server.url("/k")}, {}).status, 200);
  ASSERT_EQ(heads.size(), 3U);
  EXPECT_TRUE(heads[1].starts_with("DELETE /k HTTP/1.1\r\n")) << heads[1];
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http, PutAndPostSendTheBodyWithItsLength) {
  SeenRequest seen;
  ScriptedServer server(answering([&](const SeenRequest& request) {
    seen = request;
    return http_answer("200 OK", "");
  }));
  Client client({});
  const std::string body = numbered_bytes((std::size_t{5} << 20) + 77);
  client.perform({.method = "PUT", .url = server.url("/k"), .body = bytes_of(body)}, {});
  EXPECT_TRUE(seen.head.starts_with("PUT /k HTTP/1.1\r\n")) << seen.head;
  EXPECT_TRUE(seen.has("Content-Length: " + std::to_string(body.size()) + "\r\n")) << seen.head;
  EXPECT_FALSE(seen.has("Expect")) << seen.head;
  EXPECT_TRUE(seen.body == body);

  client.perform({.method = "POST", .url = server.url("/k?uploads"), .body = bytes_of("<xml/>")}, {});
  EXPECT_TRUE(seen.head.starts_with("POST /k?uploads HTTP/1.1\r\n")) << seen.head;
  EXPECT_FALSE(seen.has("Content-Type")) << seen.head;
  EXPECT_EQ(seen.body, "<xml/>");

  for (const std::string method : {"PUT", "POST"}) {
    client.perform({.method = method, .url = server.url("/empty")}, {});
    EXPECT_TRUE(seen.head.starts_with(method + " /empty")) << seen.head;
    EXPECT_TRUE(seen.has("Content-Length: 0\r\n")) << seen.head;
    EXPECT_FALSE(seen.has("Transfer-Encoding")) << seen.head;
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http, AwaitContinueSendsTheBodyWhenTheServerAgrees) {
  SeenRequest seen;
  ScriptedServer server(answering([&](const SeenRequest& request) {
    seen = request;
    return http_answer("200 OK", "stored");
  }));
  Client client({});
  const std::string body = numbered_bytes(100000);
  const Answer answer =
      client.perform({.method = "PUT", .url = server.url("/k"), .body = bytes_of(body), .await_continue = true}, {});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "stored");
  EXPECT_TRUE(seen.has("Expect: 100-continue\r\n")) << seen.head;
  EXPECT_TRUE(seen.body == body);
}

TEST(Http, AwaitContinueSendsNothingToAServerThatRefuses) {
  std::atomic<bool> got_body = false;
  ScriptedServer server([&](ServerConnection& connection) {
    connection.read_head();
    connection.write(http_answer("307 Temporary Redirect", "not here", "Connection: close\r\n"));
    connection.read(1);
    got_body = true;
  });
  Client client({});
  const std::string body = numbered_bytes(100000);
  const Answer answer =
      client.perform({.method = "PUT", .url = server.url("/k"), .body = bytes_of(body), .await_continue = true}, {});
  EXPECT_EQ(answer.status, 307);
  EXPECT_EQ(answer.body, "not here");
  EXPECT_FALSE(got_body);
}

TEST(Http, AwaitContinueGivesUpAskingAServerThatDoesNotKnowIt) {
  std::string received;
  ScriptedServer server([&](ServerConnection& connection) {
    received = connection.read(test::content_length(connection.read_head()));
    connection.write(http_answer("200 OK", ""));
  });
  Client client({});
  const std::string body = numbered_bytes(1000);
  client.perform({.method = "PUT", .url = server.url("/k"), .body = bytes_of(body), .await_continue = true}, {});
  EXPECT_EQ(received, body);
}

TEST(Http, ChunkedBodiesAndTheirTrailers) {
  ScriptedServer server(answering([](const SeenRequest&) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\nX-Sum: "
           "1\r\n\r\n";
  }));
  Client client({});
  for (int turn = 0; turn < 3; ++turn) {
    const Answer answer = client.perform(get(server.url("/")), {});
    EXPECT_EQ(answer.body, "hello, world");
    EXPECT_EQ(answer.header("x-sum"), "");
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http, WithoutLengthOrChunksTheBodyEndsWithTheConnection) {
  const std::string body = numbered_bytes(300000);
  ScriptedServer server([&](ServerConnection& connection) {
    connection.read_head();
    connection.write("HTTP/1.0 200 OK\r\n\r\n" + body);
  });
  Client client({});
  EXPECT_TRUE(client.perform(get(server.url("/")), {}).body == body);
  EXPECT_TRUE(read_all(*client.open(get(server.url("/")), {}), {1000}) == body);
}

TEST(Http, DownloadsAreWholeWhateverTheSizesOfReads) {
  const std::string body = numbered_bytes((std::size_t{3} << 20) + 1);
  ScriptedServer server(
      answering([&](const SeenRequest&) { return http_answer("206 Partial Content", body, "X-A: b\r\n"); }));
  Client client({});
  const std::vector<std::vector<std::size_t>> size_lists = {
      {1U << 20}, {256U << 10}, {65536}, {4097}, {1, 300001, 7, 16384, 100}, {body.size() + 1}};
  for (const auto& sizes : size_lists) {
    const auto download = client.open(get(server.url("/k")), {});
    EXPECT_EQ(download->answer().status, 206);
    EXPECT_EQ(download->answer().header("x-a"), "b");
    EXPECT_TRUE(read_all(*download, sizes) == body) << sizes.front();
    std::byte more{};
    EXPECT_EQ(download->read({&more, 1}), 0U);
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http, OpenGivesTheHeadersBeforeTheBodyCame) {
  std::atomic<bool> opened = false;
  ScriptedServer server([&](ServerConnection& connection) {
    connection.read_head();
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    opened.wait(false);
    connection.write("body");
    connection.await_close();
  });
  Client client({});
  const auto download = client.open(get(server.url("/")), {});
  EXPECT_EQ(download->answer().header("content-length"), "4");
  opened = true;
  opened.notify_one();
  EXPECT_EQ(read_all(*download, {3}), "body");
}

TEST(Http, ADownloadGivenUpClosesItsConnectionAndOneReadToItsEndDoesNot) {
  const std::string body = numbered_bytes(std::size_t{8} << 20);
  ScriptedServer server(answering([&](const SeenRequest& request) {
    return request.has("/long") ? http_answer("200 OK", body) : http_answer("200 OK", "short");
  }));
  Client client({});
  std::array<std::byte, 5> five{};
  {
    const auto download = client.open(get(server.url("/short")), {});
    EXPECT_EQ(read_full(*download, five), 5U);  // not asked for the end
  }
  EXPECT_EQ(client.perform(get(server.url("/short")), {}).body, "short");
  EXPECT_EQ(server.connections(), 1);
  { EXPECT_EQ(read_full(*client.open(get(server.url("/long")), {}), five), 5U); }
  EXPECT_EQ(client.perform(get(server.url("/short")), {}).body, "short");
  EXPECT_EQ(server.connections(), 2);
}

TEST(Http, AReaderThatTakesItsTimeIsNoStall) {
  const std::string body = numbered_bytes(std::size_t{8} << 20);
  ScriptedServer server(answering([&](const SeenRequest&) { return http_answer("200 OK", body); }));
  ManualClock clock(Time{});
  LanePool pool({.stall_timeout = std::chrono::minutes(1)}, clock);
  StreamedDownload download(pool, get(server.url("/")), {});
  std::string text(body.size(), '\0');
  const MutableBytes into = std::as_writable_bytes(std::span(text));
  constexpr std::size_t piece = 100000;
  for (std::size_t at = 0; at < into.size(); at += piece) {
    const MutableBytes part = into.subspan(at, std::min(piece, into.size() - at));
    ASSERT_EQ(read_full(download, part), part.size());
    clock.advance(std::chrono::hours(1));
  }
  EXPECT_TRUE(text == body);
}

TEST(Http, ThreadsShareAClientAndHaveAConnectionEach) {
  ScriptedServer server(answering([](const SeenRequest& request) { return http_answer("200 OK", request.body); }));
  constexpr int threads = 8;
  Client client({});
  std::atomic<int> right = 0;
  std::vector<std::jthread> workers;
  for (int worker = 0; worker < threads; ++worker) {
    workers.emplace_back([&, worker] {
      for (int turn = 0; turn < 25; ++turn) {
        const std::string body = std::to_string(worker * 1000 + turn) + numbered_bytes(20000);
        const Request request{.method = "PUT", .url = server.url("/"), .body = bytes_of(body)};
        const bool whole = turn % 2 == 0;
        const std::string back = whole ? client.perform(request, {}).body : read_all(*client.open(request, {}), {7000});
        if (back == body) ++right;
      }
    });
  }
  workers.clear();
  EXPECT_EQ(right, threads * 25);
  EXPECT_LE(server.connections(), threads);
}

TEST(Http, ConnectToLeadsElsewhereUnderTheSameName) {
  std::string head;
  ScriptedServer server(answering([&](const SeenRequest& request) {
    head = request.head;
    return http_answer("200 OK", "");
  }));
  Client client({});
  const std::string address = "127.0.0.1:" + std::to_string(server.port());
  EXPECT_EQ(client.perform({.url = "http://bucket.s3.invalid/k", .connect_to = address}, {}).status, 200);
  EXPECT_NE(head.find("Host: bucket.s3.invalid\r\n"), std::string::npos) << head;
}

TEST(Http, PercentEncodeFollowsRfc3986) {
  EXPECT_EQ(percent_encode("AZaz09-._~", false), "AZaz09-._~");
  EXPECT_EQ(percent_encode("a/b", false), "a%2Fb");
  EXPECT_EQ(percent_encode("a/b", true), "a/b");
  EXPECT_EQ(percent_encode(" +%&=?#:@!$'()*,;[]\"<>\\^`{|}", false),
            "%20%2B%25%26%3D%3F%23%3A%40%21%24%27%28%29%2A%2C%3B%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D");
  EXPECT_EQ(percent_encode("\xc3\xa4\xff\n", true), "%C3%A4%FF%0A");
  EXPECT_EQ(percent_encode(std::string_view("\0", 1), true), "%00");
  EXPECT_EQ(percent_encode("", true), "");
}

}  // namespace
}  // namespace seawall::storage::http
