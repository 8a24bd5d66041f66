#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hh"
#include "base/log.hh"

namespace seawall {

/// What long work tells its user. phase() and done() belong to one thread; `advance` may be called from any thread and
/// costs an atomic addition.
class Progress {
 public:
  virtual ~Progress() = default;
  /// Starts a phase ("backup", "restore"); `total_bytes` when it is known, for a bar with the time left.
  virtual void phase(std::string_view name, std::optional<std::uint64_t> total_bytes) = 0;
  virtual void advance(std::uint64_t bytes) noexcept = 0;
  /// Ends the phase: the bar is completed and its line released.
  virtual void done() = 0;
};

class SilentProgress final : public Progress {
 public:
  void phase(std::string_view, std::optional<std::uint64_t>) override {}
  void advance(std::uint64_t) noexcept override {}
  void done() override {}
};

/// A bar with bytes, rate and time left, redrawn four times a second on `fd` if that is a terminal; otherwise a log
/// line every 30 s. A phase that is shorter than that leaves nothing in the log, and its final line on a terminal.
/// Destruction without done() means failure: the bar stays as it was. Threads run only within a phase. `log` and
/// `clock` must outlive it; a ManualClock would make the thread run without pause.
std::unique_ptr<Progress> make_progress(int fd, Log& log, Clock& clock);

}  // namespace seawall
