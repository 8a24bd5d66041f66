// The contract, run over every driver and wrapper.
#include "storage/store.hh"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <tuple>

#include "base/error.hh"
#include "storage/contract/store_contract.hh"
#include "storage/file/file_store.hh"
#include "storage/memory/memory_store.hh"
#include "storage/wrap/faulty.hh"
#include "storage/wrap/retry.hh"
#include "storage/wrap/throttle.hh"
#include "support/temp_dir.hh"

namespace seawall::storage {
namespace {

/// What a store under test stands on.
struct World {
  test::TempDir directory;
  SystemClock clock;
  ManualClock still{Time(std::chrono::seconds(1'700'000'000))};  // so that nobody waits
  MemoryLog log;
};

/// Fails every request once, before it is carried out or, with `after`, by losing its answer. By thread, so that no
/// thread is unlucky more often than it has attempts.
std::function<void(const Request&)> once_each(bool after) {
  struct Seen {
    std::mutex mutex;
    std::set<std::tuple<std::thread::id, std::string, std::string>> failed;
  };
  // Owned by every copy of the function.
  const auto seen = std::make_shared<Seen>();
  return [seen, after](const Request& request) {
    if (request.after != after) return;
    std::lock_guard lock(seen->mutex);
    const auto [place, first] =
        seen->failed.emplace(std::this_thread::get_id(), std::string(request.operation), std::string(request.key));
    if (first) throw Error(Errc::network, "connection reset by the test");
    seen->failed.erase(place);
  };
}

std::unique_ptr<Store> retried(std::unique_ptr<Store> inner, World& world) {
  return with_retry(std::move(inner), {}, world.log, world.still);
}

struct Setup {
  std::string_view name;
  std::string_view prefix;
  std::unique_ptr<Store> (*make)(World&);
};

const Setup setups[] = {
    {"file", "some/where/", [](World& w) { return make_file_store(w.directory.path(), w.clock); }},
    {"file_root", "", [](World& w) { return make_file_store(w.directory.path(), w.clock); }},
    {"memory", "", [](World& w) { return make_memory_store(w.clock); }},
    {"retry_memory", "some/where/", [](World& w) { return retried(make_memory_store(w.clock), w); }},
    {"throttle_memory", "some/where/",
     [](World& w) {
       return with_throttle(make_memory_store(w.clock), std::make_shared<RateLimiter>(1'000'000, w.still));
     }},
    {"faulty_memory", "some/where/",
     [](World& w) { return with_faults(make_memory_store(w.clock), [](const Request&) {}); }},
    {"retry_failing_file", "some/where/",
     [](World& w) { return retried(with_faults(make_file_store(w.directory.path(), w.clock), once_each(false)), w); }},
    {"retry_failing_memory", "",
     [](World& w) { return retried(with_faults(make_memory_store(w.clock), once_each(false)), w); }},
    {"retry_forgetful_memory", "some/where/",
     [](World& w) { return retried(with_faults(make_memory_store(w.clock), once_each(true)), w); }},
};

void PrintTo(const Setup& setup, std::ostream* out) { *out << setup.name; }

class StoreContract : public testing::TestWithParam<std::tuple<Setup, contract::StoreCheck>> {};

TEST_P(StoreContract, holds) {
  const auto& [setup, check] = GetParam();
  World world;
  const auto store = setup.make(world);
  contract::run_check(check, *store, setup.prefix);
}

INSTANTIATE_TEST_SUITE_P(Every, StoreContract,
                         testing::Combine(testing::ValuesIn(setups), testing::ValuesIn(contract::store_checks().begin(),
                                                                                       contract::store_checks().end())),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).name) + "_" +
                                  std::string(std::get<1>(test.param).name);
                         });

TEST(CheckKey, saysWhatIsWrong) {
  EXPECT_NO_THROW(check_key("wal_005/000000010000000000000001.lz4"));
  try {
    check_key("a/../b");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::usage);
    EXPECT_STREQ(error.what(), "'a/../b' cannot be the name of a stored object: '.' and '..' are no names");
  }
}

}  // namespace
}  // namespace seawall::storage
