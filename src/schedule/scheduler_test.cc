#include "schedule/scheduler.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/time_text.hh"
#include "support/temp_dir.hh"

namespace seawall::schedule {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// What the commands of a test do: each takes its time on the test's clock and ends with its status.
struct Script {
  struct Behaviour {
    std::chrono::seconds takes{};
    int status = 0;
  };
  std::map<std::string, Behaviour> commands;
  std::vector<std::string> started;  ///< "command at second"
  int most_at_once = 0;
  int running = 0;
};

class FakeStep final : public RunningStep {
 public:
  FakeStep(Script& script, Clock& clock, Script::Behaviour behaviour)
      : script_(script), clock_(clock), behaviour_(behaviour), end_(clock.wall() + behaviour.takes) {
    script_.most_at_once = std::max(script_.most_at_once, ++script_.running);
  }
  ~FakeStep() override { --script_.running; }
  std::optional<int> poll() override {
    if (asked_) return 143;
    if (clock_.wall() < end_) return std::nullopt;
    return behaviour_.status;
  }
  void ask_to_stop() override { asked_ = true; }
  std::string last_line() const override { return "last words"; }

 private:
  Script& script_;
  Clock& clock_;
  Script::Behaviour behaviour_;
  Time end_;
  bool asked_ = false;
};

class FakeLauncher final : public Launcher {
 public:
  FakeLauncher(Script& script, Clock& clock, Time start) : script_(script), clock_(clock), start_(start) {}
  std::unique_ptr<RunningStep> start(const Job& job, std::size_t step, const std::string&) override {
    const std::string& command = job.steps.at(step).words.at(0);
    const auto since = std::chrono::floor<std::chrono::seconds>(clock_.wall() - start_);
    script_.started.push_back(fmt::format("{} {}", command, since.count()));
    if (!script_.commands.contains(command)) throw Error(Errc::not_found, "there is no program '" + command + "'");
    return std::make_unique<FakeStep>(script_, clock_, script_.commands.at(command));
  }
  void finish(const Job&, const std::string&, bool) override {}

 private:
  Script& script_;
  Clock& clock_;
  const Time start_;
};

/// Requests the stop when the time has come.
class EndingClock final : public Clock {
 public:
  EndingClock(Time start, std::stop_source& stop) : clock_(start), stop_(stop) {}
  Time wall() override { return clock_.wall() + jump_; }
  std::chrono::steady_clock::time_point steady() override { return clock_.steady(); }
  bool sleep(std::chrono::nanoseconds duration, std::stop_token stop) override {
    const bool slept = clock_.sleep(duration, stop);
    if (jump_at_ && wall() >= *jump_at_) {
      jump_ += jump_by_;
      jump_at_.reset();
    }
    if (wall() >= end) stop_.request_stop();
    return slept;
  }
  void jump(Time when, std::chrono::nanoseconds by) {
    jump_at_ = when;
    jump_by_ = by;
  }
  Time end{};

 private:
  ManualClock clock_;
  std::stop_source& stop_;
  std::chrono::nanoseconds jump_{};
  std::optional<Time> jump_at_;
  std::chrono::nanoseconds jump_by_{};
};

struct SchedulerTest : testing::Test {
  const Time start = parse_rfc3339("2026-11-21T10:00:00Z").value();
  test::TempDir directory;
  History history{directory.path()};
  MemoryLog log;
  SilentProgress progress;
  Script script;
  std::vector<Job> jobs;
  SchedulerOptions options;

  static Job job(std::string name, std::string_view schedule, std::vector<std::string> commands,
                 std::string cluster = {}) {
    Job made{
        .name = std::move(name), .schedule = Schedule::parse(schedule), .steps = {}, .cluster = std::move(cluster)};
    for (std::string& command : commands) made.steps.push_back({.words = {std::move(command)}});
    return made;
  }
  void work(std::chrono::seconds length, std::chrono::nanoseconds jump_after = {}, std::chrono::nanoseconds jump = {}) {
    std::stop_source stop;
    EndingClock clock(start, stop);
    clock.end = start + length;
    if (jump.count() != 0) clock.jump(start + jump_after, jump);
    FakeLauncher launcher(script, clock, start);
    Scheduler(jobs, history, launcher, options, {clock, log, progress, stop.get_token()}).work();
  }
  std::vector<std::string> told() const {
    std::vector<std::string> lines;
    for (const Entry& entry : history.read()) {
      lines.push_back(
          fmt::format("{} {} {}", entry.job, (entry.due - start) / std::chrono::seconds(1), name_of(entry.outcome)));
    }
    return lines;
  }
};

TEST_F(SchedulerTest, RunsWhenDueAndWritesHistory) {
  script.commands = {{"push", {.takes = std::chrono::seconds(10)}}};
  jobs = {job("backup", "*/5 * * * *", {"push"})};
  work(std::chrono::minutes(12));
  EXPECT_THAT(script.started, ElementsAre("push 300", "push 600"));
  EXPECT_THAT(told(), ElementsAre("backup 300 ok", "backup 600 ok"));
  const Entry entry = history.read().front();
  EXPECT_EQ(entry.finished - entry.started, std::chrono::seconds(10));
  EXPECT_EQ(entry.detail, "last words");
  EXPECT_THAT(log.text(), HasSubstr("job 'backup': schedule '*/5 * * * *', read as standard cron of 5 fields, minute "
                                    "first; next run 2026-11-21 10:05:00"));
}

TEST_F(SchedulerTest, PrunesOnlyAfterASuccessfulBackup) {
  script.commands = {{"push", {.takes = std::chrono::seconds(5), .status = 1}}, {"prune", {}}};
  jobs = {job("backup", "@every 1m", {"push", "prune"})};
  work(std::chrono::seconds(70));
  EXPECT_THAT(script.started, ElementsAre("push 60"));
  EXPECT_THAT(told(), ElementsAre("backup 60 failed"));
  EXPECT_THAT(log.text(), HasSubstr("'push' failed with status 1 after 5s; what comes after it was not run"));
  script.commands["push"].status = 0;
  script.started.clear();
  work(std::chrono::seconds(70));
  EXPECT_THAT(script.started, ElementsAre("push 60", "prune 65"));
}

TEST_F(SchedulerTest, AJobDoesNotOverlapItself) {
  script.commands = {{"long", {.takes = std::chrono::seconds(150)}}};
  jobs = {job("j", "@every 1m", {"long"})};
  work(std::chrono::seconds(215));
  EXPECT_THAT(script.started, ElementsAre("long 60"));
  EXPECT_EQ(script.most_at_once, 1);
  EXPECT_THAT(told(), ElementsAre("j 60 ok", "j 120 skipped", "j 180 skipped"));
}

TEST_F(SchedulerTest, OneJobOfAClusterAtATimeAndSeveralClustersSideBySide) {
  script.commands = {{"a", {.takes = std::chrono::seconds(30)}},
                     {"b", {.takes = std::chrono::seconds(30)}},
                     {"c", {.takes = std::chrono::seconds(30)}}};
  jobs = {job("a", "@every 1m", {"a"}, "/one"), job("b", "@every 1m", {"b"}, "/one"),
          job("c", "@every 1m", {"c"}, "/two")};
  work(std::chrono::seconds(125));
  EXPECT_THAT(script.started, ElementsAre("a 60", "c 60", "b 90", "c 120", "a 120"));
  EXPECT_EQ(script.most_at_once, 2);
}

TEST_F(SchedulerTest, MissedRunsAreNoticedAndMadeUpForIfAsked) {
  script.commands = {{"push", {}}};
  jobs = {job("backup", "0 * * * *", {"push"})};
  history.append({.job = "backup",
                  .outcome = Outcome::ok,
                  .due = start - std::chrono::hours(3),
                  .started = start - std::chrono::hours(3),
                  .finished = start - std::chrono::hours(3),
                  .detail = {}});
  work(std::chrono::seconds(30));
  EXPECT_TRUE(script.started.empty());
  EXPECT_THAT(log.text(), HasSubstr("job 'backup' missed 3 runs, the last one due 2026-11-21 10:00:00"));
  EXPECT_THAT(told(), ElementsAre("backup -10800 ok", "backup 0 missed"));
  work(std::chrono::seconds(30));
  EXPECT_EQ(told().size(), 2U) << "what was noticed is not noticed again";

  options.catch_up = true;
  history.append({.job = "backup", .outcome = Outcome::ok, .due = start - std::chrono::hours(1), .detail = {}});
  work(std::chrono::seconds(30));
  EXPECT_THAT(script.started, ElementsAre("push 0"));
}

TEST_F(SchedulerTest, AClockThatIsSetAheadIsNoticed) {
  script.commands = {{"push", {}}};
  jobs = {job("backup", "0 * * * *", {"push"})};
  work(std::chrono::hours(4), std::chrono::minutes(1), std::chrono::minutes(150));
  EXPECT_THAT(told(), ElementsAre("backup 3600 missed", "backup 7200 ok", "backup 10800 ok"));
  EXPECT_THAT(log.text(), HasSubstr("job 'backup' starts 31m"));
}

TEST_F(SchedulerTest, EndsInOrder) {
  script.commands = {{"quick", {.takes = std::chrono::seconds(3)}}, {"prune", {}}};
  options.drain = std::chrono::seconds(10);
  jobs = {job("a", "@every 1m", {"quick", "prune"}), job("b", "@every 1m", {"quick"})};
  work(std::chrono::seconds(61));
  EXPECT_THAT(script.started, ElementsAre("quick 60")) << "nothing new starts";
  EXPECT_THAT(told(), ElementsAre("a 60 stopped", "b 60 skipped"));
}

TEST_F(SchedulerTest, AsksWhatTakesTooLongToStop) {
  script.commands = {{"slow", {.takes = std::chrono::hours(10)}}};
  options.drain = std::chrono::seconds(5);
  jobs = {job("a", "@every 1m", {"slow"})};
  work(std::chrono::seconds(61));
  EXPECT_THAT(told(), ElementsAre("a 60 stopped"));
  EXPECT_EQ(history.read().front().status, 143);
  EXPECT_THAT(log.text(), HasSubstr("job 'a' is asked to stop"));
}

TEST_F(SchedulerTest, WhatCannotBeStartedIsAFailureOfThatRunAlone) {
  script.commands = {{"there", {}}};
  jobs = {job("a", "@every 1m", {"absent"}), job("b", "@every 1m", {"there"})};
  work(std::chrono::seconds(65));
  EXPECT_THAT(told(), ElementsAre("a 60 failed", "b 60 ok"));
  EXPECT_EQ(history.read().front().detail, "there is no program 'absent'");
}

}  // namespace
}  // namespace seawall::schedule
