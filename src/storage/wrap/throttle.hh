#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>

#include "base/clock.hh"
#include "storage/store.hh"

namespace seawall::storage {

/// A token bucket shared by threads: `bytes_per_second`, burst of one second + 64 KiB, full at the start
/// (specs: WAL-G's limiters do the same).
class RateLimiter {
 public:
  /// 0 sets no limit. `clock` must outlive it.
  RateLimiter(std::uint64_t bytes_per_second, Clock& clock);
  /// Waits until `bytes` may pass. Errc::cancelled when `stop` is requested meanwhile.
  void take(std::uint64_t bytes, std::stop_token stop);

 private:
  std::mutex mutex_;
  const std::uint64_t rate_;
  Clock& clock_;
  double tokens_;
  std::chrono::steady_clock::time_point last_;
};

/// Counts the bytes of puts, parts and reads against one limiter (WALG_NETWORK_RATE_LIMIT).
std::unique_ptr<Store> with_throttle(std::unique_ptr<Store> inner, std::shared_ptr<RateLimiter> limiter);

}  // namespace seawall::storage
