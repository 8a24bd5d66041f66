#include "storage/s3/credential_process.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <thread>

#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "support/temp_dir.hh"

namespace seawall::storage::s3 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

class Process : public testing::Test {
 protected:
  Credentials run(const std::string& command, std::chrono::nanoseconds limit = std::chrono::minutes(1)) {
    return run_credential_process(command, "credential_process (config:7)", clock_, stop_.get_token(), limit);
  }
  std::pair<Errc, std::string> failure(const std::string& command,
                                       std::chrono::nanoseconds limit = std::chrono::minutes(1)) {
    try {
      run(command, limit);
    } catch (const Error& error) {
      return {error.code(), error.what()};
    }
    return {Errc::bug, "no failure"};
  }

  test::TempDir directory_;
  SystemClock clock_;
  std::stop_source stop_;
};

TEST_F(Process, GivesCredentials) {
  const Credentials credentials =
      run("echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"SessionToken\":\"T\",'; sleep 0.1;"
          "echo '\"Expiration\":\"2030-01-02T03:04:05Z\"}'; cat; echo to-nobody >&2");
  EXPECT_EQ(credentials.access_key, "A");
  EXPECT_EQ(credentials.secret_key, "S");
  EXPECT_EQ(credentials.session_token, "T");
  EXPECT_EQ(credentials.expires, parse_rfc3339("2030-01-02T03:04:05Z"));
}

TEST_F(Process, TellsFailuresWithoutSecrets) {
  EXPECT_EQ(failure("echo top-secret; echo top-secret >&2; exit 3").second,
            "credential_process (config:7): it ended with status 3; run it by hand to see what it says");
  EXPECT_THAT(failure("kill -9 $$"), Pair(Errc::config, HasSubstr("ended with signal 9")));
  EXPECT_THAT(failure("echo top-secret"), Pair(Errc::config, AllOf(HasSubstr("config:7"), Not(HasSubstr("secret")))));
  EXPECT_THAT(failure("echo '{\"Version\":2,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"top\"}'"),
              Pair(Errc::config, AllOf(HasSubstr("\"Version\": 1"), Not(HasSubstr("top")))));
  EXPECT_THAT(failure("echo '{\"Version\":1,\"AccessKeyId\":\"A\"}'"),
              Pair(Errc::config, HasSubstr("no SecretAccessKey")));
  EXPECT_THAT(failure("head -c 100000 /dev/zero"), Pair(Errc::config, HasSubstr("more than 64 KiB")));
}

// The grandchild would otherwise hold the pipe open, and go on.
TEST_F(Process, IsKilledWithAllItStartedWhenItsTimeIsUp) {
  const std::string file = (directory_ / "id").string();
  EXPECT_THAT(failure("sleep 1000 & echo $! >" + file + "; wait", std::chrono::milliseconds(200)),
              Pair(Errc::timeout, HasSubstr("so it was killed")));
  std::string id;
  std::ifstream(file) >> id;
  ASSERT_TRUE(parse_int<int>(id)) << id;
  bool gone = false;
  for (int i = 0; i < 200 && !gone; ++i) {
    std::string state;
    std::ifstream stat("/proc/" + id + "/stat");
    std::getline(stat, state);
    gone = state.empty() || state.find(") Z") != std::string::npos;
    if (!gone) clock_.sleep(std::chrono::milliseconds(10), {});
  }
  EXPECT_TRUE(gone);
}

TEST_F(Process, EndsWhenStopped) {
  std::jthread stopper([this] {
    clock_.sleep(std::chrono::milliseconds(100), {});
    stop_.request_stop();
  });
  EXPECT_THAT(failure("sleep 1000"), Pair(Errc::cancelled, HasSubstr("stopped")));
}

TEST_F(Process, IsNotLeftWaitingForWhenItClosedItsOutput) {
  EXPECT_THAT(failure("exec >&-; sleep 1000", std::chrono::milliseconds(200)),
              Pair(Errc::timeout, HasSubstr("config:7")));
}

}  // namespace
}  // namespace seawall::storage::s3
