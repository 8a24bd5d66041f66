#include "ops/read_ahead.hh"

#include <algorithm>
#include <utility>

#include "base/error.hh"

namespace seawall::ops {

ReadAhead::ReadAhead(std::vector<std::string> names, unsigned threads, unsigned ahead, Read read, std::stop_token stop)
    : names_(std::move(names)),
      ahead_(std::max(ahead, 1U)),
      read_(std::move(read)),
      slots_(names_.size()),
      stop_(std::move(stop)),
      workers_(stop_) {
  for (std::size_t i = 0; i < names_.size(); ++i) at_.emplace(names_[i], i);
  const std::size_t most = std::min<std::size_t>(threads, names_.size());
  // One thread beside the one that asks would only hand over.
  if (most < 2) return;
  for (std::size_t i = 0; i < most; ++i) {
    workers_.start([this](const std::stop_token& token) { work(token); });
  }
}

ReadAhead::~ReadAhead() = default;

void ReadAhead::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto may_go_on = [&] { return next_ == names_.size() || next_ < taken_ + ahead_; };
    if (!changed_.wait(lock, stop, may_go_on) || next_ == names_.size()) return;
    const std::size_t index = next_++;
    lock.unlock();
    Slot slot{.done = true, .text = {}, .failure = {}};
    try {
      slot.text = read_(names_[index], stop);
    } catch (...) {
      slot.failure = std::current_exception();
    }
    lock.lock();
    slots_[index] = std::move(slot);
    changed_.notify_all();
  }
}

std::optional<std::string> ReadAhead::take(const std::string& name) {
  std::unique_lock lock(mutex_);
  const auto found = at_.find(name);
  const bool announced = found != at_.end() && found->second >= taken_;
  if (announced) {
    taken_ = found->second;
    changed_.notify_all();
  }
  if (!announced || found->second >= next_) {
    // Nobody has begun it: the thread that asks is as good as any.
    if (announced) {
      next_ = found->second + 1;
      taken_ = next_;
    }
    lock.unlock();
    changed_.notify_all();
    return read_(name, stop_);
  }
  Slot& slot = slots_[found->second];
  if (!changed_.wait(lock, stop_, [&] { return slot.done; })) throw Error(Errc::cancelled, "stopped on request");
  taken_ = found->second + 1;
  changed_.notify_all();
  if (slot.failure) std::rethrow_exception(slot.failure);
  return std::exchange(slot.text, std::nullopt);
}

}  // namespace seawall::ops
