#pragma once

#include <fmt/format.h>

#include <mutex>
#include <random>
#include <stop_token>
#include <string_view>

#include "base/clock.hh"
#include "base/error.hh"
#include "base/log.hh"
#include "storage/wrap/retry.hh"

namespace seawall::storage {

/// Repeats a request that failed with a retryable code, as its policy says; the last failure is thrown, with how often
/// it was tried. Thread-safe. `log` and `clock` must outlive it.
class Repeater {
 public:
  Repeater(RetryPolicy policy, Log& log, Clock& clock) : policy_(policy), log_(log), clock_(clock) {}

  template <class F>
  auto operator()(std::string_view operation, std::string_view key, const std::stop_token& stop, F&& request) {
    const auto start = clock_.steady();
    for (unsigned attempt = 1;; ++attempt) {
      try {
        return request();
      } catch (Error& error) {
        if (!info(error.code()).retryable) throw;
        const auto delay = delay_after(attempt, error);
        if (attempt >= policy_.attempts || clock_.steady() - start + delay > policy_.budget) {
          if (attempt > 1) {
            error.during(fmt::format("given up after {} attempts in {:.0f} s", attempt,
                                     std::chrono::duration<double>(clock_.steady() - start).count()));
          }
          throw;
        }
        wait(operation, key, error, attempt, delay, stop);
      }
    }
  }

 private:
  std::chrono::nanoseconds delay_after(unsigned attempt, const Error& error);
  void wait(std::string_view operation, std::string_view key, const Error& error, unsigned attempt,
            std::chrono::nanoseconds delay, const std::stop_token& stop);

  const RetryPolicy policy_;
  Log& log_;
  Clock& clock_;
  std::mutex mutex_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace seawall::storage
