#include "base/progress.hh"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <thread>
#include <vector>

#include "base/file.hh"
#include "support/terminal.hh"

namespace seawall {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// Sleepers wait until the test lets time pass; it then waits until the woken one sleeps again.
class StepClock final : public Clock {
 public:
  Time wall() override { return Time(steady().time_since_epoch()); }
  std::chrono::steady_clock::time_point steady() override {
    std::lock_guard lock(mutex_);
    return now_;
  }
  bool sleep(std::chrono::nanoseconds duration, std::stop_token stop) override {
    std::unique_lock lock(mutex_);
    const auto until = now_ + duration;
    ++sleeps_;
    changed_.notify_all();
    return changed_.wait(lock, stop, [&] { return now_ >= until; });
  }
  /// Lets a reporting thread begin to wait; `count` since the clock was made.
  void await_sleep(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return sleeps_ >= count; });
  }
  void advance(std::chrono::nanoseconds duration) {
    std::lock_guard lock(mutex_);
    now_ += duration;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::chrono::steady_clock::time_point now_{1000s};
  std::size_t sleeps_ = 0;
};

constexpr std::uint64_t mib = 1 << 20;

class LoggedProgress : public testing::Test {
 protected:
  Fd fd_ = open_file("/dev/null", O_WRONLY);
  StepClock clock_;
  MemoryLog log_;
  std::unique_ptr<Progress> progress_ = make_progress(fd_.get(), log_, clock_);
};

TEST_F(LoggedProgress, SaysNothingOfAShortPhase) {
  progress_->phase("backup", 100 * mib);
  clock_.await_sleep(1);
  progress_->advance(100 * mib);
  clock_.advance(29s);
  progress_->done();
  progress_->done();
  EXPECT_EQ(log_.text(), "");
}

TEST_F(LoggedProgress, ALineEveryHalfMinute) {
  progress_->phase("backup", 4096 * mib);
  clock_.await_sleep(1);
  progress_->advance(1200 * mib);
  clock_.advance(30s);
  clock_.await_sleep(2);
  EXPECT_EQ(log_.text(), "INFO: backup: 1.2 GiB of 4.0 GiB (29 %), 40.0 MiB/s, 1 min 13 s left\n");
  progress_->advance(2896 * mib);
  clock_.advance(10s);
  progress_->done();
  EXPECT_THAT(log_.text(), testing::EndsWith("INFO: backup: 4.0 GiB in 40 s, 102 MiB/s\n"));
}

TEST_F(LoggedProgress, WithoutATotal) {
  progress_->phase("walk", std::nullopt);
  clock_.await_sleep(1);
  progress_->advance(30 * mib);
  clock_.advance(30s);
  clock_.await_sleep(2);
  EXPECT_EQ(log_.text(), "INFO: walk: 30.0 MiB, 1.0 MiB/s\n");
}

TEST_F(LoggedProgress, AStandstillPromisesNoEnd) {
  progress_->phase("backup", 100 * mib);
  clock_.await_sleep(1);
  clock_.advance(30s);
  clock_.await_sleep(2);
  EXPECT_EQ(log_.text(), "INFO: backup: 0 B of 100 MiB (0 %), 0 B/s\n");
}

TEST_F(LoggedProgress, MoreThanTheTotalIsAllOfIt) {
  progress_->phase("backup", 100 * mib);
  clock_.await_sleep(1);
  progress_->advance(150 * mib);
  clock_.advance(30s);
  clock_.await_sleep(2);
  EXPECT_EQ(log_.text(), "INFO: backup: 150 MiB of 100 MiB (100 %), 5.0 MiB/s\n");
}

TEST_F(LoggedProgress, APhaseEndsTheOneBefore) {
  progress_->phase("first", std::nullopt);
  clock_.await_sleep(1);
  progress_->advance(60 * mib);
  clock_.advance(30s);
  clock_.await_sleep(2);
  progress_->phase("second", std::nullopt);
  clock_.await_sleep(3);
  clock_.advance(30s);
  clock_.await_sleep(4);
  EXPECT_EQ(log_.text(),
            "INFO: first: 60.0 MiB, 2.0 MiB/s\nINFO: first: 60.0 MiB in 30 s, 2.0 MiB/s\nINFO: second: 0 B, 0 B/s\n");
}

TEST_F(LoggedProgress, CountsFromManyThreads) {
  progress_->phase("backup", 8000);
  clock_.await_sleep(1);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 1000; ++n) progress_->advance(2);
      });
    }
  }
  clock_.advance(30s);
  clock_.await_sleep(2);
  EXPECT_THAT(log_.text(), HasSubstr("7.8 KiB of 7.8 KiB (100 %)"));
}

TEST_F(LoggedProgress, DestructionEndsThePhaseInSilence) {
  progress_->phase("backup", 100);
  clock_.await_sleep(1);
  progress_.reset();
  EXPECT_EQ(log_.text(), "");
}

class TerminalProgress : public testing::Test {
 protected:
  test::Terminal terminal_;
  StepClock clock_;
  MemoryLog log_;
  std::unique_ptr<Progress> progress_ = make_progress(terminal_.fd(), log_, clock_);
};

TEST_F(TerminalProgress, RedrawsOneLine) {
  progress_->phase("restore", 100 * mib);
  clock_.await_sleep(1);
  progress_->advance(25 * mib);
  clock_.advance(250ms);
  clock_.await_sleep(2);
  EXPECT_EQ(
      terminal_.read_line(),
      "restore [##########                              ] 25.0 MiB of 100 MiB (25 %), 100 MiB/s, 1 s left\x1b[K\r");
  progress_->advance(75 * mib);
  clock_.advance(750ms);
  clock_.await_sleep(3);
  EXPECT_EQ(terminal_.read_line(),
            "restore [########################################] 100 MiB of 100 MiB (100 %), 100 MiB/s\x1b[K\r");
  progress_->done();
  EXPECT_EQ(terminal_.read_line(), "restore: 100 MiB in 1 s, 100 MiB/s\x1b[K\n");
  EXPECT_EQ(log_.text(), "");
}

TEST_F(TerminalProgress, AShortPhaseGetsItsFinalLine) {
  progress_->phase("restore", 5);
  clock_.await_sleep(1);
  progress_->advance(5);
  progress_->done();
  EXPECT_EQ(terminal_.read_line(), "restore: 5 B in 0 s\x1b[K\n");
}

TEST_F(TerminalProgress, NeverWiderThanTheTerminal) {
  terminal_.resize(30);
  progress_->phase("restore", 100 * mib);
  clock_.await_sleep(1);
  progress_->advance(25 * mib);
  clock_.advance(250ms);
  clock_.await_sleep(2);
  EXPECT_EQ(terminal_.read_line(), "restore 25.0 MiB of 100 MiB (\x1b[K\r");
}

TEST_F(TerminalProgress, FailureReleasesTheLineAsItStands) {
  progress_->phase("restore", 100 * mib);
  clock_.await_sleep(1);
  progress_->advance(50 * mib);
  clock_.advance(250ms);
  clock_.await_sleep(2);
  terminal_.read_line();
  progress_.reset();
  const std::string last = terminal_.read_line();
  EXPECT_THAT(last, HasSubstr("50.0 MiB of 100 MiB (50 %)"));
  EXPECT_THAT(last, testing::EndsWith("\x1b[K\n"));
}

}  // namespace
}  // namespace seawall
