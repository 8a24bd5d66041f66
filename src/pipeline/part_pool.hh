#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

#include "base/bytes.hh"
#include "base/work.hh"

namespace seawall::pipeline {

/// Memory and threads for parts on their way into stores, shared by every ObjectWriter of a process. Each writer is
/// entitled to one buffer, so that none ever waits for another; a further one, with which it goes on while a part
/// travels, it gets as long as the limit holds. Without one it sends the part itself: that is the backpressure.
/// Thread-safe; must outlive its writers.
class PartPool {
 public:
  /// `bytes`: of all buffers given out together; entitled ones are given beyond it.
  PartPool(std::size_t bytes, unsigned threads);
  PartPool(const PartPool&) = delete;
  PartPool& operator=(const PartPool&) = delete;

  AlignedBuffer take(std::size_t bytes);
  /// Of size 0 if it would exceed the limit.
  AlignedBuffer try_take(std::size_t bytes);
  void give_back(AlignedBuffer buffer) noexcept;

  /// Runs `job`, which must neither throw nor wait for another job, on a thread of the pool.
  void submit(std::function<void()> job) { threads_.submit(std::move(job)); }

 private:
  AlignedBuffer give(std::size_t bytes);

  const std::size_t limit_;
  std::mutex mutex_;
  std::size_t given_ = 0;             // bytes in use
  std::size_t kept_ = 0;              // bytes in spare_
  std::vector<AlignedBuffer> spare_;  // pages that the system need not clear again
  CpuPool threads_;
};

}  // namespace seawall::pipeline
