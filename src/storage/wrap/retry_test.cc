#include "storage/wrap/retry.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/error.hh"
#include "storage/memory/memory_store.hh"
#include "storage/wrap/faulty.hh"

namespace seawall::storage {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

/// A retried memory store whose requests fail as `plan` says; time passes only while it waits.
class Retry : public testing::Test {
 protected:
  void make(RetryPolicy policy = {}) {
    auto memory = make_memory_store(clock_);
    memory_ = memory.get();
    store_ = with_retry(with_faults(std::move(memory),
                                    [this](const Request& request) {
                                      if (!request.after) asked_.emplace_back(request.operation);
                                      if (plan_) plan_(request);
                                    }),
                        policy, log_, clock_);
  }
  /// The next `times` requests named `operation` fail, before or after they were carried out.
  void fail_next(std::string_view operation, unsigned times, Errc code = Errc::network, bool after = false) {
    plan_ = [=, left = times](const Request& request) mutable {
      if (request.operation != operation || request.after != after || left == 0) return;
      --left;
      throw Error(code, "broken pipe");
    };
  }
  PutResult put(std::string_view text, const PutOptions& options = {}) {
    return store_->put("k", bytes_of(text), options, {});
  }
  std::string stored(std::string_view key = "k") {
    std::vector<std::byte> buffer(1 << 20);
    const auto source = memory_->try_open(key, {}, {});
    if (!source) return "(absent)";
    const std::size_t n = read_full(*source, buffer);
    return std::string(text_of(Bytes(buffer).first(n)));
  }
  template <class F>
  static std::pair<Errc, std::string> failure_of(F&& action) {
    try {
      action();
    } catch (const Error& error) {
      return {error.code(), error.what()};
    }
    return {Errc::bug, "no failure"};
  }

  const Time start_{1'700'000'000s};
  ManualClock clock_{start_};
  MemoryLog log_;
  std::function<void(const Request&)> plan_;
  std::vector<std::string> asked_;
  Store* memory_ = nullptr;
  std::unique_ptr<Store> store_;
};

TEST_F(Retry, repeatsUntilItWorksAndSaysSo) {
  make();
  fail_next("put", 3);
  EXPECT_TRUE(put("text").created);
  EXPECT_EQ(stored(), "text");
  EXPECT_THAT(asked_, ElementsAre("put", "put", "put", "put"));
  EXPECT_THAT(log_.text(), HasSubstr("put k: broken pipe; attempt 2 of 15 in "));
  EXPECT_THAT(log_.text(), HasSubstr("attempt 4 of 15 in "));
  const std::string lines = log_.text();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
}

TEST_F(Retry, waitsWithinTheExponentialBound) {
  make({.attempts = 8, .first_delay = 100ms, .longest_delay = 1s});
  std::vector<std::chrono::nanoseconds> waits;
  Time last = start_;
  plan_ = [&](const Request& request) {
    waits.push_back(clock_.wall() - last);
    last = clock_.wall();
    if (request.ordinal < 8) throw Error(Errc::timeout, "slow");
  };
  put("text");
  ASSERT_EQ(waits.size(), 9u);  // eight before, one after
  const std::vector<std::chrono::nanoseconds> bounds{0ns, 100ms, 200ms, 400ms, 800ms, 1s, 1s, 1s, 0ns};
  for (std::size_t i = 0; i < bounds.size(); ++i) EXPECT_LE(waits[i], bounds[i]) << "before attempt " << i + 1;
  EXPECT_GT(last, start_);
}

TEST_F(Retry, leavesAThrottlingStoreAloneAsLongAsItAsks) {
  make();
  plan_ = [asked = 0](const Request& request) mutable {
    if (request.operation != "put" || request.after || ++asked > 2) return;
    throw Error(Error(Errc::throttled, "slow down").retry_after(40s));
  };
  put("text");
  EXPECT_EQ(stored(), "text");
  EXPECT_GE(clock_.wall() - start_, 80s);
}

TEST_F(Retry, givesUpAtOnceIfTheStoreAsksForMoreThanTheBudget) {
  make({.budget = 30s});
  plan_ = [](const Request& request) {
    if (request.operation == "put") throw Error(Error(Errc::throttled, "slow down").retry_after(40s));
  };
  EXPECT_EQ(failure_of([&] { put("text"); }), std::pair(Errc::throttled, std::string("slow down")));
  EXPECT_EQ(clock_.wall(), start_);
}

TEST_F(Retry, givesUpAfterTheAttempts) {
  make({.attempts = 4});
  fail_next("stat", 100);
  const auto [code, message] = failure_of([&] { store_->stat("k", {}); });
  EXPECT_EQ(code, Errc::network);
  EXPECT_THAT(message, testing::MatchesRegex("given up after 4 attempts in [0-9] s: broken pipe"));
  EXPECT_EQ(asked_.size(), 4u);
}

TEST_F(Retry, givesUpWithinTheBudget) {
  make({.attempts = 1'000'000, .first_delay = 1s, .longest_delay = 1s, .budget = 30s});
  fail_next("stat", 1'000'000);
  const auto [code, message] = failure_of([&] { store_->stat("k", {}); });
  EXPECT_EQ(code, Errc::network);
  EXPECT_LE(clock_.wall() - start_, 30s);
  EXPECT_GT(asked_.size(), 20u);
}

TEST_F(Retry, doesNotRepeatWhatCannotSucceed) {
  make();
  for (const ErrcInfo& row : all_errcs()) {
    if (row.retryable) continue;
    asked_.clear();
    fail_next("put", 1, row.code);
    EXPECT_EQ(failure_of([&] { put("text"); }), std::pair(row.code, std::string("broken pipe"))) << row.name;
    EXPECT_EQ(asked_.size(), 1u) << row.name;
  }
  EXPECT_EQ(clock_.wall(), start_);
  EXPECT_EQ(stored(), "(absent)");
}

TEST_F(Retry, stopEndsTheWaiting) {
  make();
  std::stop_source stop;
  plan_ = [&](const Request&) {
    stop.request_stop();
    throw Error(Errc::network, "broken pipe");
  };
  const auto [code, message] = failure_of([&] { store_->put("k", bytes_of("x"), {}, stop.get_token()); });
  EXPECT_EQ(code, Errc::cancelled);
  EXPECT_THAT(message, HasSubstr("broken pipe"));
  EXPECT_EQ(asked_.size(), 1u);
}

TEST_F(Retry, aSourceGoesOnWhereItWas) {
  make();
  std::string text;
  for (int i = 0; i < 5000; ++i) text += fmt::format("{:06} ", i);
  memory_->put("k", bytes_of(text), {}, {});
  unsigned reads = 0;
  plan_ = [&](const Request& request) {
    // Every second answer is lost, after the inner source has moved on.
    if (request.operation == "read" && request.after && ++reads % 2 == 0) throw Error(Errc::network, "reset");
  };
  const auto source = store_->try_open("k", {.range = {.offset = 7, .length = 30000}}, {});
  std::string found;
  std::vector<std::byte> buffer(1000);
  while (const std::size_t n = source->read(buffer)) found += text_of(Bytes(buffer).first(n));
  EXPECT_EQ(found, text.substr(7, 30000));
  EXPECT_GT(std::count(asked_.begin(), asked_.end(), "open"), 10);
}

TEST_F(Retry, aSourceDoesNotGoOnInAnotherVersion) {
  make();
  memory_->put("k", bytes_of(std::string(100, '1')), {}, {});
  const auto source = store_->try_open("k", {}, {});
  std::vector<std::byte> buffer(10);
  EXPECT_EQ(source->read(buffer), 10u);
  memory_->put("k", bytes_of(std::string(100, '2')), {}, {});
  fail_next("read", 1);
  EXPECT_EQ(failure_of([&] { source->read(buffer); }).first, Errc::differs);
  memory_->remove(std::vector<std::string>{"k"}, {});
  const auto [code, message] = failure_of([&] { source->read(buffer); });
  EXPECT_EQ(code, Errc::differs);
  EXPECT_EQ(message, "k: removed while it was read, 10 bytes in");
}

TEST_F(Retry, aLostAnswerOfPutIfAbsentIsResolved) {
  make();
  fail_next("put", 1, Errc::network, true);
  const PutResult result = put("mine", {.only_if_absent = true});
  EXPECT_TRUE(result.created);
  EXPECT_EQ(result.object.bytes, 4u);
  EXPECT_EQ(stored(), "mine");
}

TEST_F(Retry, anothersObjectIsNotTakenForOurs) {
  for (const std::string_view theirs : {"them", "longer"}) {
    make();
    plan_ = [&, first = true](const Request& request) mutable {
      if (request.operation != "put" || !std::exchange(first, false)) return;
      memory_->put("k", bytes_of(theirs), {}, {});
      throw Error(Errc::network, "connection refused");
    };
    EXPECT_FALSE(put("mine", {.only_if_absent = true}).created) << theirs;
    EXPECT_EQ(stored(), theirs);
  }
}

TEST_F(Retry, whatWasThereBeforeIsNotComparedAway) {
  make();
  memory_->put("k", bytes_of("same"), {}, {});
  EXPECT_FALSE(put("same", {.only_if_absent = true}).created);
  EXPECT_THAT(asked_, ElementsAre("put"));
}

TEST_F(Retry, aLostAnswerOfAConditionalReplacementIsResolved) {
  make();
  const std::string version = put("one").object.version;
  fail_next("put", 1, Errc::timeout, true);
  const PutResult result = put("two", {.if_version = version});
  EXPECT_TRUE(result.created);
  EXPECT_EQ(result.object.version, memory_->stat("k", {})->version);
  EXPECT_EQ(stored(), "two");

  plan_ = [&, first = true](const Request& request) mutable {
    if (request.operation != "put" || !std::exchange(first, false)) return;
    memory_->put("k", bytes_of("them"), {}, {});
    throw Error(Errc::network, "connection refused");
  };
  EXPECT_EQ(failure_of([&] { put("mine", {.if_version = result.object.version}); }).first, Errc::differs);
  EXPECT_EQ(stored(), "them");
}

TEST_F(Retry, aLostAnswerOfACopyIsResolved) {
  make();
  memory_->put("from", bytes_of("text"), {}, {});
  memory_->put("taken", bytes_of("else"), {}, {});
  fail_next("copy", 1, Errc::network, true);
  EXPECT_TRUE(store_->copy("from", "to", {.only_if_absent = true}, {}).created);
  EXPECT_EQ(stored("to"), "text");
  fail_next("copy", 1, Errc::network, true);
  EXPECT_FALSE(store_->copy("from", "taken", {.only_if_absent = true}, {}).created);
  EXPECT_EQ(stored("taken"), "else");
}

TEST_F(Retry, aBrokenListingGoesOnWithoutRepeating) {
  make({.attempts = 100});
  for (const std::string_view key : {"a", "b/1", "b/2", "c", "d/1", "e"}) memory_->put(key, {}, {}, {});
  // A store that loses the connection after every single entry.
  class Stumbling final : public Store {
   public:
    explicit Stumbling(Store& inner) : inner_(inner) {}
    std::string description() const override { return inner_.description(); }
    UploadShape upload_shape(std::optional<std::uint64_t> bytes) const override { return inner_.upload_shape(bytes); }
    std::optional<ObjectInfo> stat(std::string_view k, std::stop_token s) override { return inner_.stat(k, s); }
    std::unique_ptr<Source> try_open(std::string_view k, const ReadOptions& o, std::stop_token s) override {
      return inner_.try_open(k, o, s);
    }
    PutResult put(std::string_view k, Bytes d, const PutOptions& o, std::stop_token s) override {
      return inner_.put(k, d, o, s);
    }
    Upload begin(std::string_view k, const PutOptions& o, std::stop_token s) override { return inner_.begin(k, o, s); }
    Part put_part(const Upload& u, Part p, Bytes d, std::stop_token s) override { return inner_.put_part(u, p, d, s); }
    PutResult complete(const Upload& u, std::span<const Part> p, std::stop_token s) override {
      return inner_.complete(u, p, s);
    }
    void abort(const Upload& u) noexcept override { inner_.abort(u); }
    void list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
              std::stop_token stop) override {
      unsigned seen = 0;
      inner_.list(
          options, [&](const ObjectInfo& object) { return stumble(seen), visit(object); },
          [&](std::string_view prefix) { return stumble(seen), visit_prefix(prefix); }, stop);
    }
    PutResult copy(std::string_view f, std::string_view t, const PutOptions& o, std::stop_token s) override {
      return inner_.copy(f, t, o, s);
    }
    std::vector<RemoveFailure> remove(std::span<const std::string> k, std::stop_token s) override {
      return inner_.remove(k, s);
    }

   private:
    // The second, because going on after a prefix shows that prefix once more.
    static void stumble(unsigned& seen) {
      if (++seen > 2) throw Error(Errc::network, "reset");
    }
    Store& inner_;
  };
  const auto store = with_retry(std::make_unique<Stumbling>(*memory_), {.attempts = 100}, log_, clock_);
  std::vector<std::string> found;
  const auto visit = [&](const ObjectInfo& object) { return found.push_back(object.key), true; };
  store->list({}, visit, {});
  EXPECT_THAT(found, ElementsAre("a", "b/1", "b/2", "c", "d/1", "e"));
  found.clear();
  store->list({.one_level = true}, visit, [&](std::string_view prefix) { return found.emplace_back(prefix), true; },
              {});
  EXPECT_THAT(found, ElementsAre("a", "b/", "c", "d/", "e"));
  EXPECT_THAT(log_.text(), HasSubstr("list : reset"));
}

TEST_F(Retry, everyKindOfRequestIsRepeated) {
  make();
  memory_->put("k", bytes_of("text"), {}, {});
  const std::vector<std::string> keys{"k"};
  Upload upload;
  std::vector<Part> parts;
  std::vector<std::byte> buffer(10);
  const std::vector<std::pair<std::string, std::function<void()>>> requests{
      {"stat", [&] { EXPECT_EQ(store_->stat_each(keys, {}).size(), 1u); }},
      {"open", [&] { EXPECT_EQ(read_full(*store_->try_open("k", {}, {}), buffer), 4u); }},
      {"begin", [&] { upload = store_->begin("u", {}, {}); }},
      {"put_part", [&] { parts = {store_->put_part(upload, {}, bytes_of("part"), {})}; }},
      {"complete", [&] { EXPECT_EQ(store_->complete(upload, parts, {}).object.bytes, 4u); }},
      {"remove", [&] { EXPECT_TRUE(store_->remove(keys, {}).empty()); }},
  };
  for (const auto& [operation, request] : requests) {
    for (const bool after : {false, true}) {
      asked_.clear();
      fail_next(operation, 2, Errc::network, after);
      request();
      EXPECT_EQ(std::count(asked_.begin(), asked_.end(), operation), 3) << operation;
    }
  }
  EXPECT_EQ(stored("u"), "part");
  EXPECT_EQ(stored("k"), "(absent)");
}

TEST_F(Retry, aStoreWithoutVersionsSaysSo) {
  make();
  EXPECT_FALSE(store_->keeps_versions());
  const std::vector<ObjectVersion> one{{"k", "1"}};
  EXPECT_EQ(failure_of([&] { store_->remove_versions(one, {}); }).first, Errc::unsupported);
  EXPECT_THAT(asked_, ElementsAre("remove"));
}

TEST_F(Retry, theCallerLearnsWhatWasOpened) {
  make();
  const ObjectInfo put = memory_->put("k", bytes_of("text"), {}, {}).object;
  ObjectInfo opened;
  const auto source = store_->try_open("k", {.opened = &opened}, {});
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(opened.version, put.version);
  EXPECT_EQ(opened.bytes, 4u);
}

TEST(Faulty, numbersRequestsAndShowsBothSides) {
  ManualClock clock{Time(1'700'000'000s)};
  std::vector<std::string> seen;
  const auto store = with_faults(make_memory_store(clock), [&](const Request& request) {
    seen.push_back(
        fmt::format("{} {} {}{}", request.ordinal, request.operation, request.key, request.after ? " done" : ""));
    if (request.operation == "remove" && !request.after) throw Error(Errc::denied, "planned");
  });
  store->put("k", bytes_of("x"), {}, {});
  std::vector<std::byte> buffer(10);
  EXPECT_EQ(store->try_open("k", {}, {})->read(buffer), 1u);
  EXPECT_THROW(store->remove(std::vector<std::string>{"k"}, {}), Error);
  EXPECT_TRUE(store->stat("k", {}).has_value());
  EXPECT_THAT(seen, ElementsAre("1 put k", "1 put k done", "2 open k", "2 open k done", "3 read k", "3 read k done",
                                "4 remove k", "5 stat k", "5 stat k done"));
}

}  // namespace
}  // namespace seawall::storage
