#include "pipeline/part_pool.hh"

#include <algorithm>

namespace seawall::pipeline {

PartPool::PartPool(std::size_t bytes, unsigned threads) : limit_(bytes), threads_(threads) {}

AlignedBuffer PartPool::take(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  return give(bytes);
}

AlignedBuffer PartPool::try_take(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  return given_ + bytes <= limit_ ? give(bytes) : AlignedBuffer();
}

AlignedBuffer PartPool::give(std::size_t bytes) {
  given_ += bytes;
  const auto fits = std::ranges::find(spare_, bytes, &AlignedBuffer::size);
  if (fits != spare_.end()) {
    AlignedBuffer buffer = std::move(*fits);
    spare_.erase(fits);
    kept_ -= bytes;
    return buffer;
  }
  while (!spare_.empty() && given_ + kept_ > limit_) {
    kept_ -= spare_.back().size();
    spare_.pop_back();
  }
  return AlignedBuffer(bytes);
}

void PartPool::give_back(AlignedBuffer buffer) noexcept {
  std::lock_guard lock(mutex_);
  const std::size_t bytes = buffer.size();
  given_ -= bytes;
  if (given_ + kept_ + bytes > limit_) return;
  spare_.push_back(std::move(buffer));
  kept_ += bytes;
}

}  // namespace seawall::pipeline
