#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/run.hh"
#include "schedule/job.hh"

namespace seawall::schedule {

/// A command under way.
class RunningStep {
 public:
  virtual ~RunningStep() = default;
  /// Its exit status once it has ended. Called often: its output is passed on meanwhile.
  virtual std::optional<int> poll() = 0;
  /// Asks it to end in order (SIGTERM).
  virtual void ask_to_stop() = 0;
  virtual std::string last_line() const = 0;  ///< that it wrote to stderr, or else to stdout
};

/// Starts commands.
class Launcher {
 public:
  virtual ~Launcher() = default;
  /// `stamp` is the same for all the steps of a run. Errors: what cannot be started.
  virtual std::unique_ptr<RunningStep> start(const Job& job, std::size_t step, const std::string& stamp) = 0;
  /// A run is over: its logs are kept, or not.
  virtual void finish(const Job& job, const std::string& stamp, bool ok) = 0;
};

/// As processes. Their output goes to our stdout and stderr by whole lines, and to the job's folder:
/// STAMP_JOB.stdout.log and STAMP_JOB.stderr.log. `kept_open`: a lock that they hold as well.
std::unique_ptr<Launcher> process_launcher(int kept_open);

}  // namespace seawall::schedule
