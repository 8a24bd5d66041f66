#include "storage/s3/credentials.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "storage/http/http.hh"
#include "support/scripted_server.hh"
#include "support/token_doubles.hh"

namespace seawall::storage::s3 {
namespace {

using test::json_answer;
using test::Seen;
using testing::HasSubstr;
using testing::Not;

using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

/// A container endpoint that numbers the credentials it gives: "c1", "c2", …
class Renewal : public test::Services {
 protected:
  Renewal() {
    settings_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://localhost/";
    answer_ = [this](const Seen&, std::stop_token) {
      ++asked_;
      if (broken_) throw Error(Errc::network, "connection refused");
      return json_answer("c" + std::to_string(++given_), rfc3339(clock_.wall() + life_));
    };
  }
  std::unique_ptr<CredentialProvider> provider() { return make_credentials(chain(), clock_, log_); }
  static std::string key(CredentialProvider& provider) { return provider.get({}).access_key; }
  static std::pair<Errc, std::string> failure(CredentialProvider& provider, std::stop_token stop = {}) {
    try {
      return {Errc::bug, "no failure, but " + provider.get(stop).access_key};
    } catch (const Error& error) {
      return {error.code(), error.what()};
    }
  }

  nanoseconds life_ = std::chrono::hours(1);
  std::atomic<int> asked_ = 0;
  std::atomic<int> given_ = 0;
  std::atomic<bool> broken_ = false;
};

TEST_F(Renewal, ReadsNothingBeforeTheFirstGet) {
  const auto provider = this->provider();
  EXPECT_EQ(asked_, 0);
  EXPECT_THAT(provider->description(), HasSubstr("not asked for yet"));
  EXPECT_EQ(key(*provider), "c1");
  EXPECT_EQ(provider->description(), "the container's credential endpoint");
  EXPECT_EQ(provider->get({}).secret_key, "c1-secret");
  EXPECT_EQ(provider->get({}).session_token, "c1-token");
  EXPECT_EQ(asked_, 1);
}

TEST_F(Renewal, ComesFiveMinutesBeforeTheEnd) {
  const auto provider = this->provider();
  EXPECT_EQ(key(*provider), "c1");
  clock_.advance(minutes(55));
  EXPECT_EQ(key(*provider), "c1");
  clock_.advance(seconds(1));
  EXPECT_EQ(key(*provider), "c2");
  EXPECT_EQ(asked_, 2);
}

TEST_F(Renewal, ComesInTheLastQuarterOfAShortLife) {
  life_ = seconds(4);
  const auto provider = this->provider();
  EXPECT_EQ(key(*provider), "c1");
  clock_.advance(seconds(3));
  EXPECT_EQ(key(*provider), "c1");
  clock_.advance(nanoseconds(1));
  EXPECT_EQ(key(*provider), "c2");
}

TEST_F(Renewal, IsNotNeededWithoutAnEnd) {
  answer_ = [this](const Seen&, std::stop_token) {
    ++asked_;
    return http::Answer{.status = 200, .body = R"({"AccessKeyId":"ever","SecretAccessKey":"s"})"};
  };
  const auto provider = this->provider();
  EXPECT_EQ(key(*provider), "ever");
  clock_.advance(std::chrono::hours(10000));
  EXPECT_EQ(key(*provider), "ever");
  EXPECT_EQ(asked_, 1);
}

TEST_F(Renewal, MayFailAsLongAsTheOldOnesLive) {
  const auto provider = this->provider();
  EXPECT_EQ(key(*provider), "c1");
  broken_ = true;
  clock_.advance(minutes(56));
  EXPECT_EQ(key(*provider), "c1");
  EXPECT_EQ(key(*provider), "c1");
  EXPECT_EQ(asked_, 2) << "the source is not asked again at once";
  EXPECT_THAT(log_.text(), HasSubstr("end at 2024-05-01T13:00:00Z and could not be renewed yet: container credentials "
                                     "from http://localhost/: connection refused"));
  clock_.advance(seconds(30));
  EXPECT_EQ(key(*provider), "c1");
  EXPECT_EQ(asked_, 3);
  broken_ = false;
  clock_.advance(seconds(30));
  EXPECT_EQ(key(*provider), "c2");
  broken_ = true;
  clock_.advance(std::chrono::hours(2));
  EXPECT_EQ(failure(*provider), std::pair(Errc::network, std::string("container credentials from http://localhost/: "
                                                                     "connection refused")));
  broken_ = false;
  EXPECT_EQ(key(*provider), "c3");
}

TEST_F(Renewal, RefusesCredentialsThatHaveEnded) {
  life_ = seconds(-1);
  const auto provider = this->provider();
  const auto [code, message] = failure(*provider);
  EXPECT_EQ(code, Errc::denied);
  EXPECT_THAT(message, HasSubstr("ended at 2024-05-01T11:59:59Z; here it is 2024-05-01T12:00:00Z: check the clock"));
}

TEST_F(Renewal, FollowsARejection) {
  const auto provider = this->provider();
  const Credentials first = provider->get({});
  EXPECT_TRUE(provider->reject(first));
  EXPECT_TRUE(provider->reject(first)) << "by another thread, before anyone asked again";
  EXPECT_EQ(key(*provider), "c2");
  EXPECT_TRUE(provider->reject(first)) << "by a late thread: there are others already";
  EXPECT_EQ(key(*provider), "c2");
  EXPECT_EQ(asked_, 2);
  EXPECT_TRUE(provider->reject(provider->get({})));
  broken_ = true;
  EXPECT_EQ(failure(*provider).first, Errc::network) << "rejected ones are no use while a renewal fails";
}

TEST_F(Renewal, OfFixedCredentialsIsNotTried) {
  settings_ = {{"AWS_ACCESS_KEY_ID", "A"}, {"AWS_SECRET_ACCESS_KEY", "S"}};
  const auto provider = this->provider();
  EXPECT_FALSE(provider->reject(provider->get({})));
  EXPECT_EQ(key(*provider), "A");
}

TEST_F(Renewal, SeesANewFileButAsksAnOldOneOnlyOnce) {
  write(".aws/credentials", "[default]\naws_access_key_id = old\naws_secret_access_key = s\n");
  const auto provider = this->provider();
  const Credentials old = provider->get({});
  EXPECT_TRUE(provider->reject(old));
  EXPECT_EQ(key(*provider), "old");
  EXPECT_FALSE(provider->reject(old));
  EXPECT_EQ(key(*provider), "old");
  clock_.advance(minutes(2));
  EXPECT_TRUE(provider->reject(old));
  write(".aws/credentials", "[default]\naws_access_key_id = new\naws_secret_access_key = s\n");
  EXPECT_EQ(key(*provider), "new");
}

TEST_F(Renewal, HappensOnceForManyThreads) {
  const auto provider = this->provider();
  for (int round = 1; round <= 3; ++round) {
    std::latch start(8);
    std::atomic<int> right = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
          start.arrive_and_wait();
          if (key(*provider) == "c" + std::to_string(round)) ++right;
        });
      }
    }
    EXPECT_EQ(right, 8);
    EXPECT_EQ(asked_, round);
    clock_.advance(std::chrono::hours(2));
  }
}

TEST_F(Renewal, DoesNotHoldUpThoseWhoseCredentialsLive) {
  const auto provider = this->provider();
  EXPECT_EQ(key(*provider), "c1");
  clock_.advance(minutes(56));
  std::latch asking(1);
  std::latch answering(1);
  answer_ = [&](const Seen&, std::stop_token) {
    asking.count_down();
    answering.wait();
    return json_answer("new", rfc3339(clock_.wall() + life_));
  };
  std::string renewed;
  {
    std::jthread renewer([&] { renewed = key(*provider); });
    asking.wait();
    EXPECT_EQ(key(*provider), "c1");
    answering.count_down();
  }
  EXPECT_EQ(renewed, "new");
  EXPECT_EQ(key(*provider), "new");
}

TEST_F(Renewal, FailsForAllWhoWaitedForIt) {
  const auto provider = this->provider();
  std::latch asking(1);
  std::latch answering(1);
  answer_ = [&](const Seen&, std::stop_token) {
    ++asked_;
    asking.count_down();
    answering.wait();
    return throw Error(Errc::network, "refused"), http::Answer{};
  };
  std::pair<Errc, std::string> first;
  std::pair<Errc, std::string> stopped;
  std::pair<Errc, std::string> waited;
  std::stop_source source;
  {
    std::jthread renewer([&] { first = failure(*provider); });
    asking.wait();
    std::jthread waiter([&] { waited = failure(*provider); });
    std::jthread impatient([&] { stopped = failure(*provider, source.get_token()); });
    source.request_stop();
    impatient.join();
    answering.count_down();
  }
  EXPECT_EQ(first.first, Errc::network);
  EXPECT_EQ(stopped.first, Errc::cancelled);
  EXPECT_EQ(waited.first, Errc::network);
}

TEST_F(Renewal, StoppedForOneGoesOnForAnother) {
  const auto provider = this->provider();
  std::latch asking(1);
  answer_ = [&](const Seen&, std::stop_token stop) {
    if (++asked_ > 1) return json_answer("second", rfc3339(clock_.wall() + life_));
    asking.count_down();
    SystemClock().sleep(seconds(60), stop);
    return throw Error(Errc::cancelled, "stopped"), http::Answer{};
  };
  std::pair<Errc, std::string> first;
  std::string second;
  std::stop_source source;
  {
    std::jthread renewer([&] { first = failure(*provider, source.get_token()); });
    asking.wait();
    std::jthread waiter([&] { second = key(*provider); });
    source.request_stop();
  }
  EXPECT_EQ(first.first, Errc::cancelled);
  EXPECT_EQ(second, "second");
}

TEST_F(Renewal, LogsNoSecret) {
  const auto provider = this->provider();
  provider->get({});
  clock_.advance(minutes(56));
  broken_ = true;
  provider->get({});
  EXPECT_THAT(log_.text(), HasSubstr("credentials from the container's credential endpoint, until "));
  EXPECT_THAT(log_.text(), Not(HasSubstr("c1-secret")));
  EXPECT_THAT(log_.text(), Not(HasSubstr("c1-token")));
  EXPECT_THAT(provider->description(), Not(HasSubstr("c1")));
}

// The whole way over real connections: a container endpoint's two-second credentials, renewed for as long as it takes.
TEST_F(Renewal, WorksOverHttp) {
  std::atomic<int> served = 0;
  seawall::test::ScriptedServer server(seawall::test::answering([&](const seawall::test::SeenRequest& request) {
    EXPECT_TRUE(request.has("GET /creds HTTP/1.1\r\n")) << request.head;
    EXPECT_TRUE(request.has("\r\nAuthorization: pod-token\r\n")) << request.head;
    const std::string name = "h" + std::to_string(++served);
    return seawall::test::http_answer("200 OK", json_answer(name, rfc3339(clock_.wall() + seconds(2))).body);
  }));
  settings_ = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url("/creds")},
               {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token"}};
  http::Client client{{}};
  const auto provider = make_credentials(lookup(), "", client, clock_, log_);
  for (int i = 1; i <= 5; ++i) {
    EXPECT_EQ(key(*provider), "h" + std::to_string(i));
    EXPECT_EQ(key(*provider), "h" + std::to_string(i));
    clock_.advance(std::chrono::milliseconds(1600));
  }
  EXPECT_EQ(served, 5);
}

TEST_F(Renewal, AssumesRolesOverHttp) {
  seawall::test::ScriptedServer server(seawall::test::answering([&](const seawall::test::SeenRequest& request) {
    EXPECT_TRUE(request.has("POST / HTTP/1.1\r\n")) << request.head;
    EXPECT_TRUE(request.has("/us-east-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date, "))
        << request.head;
    EXPECT_EQ(request.body, "Action=AssumeRole&Version=2011-06-15&RoleArn=arn&RoleSessionName=seawall");
    return seawall::test::http_answer("200 OK", test::sts_answer("role", rfc3339(clock_.wall() + life_)).body);
  }));
  settings_ = {{"AWS_ACCESS_KEY_ID", "A"},
               {"AWS_SECRET_ACCESS_KEY", "S"},
               {"AWS_ROLE_ARN", "arn"},
               {"AWS_ENDPOINT_URL_STS", server.url("")}};
  http::Client client{{}};
  EXPECT_EQ(key(*make_credentials(lookup(), "", client, clock_, log_)), "role");
}

TEST_F(Renewal, AsksInstanceMetadataOverHttp) {
  seawall::test::ScriptedServer server(seawall::test::answering([&](const seawall::test::SeenRequest& request) {
    if (request.has("PUT /latest/api/token HTTP/1.1\r\n")) return seawall::test::http_answer("200 OK", "imds-token");
    EXPECT_TRUE(request.has("\r\nX-aws-ec2-metadata-token: imds-token\r\n")) << request.head;
    if (request.has("/security-credentials/ HTTP/1.1\r\n")) return seawall::test::http_answer("200 OK", "r");
    return seawall::test::http_answer("200 OK", json_answer("node", rfc3339(clock_.wall() + life_)).body);
  }));
  settings_ = {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url("")}};
  http::Client client{{}};
  const auto provider = make_credentials(lookup(), "", client, clock_, log_);
  EXPECT_EQ(key(*provider), "node");

  settings_ = {
      {"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:" + std::to_string(seawall::test::closed_port())}};
  const auto nowhere = make_credentials(lookup(), "", client, clock_, log_);
  EXPECT_EQ(failure(*nowhere).first, Errc::denied);
}

}  // namespace
}  // namespace seawall::storage::s3
