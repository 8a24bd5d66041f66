#include "storage/wrap/repeater.hh"

#include <algorithm>
#include <cmath>

namespace seawall::storage {

/// Anything up to the exponential delay: many processes that failed together must not come back together.
std::chrono::nanoseconds Repeater::delay_after(unsigned attempt, const Error& error) {
  const bool throttled = error.code() == Errc::throttled;
  const auto first = throttled ? policy_.first_throttled_delay : policy_.first_delay;
  const auto bound = throttled ? policy_.longest_throttled_delay : policy_.longest_delay;
  const double doubled = static_cast<double>(first.count()) * std::exp2(attempt - 1);
  const double longest = std::min(doubled, static_cast<double>(bound.count()));
  std::lock_guard lock(mutex_);
  const std::chrono::nanoseconds chosen(
      std::uniform_int_distribution<std::int64_t>(0, static_cast<std::int64_t>(longest))(random_));
  return std::max(chosen, error.retry_after().value_or(std::chrono::nanoseconds::zero()));
}

void Repeater::wait(std::string_view operation, std::string_view key, const Error& error, unsigned attempt,
                    std::chrono::nanoseconds delay, const std::stop_token& stop) {
  log_.warning("{} {}: {}; attempt {} of {} in {} ms", operation, key, error.what(), attempt + 1, policy_.attempts,
               std::chrono::duration_cast<std::chrono::milliseconds>(delay).count());
  if (!clock_.sleep(delay, stop)) {
    throw Error(Errc::cancelled, fmt::format("{} {}: stopped on request while waiting to try again after: {}",
                                             operation, key, error.what()));
  }
}

}  // namespace seawall::storage
