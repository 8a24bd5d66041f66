#include "base/work.hh"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <latch>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

#include "base/error.hh"
#include "base/queue.hh"

namespace seawall {
namespace {

/// Blocks until stop is requested.
void wait_for(std::stop_token stop) {
  std::atomic<bool> requested = false;
  const std::stop_callback wake(stop, [&] {
    requested = true;
    requested.notify_all();
  });
  requested.wait(false);
}

std::optional<Errc> join_code(WorkerGroup& workers) {
  try {
    workers.join();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

TEST(WorkerGroup, RunsAllJobs) {
  WorkerGroup workers(std::stop_token{});
  std::atomic<int> sum = 0;
  for (int i = 1; i <= 10; ++i) workers.start([&sum, i](std::stop_token) { sum += i; });
  workers.join();
  EXPECT_EQ(sum, 55);
  EXPECT_FALSE(workers.stop().stop_requested());
}

TEST(WorkerGroup, TheFirstFailureStopsTheOthersAndIsThrown) {
  WorkerGroup workers(std::stop_token{});
  std::atomic<int> stopped = 0;
  for (int i = 0; i < 3; ++i) {
    workers.start([&](std::stop_token stop) {
      wait_for(stop);
      ++stopped;
      throw Error(Errc::cancelled, "a consequence");
    });
  }
  workers.start([](std::stop_token) { throw Error(Errc::no_space, "disk full"); });
  EXPECT_EQ(join_code(workers), Errc::no_space);
  EXPECT_EQ(stopped, 3);
}

TEST(WorkerGroup, PassesOnAnyException) {
  WorkerGroup workers(std::stop_token{});
  workers.start([](std::stop_token) { throw std::out_of_range("index"); });
  EXPECT_THROW(workers.join(), std::out_of_range);
}

TEST(WorkerGroup, OuterStopIsCancelled) {
  std::stop_source outer;
  WorkerGroup workers(outer.get_token());
  workers.start(wait_for);
  outer.request_stop();
  EXPECT_EQ(join_code(workers), Errc::cancelled);
}

TEST(WorkerGroup, OuterStopBeforeTheStart) {
  std::stop_source outer;
  outer.request_stop();
  WorkerGroup workers(outer.get_token());
  workers.start(wait_for);
  EXPECT_EQ(join_code(workers), Errc::cancelled);
}

TEST(WorkerGroup, FailureDoesNotReachTheOuterSource) {
  std::stop_source outer;
  WorkerGroup workers(outer.get_token());
  workers.start([](std::stop_token) { throw Error(Errc::io, "broken"); });
  EXPECT_EQ(join_code(workers), Errc::io);
  EXPECT_FALSE(outer.stop_requested());
}

TEST(WorkerGroup, DestructionStopsAndWaits) {
  bool ended = false;
  {
    WorkerGroup workers(std::stop_token{});
    workers.start([&](std::stop_token stop) {
      wait_for(stop);
      ended = true;
    });
  }
  EXPECT_TRUE(ended);
}

TEST(WorkerGroup, AFailureDoesNotLiveOnInTheNextRound) {
  WorkerGroup workers(std::stop_token{});
  workers.start([](std::stop_token) { throw Error(Errc::io, "broken"); });
  EXPECT_EQ(join_code(workers), Errc::io);
  EXPECT_EQ(join_code(workers), std::nullopt);
}

TEST(UsableCpus, FollowsTheAffinity) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(usable_cpus(), static_cast<unsigned>(CPU_COUNT(&before)));
  int first = 0;
  while (!CPU_ISSET(static_cast<std::size_t>(first), &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(first), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(usable_cpus(), 1U);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

TEST(CpuPool, FinishesWhatIsQueued) {
  std::atomic<int> done = 0;
  {
    CpuPool pool(2);
    for (int i = 0; i < 1000; ++i) pool.submit([&] { ++done; });
  }
  EXPECT_EQ(done, 1000);
}

TEST(CpuPool, UsesAllItsThreadsAtOnce) {
  std::latch all(3);
  CpuPool pool(3);
  for (int i = 0; i < 3; ++i) pool.submit([&] { all.arrive_and_wait(); });
  all.wait();
  EXPECT_EQ(pool.threads(), 3U);
}

TEST(CpuPool, NeverMoreThanItsThreads) {
  std::mutex mutex;
  std::set<std::thread::id> ids;
  {
    CpuPool pool(2);
    for (int i = 0; i < 200; ++i) {
      pool.submit([&] {
        std::lock_guard lock(mutex);
        ids.insert(std::this_thread::get_id());
      });
    }
  }
  EXPECT_GE(ids.size(), 1U);
  EXPECT_LE(ids.size(), 2U);
  EXPECT_FALSE(ids.contains(std::this_thread::get_id()));
}

TEST(CpuPool, HasAtLeastOneThread) {
  CpuPool pool(0);
  EXPECT_EQ(pool.threads(), 1U);
  std::latch ran(1);
  pool.submit([&] { ran.count_down(); });
  ran.wait();
}

TEST(CpuPool, TakesJobsFromManyThreads) {
  std::atomic<int> done = 0;
  {
    CpuPool pool(2);
    std::vector<std::jthread> submitters;
    for (int i = 0; i < 4; ++i) {
      submitters.emplace_back([&] {
        for (int n = 0; n < 500; ++n) pool.submit([&] { ++done; });
      });
    }
  }
  EXPECT_EQ(done, 2000);
}

TEST(Queue, GivesEveryItemOnceAndInOrder) {
  Queue<int> queue(2);
  std::jthread producer([&] {
    for (int i = 0; i < 1000; ++i) queue.push(i, {});
    queue.close();
  });
  std::vector<int> got;
  while (auto item = queue.pop({})) got.push_back(*item);
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(got, expected);
}

TEST(Queue, RefusesAfterCloseButGivesWhatItHolds) {
  Queue<std::string> queue(3);
  EXPECT_TRUE(queue.push("a", {}));
  queue.close();
  EXPECT_FALSE(queue.push("b", {}));
  EXPECT_EQ(queue.pop({}), "a");
  EXPECT_EQ(queue.pop({}), std::nullopt);
}

TEST(Queue, StopEndsWaitingOnBothSides) {
  Queue<int> queue(1);
  std::stop_source stop;
  bool pushed = true;
  {
    std::jthread producer([&] {
      queue.push(1, {});
      pushed = queue.push(2, stop.get_token());
    });
    stop.request_stop();
  }
  EXPECT_FALSE(pushed);
  EXPECT_EQ(queue.pop({}), 1);
  EXPECT_EQ(queue.pop(stop.get_token()), std::nullopt);
}

}  // namespace
}  // namespace seawall
