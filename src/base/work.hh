#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace seawall {

/// Threads that do one job together: the first failure stops all of them and is the one thrown by join().
///
///     WorkerGroup workers(run.stop);
///     for (...) workers.start([&](std::stop_token stop) { ... });
///     workers.join();
class WorkerGroup {
 public:
  /// `outer`, when requested, stops the workers as well.
  explicit WorkerGroup(std::stop_token outer);
  /// Requests stop and waits.
  ~WorkerGroup();
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  /// By the owner's thread. Errc::io if the system gives no thread.
  void start(std::function<void(std::stop_token)> job);
  /// Waits for all; rethrows the first failure. If `outer` was requested and nothing else failed: Errc::cancelled.
  /// Afterwards more can be started.
  void join();
  std::stop_token stop() const noexcept { return stop_.get_token(); }

 private:
  std::stop_token outer_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_;
  std::mutex mutex_;
  std::exception_ptr failure_;
  std::vector<std::jthread> threads_;
};

/// How many threads can compute at once on this machine, by the CPU affinity of the process; at least 1.
unsigned usable_cpus() noexcept;

/// A bounded pool of threads for short CPU work (compressing the blocks of one object). Threads start with the first
/// job. Jobs must not wait for other jobs of the pool.
class CpuPool {
 public:
  explicit CpuPool(unsigned threads);
  /// Finishes what was submitted.
  ~CpuPool();
  CpuPool(const CpuPool&) = delete;
  CpuPool& operator=(const CpuPool&) = delete;

  /// Its most threads; at least 1.
  unsigned threads() const noexcept { return limit_; }
  /// From any thread; never waits, so the caller bounds what it has under way. A job must not throw: that ends the
  /// process.
  void submit(std::function<void()> job);

 private:
  void loop();

  struct Shared;
  unsigned limit_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace seawall
