#include "storage/http/lane_pool.hh"

namespace seawall::storage::http {

std::unique_ptr<Lane> LanePool::check_out() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto lane = std::move(idle_.back());
      idle_.pop_back();
      return lane;
    }
  }
  return std::make_unique<Lane>(curl_, caches_);
}

void LanePool::check_in(std::unique_ptr<Lane> lane) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(lane));
}

}  // namespace seawall::storage::http
