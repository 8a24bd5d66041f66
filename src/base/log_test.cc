#include "base/log.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>

#include "base/file.hh"
#include "base/time_text.hh"
#include "support/terminal.hh"

namespace seawall {
namespace {

/// 2026-11-20T23:55:33.781417884Z
const Time moment = Time(std::chrono::nanoseconds(1795218933781417884));

class LogTest : public testing::Test {
 protected:
  LogTest() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
    read_ = Fd(ends[0]);
    write_ = Fd(ends[1]);
  }

  /// What one read(2) gives: a pipe keeps the bytes of several writes together.
  std::string written() {
    std::array<char, 65'536> buffer{};
    const ssize_t n = ::read(read_.get(), buffer.data(), buffer.size());
    return {buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
  }

  ManualClock clock_{moment};
  Fd read_, write_;
};

TEST_F(LogTest, TextLines) {
  FdLog log(write_.get(), LogLevel::debug, LogFormat::text, clock_);
  log.debug("a {}", 1);
  log.info("b");
  log.warning("c");
  log.error("{}", "{}");
  const std::string time = log_time(moment);
  EXPECT_EQ(written(),
            "DEBUG: " + time + " a 1\nINFO: " + time + " b\nWARNING: " + time + " c\nERROR: " + time + " {}\n");
}

TEST_F(LogTest, JsonLines) {
  FdLog log(write_.get(), LogLevel::debug, LogFormat::json, clock_);
  log.debug("a");
  log.warning("say \"{}\"\n", "<x>");
  EXPECT_EQ(written(), R"({"time":"2026-11-20T23:55:33.781417884Z","level":"debug","message":"a"})"
                       "\n"
                       R"({"time":"2026-11-20T23:55:33.781417884Z","level":"warning","message":"say \"<x>\"\n"})"
                       "\n");
}

TEST_F(LogTest, LeavesOutWhatIsBelowItsLevel) {
  FdLog log(write_.get(), LogLevel::warning, LogFormat::text, clock_);
  log.info("not this");
  log.line(LogLevel::debug, "nor this");
  log.error("this");
  EXPECT_EQ(written(), "ERROR: " + log_time(moment) + " this\n");
  EXPECT_FALSE(log.enabled(LogLevel::info));
  EXPECT_TRUE(log.enabled(LogLevel::warning));
}

TEST_F(LogTest, OneMessageIsOneLine) {
  FdLog log(write_.get(), LogLevel::info, LogFormat::text, clock_);
  log.info("{}", "ERROR: no such table\nLINE 1\r\n");
  EXPECT_EQ(written(), "INFO: " + log_time(moment) + " ERROR: no such table LINE 1\n");
}

TEST_F(LogTest, IsSilentWhenNobodyReads) {
  FdLog closed(-1, LogLevel::info, LogFormat::text, clock_);
  closed.info("lost");
  FdLog log(write_.get(), LogLevel::info, LogFormat::text, clock_);
  log.info("seen");
  EXPECT_EQ(written(), "INFO: " + log_time(moment) + " seen\n");
}

TEST_F(LogTest, WipesTheRestOfAProgressBarOnATerminal) {
  const test::Terminal terminal;
  FdLog log(terminal.fd(), LogLevel::info, LogFormat::text, clock_);
  log.info("x");
  EXPECT_EQ(terminal.read_line(), "INFO: " + log_time(moment) + " x\x1b[K\n");
}

TEST(MemoryLog, KeepsLevelAndText) {
  MemoryLog log;
  log.warning("free: {}", 3);
  log.info("done");
  EXPECT_EQ(log.text(), "WARNING: free: 3\nINFO: done\n");
}

TEST_F(LogTest, ManyLinesAtOnceAreAsOneByOne) {
  for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
    FdLog log(write_.get(), LogLevel::info, format, clock_);
    log.line(LogLevel::info, "first");
    log.line(LogLevel::info, "second one");
    const std::string one_by_one = written();
    log.lines(LogLevel::info, "first\nsecond one\n");
    EXPECT_EQ(one_by_one, written());
    log.lines(LogLevel::debug, "not wanted\n");
    log.lines(LogLevel::info, "end\n");
    EXPECT_EQ(std::string::npos, written().find("not wanted"));
  }
  MemoryLog kept;
  kept.lines(LogLevel::warning, "a\nb");
  EXPECT_EQ("WARNING: a\nWARNING: b\n", kept.text());
}

}  // namespace
}  // namespace seawall
