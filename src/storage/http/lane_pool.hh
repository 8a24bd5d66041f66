#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.hh"
#include "storage/http/http.hh"
#include "storage/http/lane.hh"
#include "storage/http/trust.hh"

namespace seawall::storage::http {

/// What the transfers of one client share, in whichever thread they are. The lane used last is taken first, so that
/// connections which are not needed grow old and are closed.
class LanePool {
 public:
  /// `clock` must outlive it.
  LanePool(ClientOptions options, Clock& clock)
      : options_(std::move(options)),
        clock_(clock),
        curl_(load_libcurl()),
        trust_(curl_, options_.ca_file),
        caches_(curl_) {}

  const ClientOptions& options() const noexcept { return options_; }
  const Trust& trust() const noexcept { return trust_; }
  Clock& clock() const noexcept { return clock_; }

  /// A lane for as long as it lives; it must not outlive the pool.
  class Borrowed {
   public:
    explicit Borrowed(LanePool& pool) : pool_(pool), lane_(pool.check_out()) {}
    ~Borrowed() { pool_.check_in(std::move(lane_)); }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    Lane& lane() const noexcept { return *lane_; }

   private:
    LanePool& pool_;
    std::unique_ptr<Lane> lane_;
  };

 private:
  std::unique_ptr<Lane> check_out();
  void check_in(std::unique_ptr<Lane> lane);

  ClientOptions options_;
  Clock& clock_;
  Libcurl curl_;
  Trust trust_;
  SharedCaches caches_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_;
};

}  // namespace seawall::storage::http
