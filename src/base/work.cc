#include "base/work.hh"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <system_error>
#include <utility>

#include "base/error.hh"

namespace seawall {
namespace {

Error no_thread(const std::system_error& failure) {
  return {Errc::io, fmt::format("cannot start a thread: {}; look at the limits of processes and memory (ulimit -u)",
                                failure.code().message())};
}

}  // namespace

WorkerGroup::WorkerGroup(std::stop_token outer)
    : outer_(std::move(outer)), forward_(outer_, [this] { stop_.request_stop(); }) {}

WorkerGroup::~WorkerGroup() { stop_.request_stop(); }

void WorkerGroup::start(std::function<void(std::stop_token)> job) {
  auto guarded = [this, job = std::move(job)] {
    try {
      job(stop_.get_token());
    } catch (...) {
      {
        std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
      }
      stop_.request_stop();
    }
  };
  try {
    threads_.emplace_back(std::move(guarded));
  } catch (const std::system_error& failure) {
    throw no_thread(failure);
  }
}

void WorkerGroup::join() {
  threads_.clear();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  if (outer_.stop_requested()) throw Error(Errc::cancelled, "stopped on request");
}

unsigned usable_cpus() noexcept {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) return std::max(1U, static_cast<unsigned>(CPU_COUNT(&cpus)));
  // More CPUs than the set has bits.
  return std::max(1U, std::thread::hardware_concurrency());
}

struct CpuPool::Shared {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> jobs;
  std::size_t idle = 0;
  bool closing = false;
  std::vector<std::jthread> threads;
};

CpuPool::CpuPool(unsigned threads) : limit_(std::max(1U, threads)), shared_(std::make_unique<Shared>()) {}

CpuPool::~CpuPool() {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->closing = true;
  }
  shared_->wake.notify_all();
  shared_->threads.clear();
}

void CpuPool::submit(std::function<void()> job) {
  std::lock_guard lock(shared_->mutex);
  shared_->jobs.push_back(std::move(job));
  // A thread that was woken but has not taken its job yet still counts as idle, hence the comparison with the queue.
  if (shared_->jobs.size() > shared_->idle && shared_->threads.size() < limit_) {
    try {
      shared_->threads.emplace_back([this] { loop(); });
    } catch (const std::system_error& failure) {
      if (shared_->threads.empty()) {
        shared_->jobs.pop_back();
        throw no_thread(failure);
      }
    }
  }
  shared_->wake.notify_one();
}

void CpuPool::loop() {
  std::unique_lock lock(shared_->mutex);
  for (;;) {
    ++shared_->idle;
    shared_->wake.wait(lock, [this] { return shared_->closing || !shared_->jobs.empty(); });
    --shared_->idle;
    if (shared_->jobs.empty()) return;
    {
      const std::function<void()> job = std::move(shared_->jobs.front());
      shared_->jobs.pop_front();
      lock.unlock();
      job();
    }
    lock.lock();
  }
}

}  // namespace seawall
