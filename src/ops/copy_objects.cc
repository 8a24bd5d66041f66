#include "ops/copy_objects.hh"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "base/work.hh"
#include "pipeline/object_writer.hh"

namespace seawall::ops {
namespace {

constexpr unsigned workers_at_once = 8;  // as WAL-G
constexpr std::size_t copy_bytes = std::size_t{512} << 10;
constexpr std::uint64_t small_bytes = std::uint64_t{64} << 10;
constexpr std::uint64_t tail_bytes = 4096;

/// The whole of a small object, the end of a large one.
std::optional<std::string> telling_bytes(const pipeline::Repository& repository, const CopyItem& item, const Run& run) {
  storage::ReadOptions options;
  if (item.bytes > small_bytes) options.range.offset = item.bytes - tail_bytes;
  const auto source = repository.store->try_open(repository.key(item.name), options, run.stop);
  if (source == nullptr) return std::nullopt;
  std::string text(static_cast<std::size_t>(std::min(item.bytes, small_bytes)) + 1, '\0');
  text.resize(read_full(*source, std::as_writable_bytes(std::span(text.data(), text.size()))));
  return text;
}

}  // namespace

ObjectCopier::ObjectCopier(const pipeline::Repository& from, const pipeline::Repository& to)
    : from_(from), to_(to), within_(from.store->description() == to.store->description()) {}

bool ObjectCopier::same(const CopyItem& item, const Run& run) const {
  return telling_bytes(from_, item, run) == telling_bytes(to_, item, run);
}

void ObjectCopier::check_there(const CopyItem& item, const Run& run) {
  if (!same(item, run)) {
    throw Error(Errc::differs, fmt::format("'{}' is in {} already, with another content than in {}", to_.key(item.name),
                                           to_.store->description(), from_.store->description()));
  }
  ++there;
}

void ObjectCopier::copy(const CopyItem& item, const Run& run) {
  run.check();
  storage::PutOptions options{.only_if_absent = true};
  if (item.there && item.replaceable && !same(item, run)) {
    options = {};
  } else if (item.there) {
    return check_there(item, run);
  }
  if (!within_ || !copy_within(item, options, run)) stream(item, options, run);
}

/// False if the store will not: what may read one archive need not be allowed to write the other.
bool ObjectCopier::copy_within(const CopyItem& item, const storage::PutOptions& options, const Run& run) {
  try {
    const storage::PutResult result = to_.store->copy(from_.key(item.name), to_.key(item.name), options, run.stop);
    if (!result.created) {
      check_there(item, run);
      return true;
    }
    ++objects;
    bytes += result.object.bytes;
    return true;
  } catch (const Error& error) {
    if (error.code() != Errc::denied && error.code() != Errc::unsupported) throw;
    within_ = false;
    run.log.info("the store does not copy by itself ({}); objects are read and written instead", error.what());
    return false;
  }
}

void ObjectCopier::stream(const CopyItem& item, const storage::PutOptions& options, const Run& run) {
  storage::ObjectInfo opened;
  const auto source = from_.store->try_open(from_.key(item.name), {.opened = &opened}, run.stop);
  if (source == nullptr) {
    throw Error(Errc::not_found, fmt::format("'{}' was removed from {} while it was copied", from_.key(item.name),
                                             from_.store->description()));
  }
  pipeline::ObjectWriter writer(to_, item.name, options, opened.bytes, run.stop);
  Digester digester;
  while (true) {
    run.check();
    const MutableBytes room = writer.space();
    const std::size_t n = source->read(room.first(std::min(room.size(), copy_bytes)));
    if (n == 0) break;
    if (item.digest) digester.update(room.first(n));
    writer.filled(n);
  }
  if (item.digest && digester.value() != *item.digest) {
    throw Error(Errc::corrupt, fmt::format("'{}' in {} does not hold the bytes that were written: their digest is {}, "
                                           "recorded is {}; it was not copied",
                                           from_.key(item.name), from_.store->description(), digester.value().hex(),
                                           item.digest->hex()));
  }
  if (!writer.commit().created) return check_there(item, run);
  ++objects;
  bytes += opened.bytes;
}

void ObjectCopier::copy_all(const std::function<std::optional<CopyItem>()>& next, const Run& run) {
  std::mutex mutex;
  WorkerGroup workers(run.stop);
  for (unsigned i = 0; i < workers_at_once; ++i) {
    workers.start([&](std::stop_token stop) {
      const Run mine = run.with(stop);
      while (true) {
        std::optional<CopyItem> item;
        {
          std::lock_guard lock(mutex);
          item = next();
        }
        if (!item) return;
        copy(*item, mine);
      }
    });
  }
  workers.join();
}

}  // namespace seawall::ops
