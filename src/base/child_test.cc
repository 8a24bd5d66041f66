#include "base/child.hh"

#include <gtest/gtest.h>

#include <csignal>

namespace seawall {
namespace {

struct ChildTest : testing::Test {
  SystemClock clock;
  MemoryLog log;
  SilentProgress progress;
  std::stop_source stop;
  seawall::Run run{clock, log, progress, stop.get_token()};

  ChildResult shell(const std::string& script, std::optional<std::chrono::nanoseconds> limit = std::nullopt) {
    return run_child({.arguments = {"sh", "-c", script}}, limit, run);
  }
};

TEST_F(ChildTest, GivesBothStreamsAndTheStatus) {
  const ChildResult result = shell("echo out; echo err >&2; exit 7");
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.errors, "err\n");
  EXPECT_EQ(result.status, 7);
}

TEST_F(ChildTest, TellsTheSignalThatKilledIt) { EXPECT_EQ(shell("kill -9 $$").status, 128 + SIGKILL); }

TEST_F(ChildTest, HasItsEnvironmentAndDirectory) {
  const ChildResult result = run_child({.arguments = {"sh", "-c", "echo $SEAWALL_TEST_WORD; pwd; cat"},
                                        .environment = {{"SEAWALL_TEST_WORD", "two words"}},
                                        .directory = "/usr"},
                                       std::nullopt, run);
  EXPECT_EQ(result.output, "two words\n/usr\n") << "and nothing to read";
}

TEST_F(ChildTest, KeepsTheEndOfMuchOutput) {
  const ChildResult result = shell("yes 0123456789 | head -c 3000000; echo; echo last");
  EXPECT_LE(result.output.size(), 1U << 20);
  EXPECT_TRUE(result.output.ends_with("\nlast\n"));
}

TEST_F(ChildTest, SaysWhatCannotBeStarted) {
  try {
    run_child({.arguments = {"no-such-program-here"}}, std::nullopt, run);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::not_found);
    EXPECT_STREQ(error.what(), "there is no program 'no-such-program-here' in PATH");
  }
  try {
    run_child({.arguments = {"/etc/passwd"}}, std::nullopt, run);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::denied) << error.what();
  }
}

TEST_F(ChildTest, PassesOnTheWishToStop) {
  stop.request_stop();
  try {
    shell("trap 'exit 3' TERM; while :; do sleep 0.05; done");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::cancelled);
  }
}

TEST_F(ChildTest, IsKilledWithItsGroupAfterTheLimit) {
  try {
    shell("sleep 1000 & wait", std::chrono::milliseconds(50));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::timeout);
  }
}

}  // namespace
}  // namespace seawall
