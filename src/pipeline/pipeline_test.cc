#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <random>

#include "pipeline/object_reader.hh"
#include "pipeline/object_writer.hh"
#include "storage/memory/memory_store.hh"
#include "storage/wrap/faulty.hh"

namespace seawall::pipeline {
namespace {

class Pipeline : public testing::Test {
 protected:
  static Repository repository_on(std::unique_ptr<storage::Store> store, std::string_view codec = "lz4") {
    return {.store = std::move(store), .prefix = "main/", .codec = codec::find_codec(codec)};
  }
  static std::string bytes(std::size_t size, unsigned seed) {
    std::mt19937 random(seed);
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i % 3 == 0 ? random() : 'a');
    return text;
  }
  static Stored put(const Repository& repository, std::string_view name, const std::string& content,
                    storage::PutOptions options = {}) {
    EncodedObjectWriter writer(repository, name, std::move(options), {.key = name, .size_hint = content.size()}, {});
    writer.filter().write(bytes_of(content));
    return writer.commit();
  }
  static std::string get(const Repository& repository, std::string_view name) {
    const auto found = find_encoded(repository, name, {});
    if (!found) return "absent";
    StringSink text;
    pull(repository, found->object, *found->codec, text, {});
    return text.text();
  }
  static Errc code_of(const std::function<void()>& action, std::string& message) {
    try {
      action();
    } catch (const Error& error) {
      message = error.what();
      return error.code();
    }
    return Errc::bug;
  }

  ManualClock clock_{Time(std::chrono::seconds(1'000'000))};
};

TEST_F(Pipeline, ObjectsOfEverySizeComeBack) {
  const Repository repository = repository_on(storage::make_memory_store(clock_));
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65536}, std::size_t{9'000'001}}) {
    const std::string content = bytes(size, static_cast<unsigned>(size));
    const std::string name = "wal_005/" + std::to_string(size);
    const Stored stored = put(repository, name, content);
    EXPECT_EQ(stored.object.key, "main/" + name + ".lz4");
    EXPECT_EQ(get(repository, name), content) << size << " bytes";
  }
}

TEST_F(Pipeline, DigestIsOfTheStoredBytesInBothDirections) {
  const Repository repository = repository_on(storage::make_memory_store(clock_));
  const Stored stored = put(repository, "x", bytes(10'000'000, 7));
  StringSink text;
  EXPECT_EQ(pull(repository, stored.object, *repository.codec, text, {}).digest, stored.digest);
}

TEST_F(Pipeline, AKnownDigestIsHeldAgainstWhatComes) {
  const Repository repository = repository_on(storage::make_memory_store(clock_), "none");
  const Stored stored = put(repository, "x", "what was written");
  StringSink text;
  pull(repository, stored.object, *repository.codec, text, {}, stored.digest);
  EXPECT_EQ(text.text(), "what was written");
  const storage::PutResult other = repository.store->put("main/x", bytes_of("something else !"), {}, {});
  std::string message;
  EXPECT_EQ(code_of([&] { pull(repository, other.object, *repository.codec, text, {}, stored.digest); }, message),
            Errc::corrupt);
  EXPECT_NE(message.find(stored.digest.hex()), std::string::npos) << message;
}

TEST_F(Pipeline, WithoutCommitThereIsNothing) {
  const Repository repository = repository_on(storage::make_memory_store(clock_));
  {
    EncodedObjectWriter writer(repository, "x", {}, {.key = "x"}, {});
    writer.filter().write(bytes_of(bytes(20'000'000, 1)));
  }
  EXPECT_EQ(get(repository, "x"), "absent");
}

TEST_F(Pipeline, AFailedPartLeavesNothing) {
  auto store = storage::with_faults(storage::make_memory_store(clock_), [](const storage::Request& request) {
    if (request.operation == "complete") throw Error(Errc::network, "broken");
  });
  const Repository repository = repository_on(std::move(store));
  std::string message;
  EXPECT_EQ(code_of([&] { put(repository, "x", bytes(20'000'000, 1)); }, message), Errc::network);
  EXPECT_EQ(get(repository, "x"), "absent");
}

TEST_F(Pipeline, OnlyIfAbsentTellsThatItWasThere) {
  const Repository repository = repository_on(storage::make_memory_store(clock_));
  EXPECT_TRUE(put(repository, "x", "first", {.only_if_absent = true}).created);
  EXPECT_FALSE(put(repository, "x", "second", {.only_if_absent = true}).created);
  EXPECT_EQ(get(repository, "x"), "first");
}

TEST_F(Pipeline, FindsAnObjectUnderAnotherCodecsSuffix) {
  Repository repository = repository_on(storage::make_memory_store(clock_), "none");
  put(repository, "wal_005/a", "plain");
  repository.codec = codec::find_codec("lz4");
  EXPECT_EQ(get(repository, "wal_005/a"), "plain");
}

TEST_F(Pipeline, ASuffixThatCannotBeReadIsNamed) {
  std::string message;
  EXPECT_EQ(code_of([&] { codec_of_key("main/part_001.tar.arj"); }, message), Errc::unsupported);
  EXPECT_NE(message.find(".arj"), std::string::npos) << message;
}

TEST_F(Pipeline, EncryptsBehindTheCodecAndDecryptsInFrontOfIt) {
  Repository repository = repository_on(storage::make_memory_store(clock_));
  repository.crypter = crypto::make_libsodium(
      {.key = {.setting = "WALG_LIBSODIUM_KEY", .text = std::string(32, 'k'), .path = {}}, .transform = "none"});
  const std::string content = bytes(3'000'000, 7);
  const Stored stored = put(repository, "x", content);
  EXPECT_EQ(stored.object.key, "main/x.lz4");
  EXPECT_EQ(get(repository, "x"), content);
  Repository plain = repository;
  plain.crypter = nullptr;
  std::string message;
  EXPECT_EQ(code_of([&] { get(plain, "x"); }, message), Errc::corrupt);
  put(plain, "y", content);
  EXPECT_EQ(code_of([&] { get(repository, "y"); }, message), Errc::config);
  EXPECT_NE(message.find("main/y.lz4"), std::string::npos) << message;
}

TEST_F(Pipeline, EmptyTruncatedAndDamagedObjectsAreCorruptAndNamed) {
  const Repository repository = repository_on(storage::make_memory_store(clock_));
  const std::string content = bytes(300'000, 3);
  put(repository, "x", content);
  const std::string stored = *try_get(repository, "x.lz4", {});
  std::string flipped = stored;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 1);
  for (const std::string& bad : {std::string(), stored.substr(0, stored.size() - 4), stored.substr(0, 1000), flipped}) {
    repository.store->put("main/x.lz4", bytes_of(bad), {}, {});
    std::string message;
    EXPECT_EQ(code_of([&] { get(repository, "x"); }, message), Errc::corrupt) << bad.size() << " bytes";
    EXPECT_NE(message.find("main/x.lz4"), std::string::npos) << message;
  }
}

TEST_F(Pipeline, PartNamesTellTheirCodec) {
  EXPECT_EQ(codec_of_key("a/part_001.tar.lz4").name, "lz4");
  EXPECT_EQ(codec_of_key("a/part_001.tar").name, "none");
  std::string message;
  EXPECT_EQ(code_of([&] { codec_of_key("a/part_001.tar.xyz"); }, message), Errc::unsupported);
  EXPECT_NE(message.find(".xyz"), std::string::npos) << message;
}

/// A store whose parts have 1 MiB and may travel together; counts how many do.
class PartedStore final : public storage::Store {
 public:
  explicit PartedStore(std::unique_ptr<storage::Store> inner, std::size_t part_bytes, unsigned parts_in_flight)
      : shape{part_bytes, parts_in_flight}, inner_(std::move(inner)) {}
  std::string description() const override { return inner_->description(); }
  storage::UploadShape upload_shape(std::optional<std::uint64_t>) const override { return shape; }
  std::optional<storage::ObjectInfo> stat(std::string_view key, std::stop_token stop) override {
    return inner_->stat(key, stop);
  }
  std::unique_ptr<Source> try_open(std::string_view key, const storage::ReadOptions& options,
                                   std::stop_token stop) override {
    return inner_->try_open(key, options, stop);
  }
  storage::PutResult put(std::string_view key, Bytes data, const storage::PutOptions& options,
                         std::stop_token stop) override {
    return inner_->put(key, data, options, stop);
  }
  storage::Upload begin(std::string_view key, const storage::PutOptions& options, std::stop_token stop) override {
    return inner_->begin(key, options, stop);
  }
  storage::Part put_part(const storage::Upload& upload, storage::Part part, Bytes data, std::stop_token stop) override {
    {
      std::unique_lock lock(mutex_);
      largest_part = std::max(largest_part, data.size());
      most_together = std::max(most_together, ++together_);
      // Waits for company, so that the test sees parts travel together whenever they may.
      changed_.notify_all();
      changed_.wait_for(lock, std::chrono::milliseconds(200), [&] { return together_ >= wanted_together; });
    }
    if (fail_part == part.number) {
      leave();
      throw Error(Errc::network, "part " + std::to_string(part.number) + " was lost");
    }
    part = inner_->put_part(upload, std::move(part), data, stop);
    leave();
    return part;
  }
  storage::PutResult complete(const storage::Upload& upload, std::span<const storage::Part> parts,
                              std::stop_token stop) override {
    return inner_->complete(upload, parts, stop);
  }
  void abort(const storage::Upload& upload) noexcept override {
    ++aborted;
    inner_->abort(upload);
  }
  void list(const storage::ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
            std::stop_token stop) override {
    inner_->list(options, visit, visit_prefix, stop);
  }
  storage::PutResult copy(std::string_view from, std::string_view to, const storage::PutOptions& options,
                          std::stop_token stop) override {
    return inner_->copy(from, to, options, stop);
  }
  std::vector<storage::RemoveFailure> remove(std::span<const std::string> keys, std::stop_token stop) override {
    return inner_->remove(keys, stop);
  }

  storage::UploadShape shape;
  unsigned wanted_together = 1;
  unsigned most_together = 0;
  unsigned fail_part = 0;
  std::size_t largest_part = 0;
  int aborted = 0;

 private:
  void leave() {
    std::lock_guard lock(mutex_);
    --together_;
  }

  const std::unique_ptr<storage::Store> inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned together_ = 0;
};

class PartsInFlight : public Pipeline {
 protected:
  static constexpr std::size_t mib = std::size_t{1} << 20;

  Repository repository(std::size_t part_bytes, unsigned parts_in_flight, std::size_t pool_bytes) {
    store_ = std::make_shared<PartedStore>(storage::make_memory_store(clock_), part_bytes, parts_in_flight);
    return {.store = store_,
            .prefix = "main/",
            .codec = codec::find_codec("none"),
            .parts = std::make_shared<PartPool>(pool_bytes, 8)};
  }

  std::shared_ptr<PartedStore> store_;
};

TEST_F(PartsInFlight, TravelTogetherAndComeBackInOrder) {
  const Repository to = repository(mib, 4, 16 * mib);
  store_->wanted_together = 4;
  const std::string content = bytes(10 * mib + 77, 1);
  const Stored stored = put(to, "big", content);
  EXPECT_EQ(stored.object.bytes, content.size());
  EXPECT_EQ(stored.digest, digest_of(bytes_of(content)));
  EXPECT_EQ(get(to, "big"), content);
  EXPECT_EQ(store_->most_together, 4U);
}

TEST_F(PartsInFlight, AreAsManyAsThePoolHasMemoryFor) {
  const Repository to = repository(mib, 8, 2 * mib);
  store_->wanted_together = 3;
  const std::string content = bytes(5 * mib, 2);
  put(to, "big", content);
  EXPECT_EQ(get(to, "big"), content);
  EXPECT_EQ(store_->most_together, 2U);
}

TEST_F(PartsInFlight, GoOnWithoutMemoryForFurtherOnes) {
  const Repository to = repository(mib, 8, 0);
  const std::string content = bytes(3 * mib, 3);
  put(to, "big", content);
  EXPECT_EQ(get(to, "big"), content);
  EXPECT_EQ(store_->most_together, 1U);
}

TEST_F(PartsInFlight, EndWithTheFirstFailureAndLeaveNothing) {
  const Repository to = repository(mib, 4, 16 * mib);
  for (const unsigned lost : {1U, 3U, 6U}) {
    store_->fail_part = lost;
    store_->aborted = 0;
    std::string message;
    EXPECT_EQ(code_of([&] { put(to, "big", bytes(6 * mib, 4)); }, message), Errc::network);
    EXPECT_EQ(message, "part " + std::to_string(lost) + " was lost");
    EXPECT_EQ(store_->aborted, 1);
    EXPECT_EQ(get(to, "big"), "absent");
  }
}

TEST_F(PartsInFlight, DoubleEveryThousandSoThatTenThousandHoldAnyObject) {
  const std::string content = bytes(1000 * 4096 + 3 * 8192 + 1, 5);
  const auto largest_part = [&](std::optional<std::uint64_t> expected_bytes) {
    const Repository to = repository(4096, 4, mib);
    ObjectWriter writer(to, "big", {}, expected_bytes, {});
    writer.write(bytes_of(content));
    writer.commit();
    EXPECT_EQ(get(to, "big"), content);
    return store_->largest_part;
  };
  EXPECT_EQ(largest_part(std::nullopt), 8192U);
  EXPECT_EQ(largest_part(content.size()), 4096U) << "parts of one size are enough";
  EXPECT_EQ(largest_part(5000), 8192U) << "more came than was expected";
  EXPECT_EQ(largest_part(std::uint64_t{10'000} * 4096), 8192U) << "parts of one size, kept small, are not enough";
}

TEST_F(PartsInFlight, AreNoLargerThanTheStoreTakes) {
  const Repository to = repository(4096, 4, mib);
  store_->shape.most_part_bytes = 5000;
  ObjectWriter writer(to, "big", {}, std::nullopt, {});
  writer.write(bytes_of(bytes(1002 * 4096, 6)));
  writer.commit();
  EXPECT_EQ(store_->largest_part, 5000U);
}

}  // namespace
}  // namespace seawall::pipeline
