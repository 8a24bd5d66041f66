#pragma once

#include <stop_token>

#include "base/clock.hh"
#include "base/error.hh"
#include "base/log.hh"
#include "base/progress.hh"

namespace seawall {

/// What main hands to every operation: the outside world without the data. Copied freely; the referees outlive the
/// operation. `stop` is requested by SIGINT and SIGTERM and by the failure of a sibling worker.
struct Run {
  Clock& clock;
  Log& log;
  Progress& progress;
  std::stop_token stop;

  /// Throws Errc::cancelled once `stop` was requested. Long loops call it between two steps.
  void check() const {
    if (stop.stop_requested()) throw Error(Errc::cancelled, "stopped on request");
  }
  Run with(std::stop_token other) const { return {clock, log, progress, other}; }
};

}  // namespace seawall
