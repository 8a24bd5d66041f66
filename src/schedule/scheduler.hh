#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/run.hh"
#include "schedule/history.hh"
#include "schedule/job.hh"
#include "schedule/launcher.hh"

namespace seawall::schedule {

struct SchedulerOptions {
  bool catch_up = false;             ///< what was missed runs once at the start
  std::chrono::nanoseconds drain{};  ///< how long running jobs may go on once the end was asked for
};

/// Runs jobs when they are due, until it is told to stop.
class Scheduler {
 public:
  /// Everything must outlive it.
  Scheduler(const std::vector<Job>& jobs, const History& history, Launcher& launcher, SchedulerOptions options,
            const Run& run);

  /// Returns once `run.stop` was requested and nothing runs any more: nothing new starts then; what runs may go on for
  /// `drain`, is asked to stop, and is waited for. Errors: a history that cannot be written.
  void work();

 private:
  struct Timed {
    const Job& job;
    std::optional<Time> next;
  };
  /// A run that waits for its turn, or has it.
  struct Turn {
    const Job* job = nullptr;
    Entry entry{};
    std::string stamp{};
    std::size_t step = 0;
    std::unique_ptr<RunningStep> running{};
  };

  void begin();
  void look_back(Timed& timed, const std::vector<Entry>& past);
  void collect_due(Time now);
  void ask_for(const Job& job, Time due);
  void record_missed(const Job& job, Time due, std::uint64_t runs, std::string_view why);
  bool is_under_way(const Job& job) const;
  void start_waiting();
  void start_step(Turn& turn);
  void advance(Turn& turn);
  void end_turn(Turn& turn, Outcome outcome, int status, std::string detail);
  bool poll_running();
  void drain();
  std::chrono::nanoseconds until_next(Time now) const;

  const std::vector<Job>& jobs_;
  const History& history_;
  Launcher& launcher_;
  const SchedulerOptions options_;
  const Run run_;
  std::vector<Timed> timed_;
  std::deque<Turn> waiting_;
  std::map<std::string, Turn> running_;  ///< by cluster
  bool stopping_ = false;
};

}  // namespace seawall::schedule
