#pragma once

#include <chrono>

#include "base/log.hh"
#include "storage/store.hh"

namespace seawall::storage {

struct RetryPolicy {
  unsigned attempts = 15;
  std::chrono::nanoseconds first_delay = std::chrono::milliseconds(100);
  std::chrono::nanoseconds longest_delay = std::chrono::seconds(20);
  std::chrono::nanoseconds first_throttled_delay = std::chrono::milliseconds(500);  ///< after Errc::throttled
  std::chrono::nanoseconds longest_throttled_delay = std::chrono::minutes(5);
  std::chrono::nanoseconds budget = std::chrono::minutes(5);  ///< of one operation, its waits included
};

/// Repeats what failed with a retryable code (the table in base/error.cc decides) with full-jitter exponential
/// back-off, or as long as the store asks (Error::retry_after), within attempts and budget; a Source reopens at the
/// byte it had reached, with if_version. An interrupted only_if_absent put that then reports "existed" is resolved by
/// comparing sizes and content. `inner`, `log` and `clock` must outlive it.
std::unique_ptr<Store> with_retry(std::unique_ptr<Store> inner, RetryPolicy policy, Log& log, Clock& clock);

}  // namespace seawall::storage
