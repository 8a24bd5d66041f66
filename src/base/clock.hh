#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace seawall {

/// A moment of wall time in nanoseconds, UTC.
using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

/// Nothing else asks for the time or sleeps (tools/check_layers looks). Every method may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time wall() = 0;                                     ///< for names, sentinels and retention
  virtual std::chrono::steady_clock::time_point steady() = 0;  ///< for durations and budgets
  /// Sleeps; returns false at once when `stop` is requested, true after `duration`.
  virtual bool sleep(std::chrono::nanoseconds duration, std::stop_token stop) = 0;
};

class SystemClock final : public Clock {
 public:
  Time wall() override;
  std::chrono::steady_clock::time_point steady() override;
  bool sleep(std::chrono::nanoseconds duration, std::stop_token stop) override;
};

/// For tests: time stands still until someone sleeps or sets it; sleeping returns at once.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Time start) : now_(start) {}
  Time wall() override;
  std::chrono::steady_clock::time_point steady() override;
  bool sleep(std::chrono::nanoseconds duration, std::stop_token stop) override;
  void advance(std::chrono::nanoseconds duration);

 private:
  std::mutex mutex_;
  Time now_;
};

}  // namespace seawall
