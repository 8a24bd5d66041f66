#include "storage/wrap/throttle.hh"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/error.hh"
#include "storage/memory/memory_store.hh"
#include "storage/wrap/faulty.hh"
#include "storage/wrap/retry.hh"

namespace seawall::storage {
namespace {

using namespace std::chrono_literals;

class Throttle : public testing::Test {
 protected:
  std::chrono::nanoseconds passed() { return clock_.wall() - start_; }

  const Time start_{1'700'000'000s};
  ManualClock clock_{start_};
};

TEST_F(Throttle, burstIsFreeThenTheRateHolds) {
  RateLimiter limiter(1'000'000, clock_);
  limiter.take(1'000'000 + 65536, {});
  EXPECT_EQ(passed(), 0ns);
  limiter.take(500'000, {});
  EXPECT_EQ(passed(), 500ms);
  limiter.take(250'000, {});
  EXPECT_EQ(passed(), 750ms);
}

TEST_F(Throttle, moreThanTheBurstAtOncePasses) {
  RateLimiter limiter(1'000, clock_);
  limiter.take(1'000 + 65536 + 10'000, {});
  EXPECT_EQ(passed(), 10s);
}

TEST_F(Throttle, idleTimeFillsTheBucketUpToTheBurst) {
  RateLimiter limiter(1'000, clock_);
  limiter.take(1'000 + 65536, {});
  clock_.advance(10h);
  limiter.take(1'000 + 65536, {});
  EXPECT_EQ(passed(), 10h);
  limiter.take(1'000, {});
  EXPECT_EQ(passed(), 10h + 1s);
}

TEST_F(Throttle, zeroSetsNoLimit) {
  RateLimiter limiter(0, clock_);
  limiter.take(std::uint64_t{1} << 50, {});
  EXPECT_EQ(passed(), 0ns);
}

TEST_F(Throttle, stopEndsTheWait) {
  RateLimiter limiter(1, clock_);
  std::stop_source stop;
  stop.request_stop();
  try {
    limiter.take(1 << 20, stop.get_token());
    FAIL() << "not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::cancelled);
  }
  EXPECT_EQ(passed(), 0ns);
}

/// A clock on which sleepers meet: sleeping takes no time, but what was slept is added up.
class CountingClock final : public Clock {
 public:
  Time wall() override { return {}; }
  std::chrono::steady_clock::time_point steady() override { return {}; }
  bool sleep(std::chrono::nanoseconds duration, std::stop_token) override {
    std::lock_guard lock(mutex_);
    longest_ = std::max(longest_, duration);
    return true;
  }
  std::chrono::nanoseconds longest() {
    std::lock_guard lock(mutex_);
    return longest_;
  }

 private:
  std::mutex mutex_;
  std::chrono::nanoseconds longest_{};
};

TEST(ThrottleThreads, waitForTheSumOfAll) {
  CountingClock clock;
  RateLimiter limiter(100'000, clock);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 100; ++n) limiter.take(10'000, {});
      });
    }
  }
  // 8 MB at 100 kB/s less the burst: whoever came last had to wait for all.
  EXPECT_EQ(clock.longest(), 80s - 1s - std::chrono::nanoseconds(655'360'000));
}

TEST_F(Throttle, countsPutsPartsAndReadsButNotMetadata) {
  auto limiter = std::make_shared<RateLimiter>(1'000, clock_);
  limiter->take(1'000 + 65536, {});
  const auto store = with_throttle(make_memory_store(clock_), limiter);
  const std::string text(2'000, 'x');
  store->put("a", bytes_of(text), {}, {});
  EXPECT_EQ(passed(), 2s);
  const Upload upload = store->begin("b", {}, {});
  const std::vector<Part> parts{store->put_part(upload, {}, bytes_of(text), {})};
  EXPECT_EQ(passed(), 4s);
  store->complete(upload, parts, {});
  store->copy("a", "c", {}, {});
  EXPECT_EQ(store->stat("c", {})->bytes, 2'000u);
  std::vector<std::string> keys;
  store->list({}, [&](const ObjectInfo& object) { return keys.push_back(object.key), true; }, {});
  EXPECT_EQ(keys, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(passed(), 4s);
  std::vector<std::byte> buffer(10'000);
  EXPECT_EQ(read_full(*store->try_open("b", {}, {}), buffer), 2'000u);
  EXPECT_EQ(passed(), 6s);
}

/// An acknowledgement stands on it: a wrapper that kept it to itself would be silent about that.
TEST(Wrappers, SettleReachesTheDriverAndIsRepeated) {
  ManualClock clock{Time(std::chrono::seconds(1'000'000))};
  MemoryLog log;
  int asked = 0;
  auto faulty = with_faults(make_memory_store(clock), [&](const Request& request) {
    if (request.operation == "settle" && !request.after && ++asked == 1) throw Error(Errc::network, "broken");
  });
  const auto store =
      with_throttle(with_retry(std::move(faulty), {}, log, clock), std::make_shared<RateLimiter>(1'000'000, clock));
  store->settle("a", {});
  EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace seawall::storage
