#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/work.hh"

namespace seawall::codec {

/// Batches of one object: the owner's thread fills them in order, jobs of a CpuPool encode them, and the owner takes
/// them back in the order in which it filled them. Bounded: one batch being filled, one per thread, one that waits
/// for its turn. `Batch` is default constructible and has `void encode() noexcept`.
template <class Batch>
class BatchRing {
 public:
  explicit BatchRing(CpuPool& pool)
      : pool_(pool), shared_(std::make_shared<Shared>(std::min(pool.threads(), most_threads) + 2)) {}

  ~BatchRing() {
    std::unique_lock lock(shared_->mutex);
    shared_->claimed = shared_->submitted;
    shared_->changed.wait(lock, [&] { return shared_->working == 0; });
    // Jobs that the pool has not come to yet keep `shared_`, but find nothing to do in it and need no buffers.
    shared_->slots.clear();
  }
  BatchRing(const BatchRing&) = delete;
  BatchRing& operator=(const BatchRing&) = delete;

  /// The batch to be filled next. It may hold the buffers of an earlier turn.
  Batch& filling() noexcept { return shared_->at(filling_).batch; }

  /// filling() is full: a job may take it. It is not written to until collect() has come to it.
  void submit() {
    {
      std::lock_guard lock(shared_->mutex);
      shared_->at(filling_).done = false;
      ++shared_->submitted;
    }
    pool_.submit([shared = shared_] { shared->work(); });
    ++filling_;
  }

  /// Hands to `take` the batches that are done; waits for one only when there is none left to fill.
  template <class Take>
  void collect(Take&& take) {
    while (emptied_ < filling_ && (oldest_is_done() || filling_ - emptied_ == shared_->slots.size())) empty(take);
  }

  /// Waits for all batches.
  template <class Take>
  void collect_all(Take&& take) {
    while (emptied_ < filling_) empty(take);
  }

 private:
  // More would only cost memory: no store takes what 16 threads compress.
  static constexpr unsigned most_threads = 16;

  struct Slot {
    Batch batch;
    bool done = false;  // guarded by Shared::mutex
  };

  struct Shared {
    explicit Shared(unsigned count) : slots(count) {}

    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Slot> slots;
    std::uint64_t submitted = 0;  // numbers of batches; batch i lies in slots[i % size]
    std::uint64_t claimed = 0;
    unsigned working = 0;

    Slot& at(std::uint64_t number) noexcept { return slots[number % slots.size()]; }

    /// Encodes the oldest batch that no one has taken yet; false if there is none.
    bool work() {
      std::unique_lock lock(mutex);
      if (claimed == submitted) return false;
      Slot& slot = at(claimed++);
      ++working;
      lock.unlock();
      slot.batch.encode();
      lock.lock();
      slot.done = true;
      --working;
      changed.notify_all();
      return true;
    }
  };

  bool oldest_is_done() {
    std::lock_guard lock(shared_->mutex);
    return shared_->at(emptied_).done;
  }

  template <class Take>
  void empty(Take&& take) {
    Slot& slot = shared_->at(emptied_);
    // Rather than wait for a busy pool this thread encodes itself.
    while (!oldest_is_done() && shared_->work()) {
    }
    {
      std::unique_lock lock(shared_->mutex);
      shared_->changed.wait(lock, [&] { return slot.done; });
    }
    ++emptied_;
    take(slot.batch);
  }

  CpuPool& pool_;
  std::shared_ptr<Shared> shared_;  // owners: this ring, and its jobs that still wait in the pool
  std::uint64_t filling_ = 0;       // number of the batch that is being filled
  std::uint64_t emptied_ = 0;       // batches handed to `take`
};

}  // namespace seawall::codec
