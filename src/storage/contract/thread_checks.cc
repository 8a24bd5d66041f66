// Many threads at once.
#include <array>
#include <atomic>

#include "base/work.hh"
#include "storage/contract/subject.hh"

namespace seawall::storage::contract {
namespace {

using storage::PutResult;
using storage::Store;

constexpr unsigned threads = 8;

/// Runs `job(0)` to `job(7)` at the same time and rethrows the first failure.
template <class F>
void together(F&& job) {
  WorkerGroup workers({});
  for (unsigned i = 0; i < threads; ++i) {
    workers.start([&job, i](const std::stop_token&) { job(i); });
  }
  workers.join();
}

void one_of_many_creates(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  for (unsigned round = 0; round < 8; ++round) {
    const std::string name = fmt::format("round/{}/x", round);
    std::atomic<unsigned> created = 0;
    std::atomic<unsigned> winner = threads;
    together([&](unsigned i) {
      const std::string text = fmt::format("content of {}", i);
      const PutResult result = s.put(name, text, {.only_if_absent = true});
      if (result.created) {
        ++created;
        winner = i;
      }
      expect_equal(result.object.bytes, text.size(), "both answers describe the object");
    });
    expect_equal(created.load(), 1u, "exactly one of many creates");
    s.expect_content(name, fmt::format("content of {}", winner.load()));
  }
}

void one_of_many_replaces_a_version(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  for (unsigned round = 0; round < 8; ++round) {
    const std::string version = s.put("x", "seed").object.version;
    if (version.empty()) return;
    std::atomic<unsigned> replaced = 0;
    std::atomic<unsigned> winner = threads;
    together([&](unsigned i) {
      try {
        s.put("x", fmt::format("content of {}", i), {.if_version = version});
        ++replaced;
        winner = i;
      } catch (const Error& error) {
        expect(error.code() == Errc::differs, error.what());
      }
    });
    expect_equal(replaced.load(), 1u, "exactly one of many replaces a version");
    s.expect_content("x", fmt::format("content of {}", winner.load()));
  }
}

void readers_see_whole_objects(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::string first(400000, '1');
  const std::string second(700001, '2');
  s.put("x", first);
  together([&](unsigned i) {
    for (unsigned round = 0; round < 10; ++round) {
      if (i % 2 == 0) {
        s.put("x", (round + i / 2) % 2 == 0 ? first : second);
        continue;
      }
      try {
        const auto found = s.get("x");
        expect(found.has_value(), "an object that is replaced is never absent");
        expect(*found == first || *found == second, "a reader sees one whole content");
      } catch (const Error& error) {
        expect(error.code() == Errc::differs, error.what());
      }
    }
  });
}

void removals_do_not_hurt_neighbours(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  together([&](unsigned i) {
    for (unsigned round = 0; round < 25; ++round) {
      const std::string name = fmt::format("shared/deep/{}", i);
      const std::string text = fmt::format("{} of {}", round, i);
      expect(s.put(name, text, {.only_if_absent = true}).created, "a thread's own object is created");
      s.expect_content(name, text);
      s.remove({name});
      expect(!s.stat(name), "what was removed is absent");
    }
  });
  expect_equal(s.list(), {}, "all are removed");
}

void parts_come_from_many_threads(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::size_t part_bytes = std::max(std::size_t{512} << 10, store.upload_shape(std::nullopt).least_part_bytes);
  const Noise noise(threads * part_bytes - 12345);
  const storage::Upload upload = store.begin(s.key("x"), {}, {});
  std::array<storage::Part, threads> parts;
  together([&](unsigned i) {
    const std::size_t offset = i * part_bytes;
    const Bytes body = noise.bytes().subspan(offset, std::min(part_bytes, noise.bytes().size() - offset));
    parts[i] = store.put_part(upload, {.number = i + 1, .offset = offset}, body, {});
  });
  expect_equal(store.complete(upload, parts, {}).object.bytes, noise.bytes().size(), "all parts are there");
  s.expect_content("x", noise.text());
}

constexpr std::array checks{
    StoreCheck{"one_of_many_creates", one_of_many_creates},
    StoreCheck{"one_of_many_replaces_a_version", one_of_many_replaces_a_version},
    StoreCheck{"readers_see_whole_objects", readers_see_whole_objects},
    StoreCheck{"removals_do_not_hurt_neighbours", removals_do_not_hurt_neighbours},
    StoreCheck{"parts_come_from_many_threads", parts_come_from_many_threads},
};

}  // namespace

std::span<const StoreCheck> thread_checks() { return checks; }

}  // namespace seawall::storage::contract
