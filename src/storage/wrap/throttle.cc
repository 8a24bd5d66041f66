#include "storage/wrap/throttle.hh"

#include <algorithm>
#include <utility>

#include "base/error.hh"

namespace seawall::storage {
namespace {

constexpr double burst_extra = 65536;

class ThrottledSource final : public Source {
 public:
  ThrottledSource(std::unique_ptr<Source> inner, std::shared_ptr<RateLimiter> limiter, std::stop_token stop)
      : inner_(std::move(inner)), limiter_(std::move(limiter)), stop_(std::move(stop)) {}

  std::size_t read(MutableBytes into) override {
    // Paid for after the fact: only then is it known how much came.
    const std::size_t n = inner_->read(into);
    limiter_->take(n, stop_);
    return n;
  }

 private:
  std::unique_ptr<Source> inner_;
  std::shared_ptr<RateLimiter> limiter_;  // owned with the store and, in main, with the other stores of the process
  std::stop_token stop_;
};

class ThrottledStore final : public Store {
 public:
  ThrottledStore(std::unique_ptr<Store> inner, std::shared_ptr<RateLimiter> limiter)
      : inner_(std::move(inner)), limiter_(std::move(limiter)) {}

  std::string description() const override { return inner_->description(); }
  UploadShape upload_shape(std::optional<std::uint64_t> expected_bytes) const override {
    return inner_->upload_shape(expected_bytes);
  }
  std::optional<ObjectInfo> stat(std::string_view key, std::stop_token stop) override {
    return inner_->stat(key, stop);
  }
  void settle(std::string_view key, std::stop_token stop) override { inner_->settle(key, stop); }
  std::vector<Feature> features(std::stop_token stop) override { return inner_->features(stop); }
  std::vector<ObjectInfo> stat_each(std::span<const std::string> keys, std::stop_token stop) override {
    return inner_->stat_each(keys, stop);
  }

  std::unique_ptr<Source> try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) override {
    auto source = inner_->try_open(key, options, stop);
    if (!source) return nullptr;
    return std::make_unique<ThrottledSource>(std::move(source), limiter_, std::move(stop));
  }

  PutResult put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) override {
    limiter_->take(data.size(), stop);
    return inner_->put(key, data, options, stop);
  }

  Upload begin(std::string_view key, const PutOptions& options, std::stop_token stop) override {
    return inner_->begin(key, options, stop);
  }

  Part put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) override {
    limiter_->take(data.size(), stop);
    return inner_->put_part(upload, std::move(part), data, stop);
  }

  PutResult complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) override {
    return inner_->complete(upload, parts, stop);
  }

  void abort(const Upload& upload) noexcept override { inner_->abort(upload); }

  using Store::list;
  void list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
            std::stop_token stop) override {
    inner_->list(options, visit, visit_prefix, stop);
  }

  PutResult copy(std::string_view from, std::string_view to, const PutOptions& options, std::stop_token stop) override {
    return inner_->copy(from, to, options, stop);
  }

  std::vector<RemoveFailure> remove(std::span<const std::string> keys, std::stop_token stop) override {
    return inner_->remove(keys, stop);
  }
  bool keeps_versions() const override { return inner_->keeps_versions(); }
  std::vector<RemoveFailure> remove_versions(std::span<const ObjectVersion> versions, std::stop_token stop) override {
    return inner_->remove_versions(versions, stop);
  }

 private:
  std::unique_ptr<Store> inner_;
  std::shared_ptr<RateLimiter> limiter_;  // owned by every throttled store and source that it slows
};

}  // namespace

RateLimiter::RateLimiter(std::uint64_t bytes_per_second, Clock& clock)
    : rate_(bytes_per_second),
      clock_(clock),
      tokens_(static_cast<double>(bytes_per_second) + burst_extra),
      last_(clock.steady()) {}

void RateLimiter::take(std::uint64_t bytes, std::stop_token stop) {
  if (stop.stop_requested()) throw Error(Errc::cancelled, "transfer: stopped on request");
  if (rate_ == 0 || bytes == 0) return;
  const auto rate = static_cast<double>(rate_);
  std::chrono::duration<double> wait{};
  {
    std::lock_guard lock(mutex_);
    const auto now = clock_.steady();
    const double earned = std::chrono::duration<double>(now - last_).count() * rate;
    last_ = now;
    tokens_ = std::min(tokens_ + earned, rate + burst_extra) - static_cast<double>(bytes);
    // Below zero is debt: who makes it waits until it is paid, and later takers wait behind it. So a part larger than
    // the burst passes, and the order of threads needs no queue.
    if (tokens_ < 0) wait = std::chrono::duration<double>(-tokens_ / rate);
  }
  if (wait.count() <= 0) return;
  if (!clock_.sleep(std::chrono::ceil<std::chrono::nanoseconds>(wait), stop)) {
    throw Error(Errc::cancelled, "transfer: stopped on request while waiting for the rate limit");
  }
}

std::unique_ptr<Store> with_throttle(std::unique_ptr<Store> inner, std::shared_ptr<RateLimiter> limiter) {
  return std::make_unique<ThrottledStore>(std::move(inner), std::move(limiter));
}

}  // namespace seawall::storage
