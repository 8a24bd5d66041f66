#include "storage/memory/memory_store.hh"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.hh"
#include "storage/request.hh"

namespace seawall::storage {
namespace {

using Content = std::vector<std::byte>;

struct Object {
  ObjectInfo info;
  // Owned by the map and by the sources that still read it after it was replaced or removed.
  std::shared_ptr<const Content> content;
};

class ContentSource final : public Source {
 public:
  ContentSource(std::shared_ptr<const Content> content, Extent extent, std::string key, std::stop_token stop)
      : content_(std::move(content)), rest_(extent), key_(std::move(key)), stop_(std::move(stop)) {}

  std::size_t read(MutableBytes into) override {
    check_stop(stop_, "read", key_);
    const std::size_t n = std::min(into.size(), static_cast<std::size_t>(rest_.length));
    std::copy_n(content_->begin() + static_cast<std::ptrdiff_t>(rest_.offset), n, into.begin());
    rest_.offset += n;
    rest_.length -= n;
    return n;
  }

 private:
  std::shared_ptr<const Content> content_;
  Extent rest_;
  std::string key_;
  std::stop_token stop_;
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(Clock& clock) : clock_(clock) {}

  std::string description() const override { return "memory:"; }
  UploadShape upload_shape(std::optional<std::uint64_t>) const override { return {}; }
  std::optional<ObjectInfo> stat(std::string_view key, std::stop_token stop) override;
  std::unique_ptr<Source> try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) override;
  PutResult put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) override;
  Upload begin(std::string_view key, const PutOptions& options, std::stop_token stop) override;
  Part put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) override;
  PutResult complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) override;
  void abort(const Upload& upload) noexcept override;
  using Store::list;
  void list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
            std::stop_token stop) override;
  PutResult copy(std::string_view from, std::string_view to, const PutOptions& options, std::stop_token stop) override;
  std::vector<RemoveFailure> remove(std::span<const std::string> keys, std::stop_token stop) override;

 private:
  struct Pending {
    std::map<unsigned, Content> parts;
    std::optional<PutResult> finished;  // the answer, for whoever asks again
  };

  PutResult store(std::string_view key, std::shared_ptr<const Content> content, const PutOptions& options);
  std::optional<ObjectInfo> next(std::string_view prefix, std::string_view from, bool inclusive);
  Pending& pending(const Upload& upload);

  Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Object, std::less<>> objects_;
  std::map<std::string, Pending> uploads_;
  std::uint64_t versions_ = 0;
  std::uint64_t ids_ = 0;
};

std::optional<ObjectInfo> MemoryStore::stat(std::string_view key, std::stop_token stop) {
  check_stop(stop, "stat", key);
  check_key(key);
  std::lock_guard lock(mutex_);
  const auto found = objects_.find(key);
  if (found == objects_.end()) return std::nullopt;
  return found->second.info;
}

std::unique_ptr<Source> MemoryStore::try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) {
  check_stop(stop, "open", key);
  check_key(key);
  std::lock_guard lock(mutex_);
  const auto found = objects_.find(key);
  if (found == objects_.end()) return nullptr;
  const Object& object = found->second;
  if (!options.if_version.empty()) check_version(key, &object.info, options.if_version);
  if (options.opened != nullptr) *options.opened = object.info;
  return std::make_unique<ContentSource>(object.content, clip(options.range, object.info.bytes), object.info.key,
                                         std::move(stop));
}

// The caller holds the mutex.
PutResult MemoryStore::store(std::string_view key, std::shared_ptr<const Content> content, const PutOptions& options) {
  const auto found = objects_.find(key);
  const ObjectInfo* there = found == objects_.end() ? nullptr : &found->second.info;
  if (options.only_if_absent && there != nullptr) return {.created = false, .object = *there};
  if (!options.if_version.empty()) check_version(key, there, options.if_version);
  ObjectInfo info{.key = std::string(key),
                  .bytes = content->size(),
                  .modified = clock_.wall(),
                  .version = std::to_string(++versions_)};
  objects_.insert_or_assign(info.key, Object{info, std::move(content)});
  return {.created = true, .object = std::move(info)};
}

PutResult MemoryStore::put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) {
  check_put(stop, "put", key, options);
  auto content = std::make_shared<const Content>(data.begin(), data.end());
  std::lock_guard lock(mutex_);
  return store(key, std::move(content), options);
}

Upload MemoryStore::begin(std::string_view key, const PutOptions& options, std::stop_token stop) {
  check_put(stop, "begin", key, options);
  std::lock_guard lock(mutex_);
  std::string id = std::to_string(++ids_);
  uploads_.emplace(id, Pending{});
  return {.key = std::string(key), .id = std::move(id), .options = options};
}

// The caller holds the mutex.
MemoryStore::Pending& MemoryStore::pending(const Upload& upload) {
  const auto found = uploads_.find(upload.id);
  if (found == uploads_.end()) {
    throw Error(Errc::not_found, fmt::format("{}: upload {} is not under way", upload.key, upload.id));
  }
  return found->second;
}

Part MemoryStore::put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) {
  check_stop(stop, "put_part", upload.key);
  Content content(data.begin(), data.end());
  std::lock_guard lock(mutex_);
  pending(upload).parts.insert_or_assign(part.number, std::move(content));
  part.bytes = data.size();
  return part;
}

PutResult MemoryStore::complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) {
  check_stop(stop, "complete", upload.key);
  const std::uint64_t total = total_bytes(upload.key, parts);
  std::lock_guard lock(mutex_);
  Pending& state = pending(upload);
  if (state.finished) return *state.finished;
  Content whole;
  whole.reserve(total);
  for (const Part& part : parts) {
    const auto found = state.parts.find(part.number);
    if (found == state.parts.end() || found->second.size() != part.bytes) {
      throw Error(Errc::bug, fmt::format("{}: part {} of {} bytes was not put", upload.key, part.number, part.bytes));
    }
    whole.insert(whole.end(), found->second.begin(), found->second.end());
  }
  state.finished = store(upload.key, std::make_shared<const Content>(std::move(whole)), upload.options);
  state.parts.clear();
  return *state.finished;
}

void MemoryStore::abort(const Upload& upload) noexcept {
  std::lock_guard lock(mutex_);
  uploads_.erase(upload.id);
}

// One object at a time, so that no lock is held while the caller looks at it.
std::optional<ObjectInfo> MemoryStore::next(std::string_view prefix, std::string_view from, bool inclusive) {
  std::lock_guard lock(mutex_);
  const auto found = inclusive ? objects_.lower_bound(from) : objects_.upper_bound(from);
  if (found == objects_.end() || !found->first.starts_with(prefix)) return std::nullopt;
  return found->second.info;
}

void MemoryStore::list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
                       std::stop_token stop) {
  std::string from = std::max(options.prefix, options.start_after);
  bool inclusive = options.start_after < options.prefix;
  while (true) {
    check_stop(stop, "list", options.prefix);
    const auto object = next(options.prefix, from, inclusive);
    if (!object) return;
    const std::size_t slash = options.one_level ? object->key.find('/', options.prefix.size()) : std::string::npos;
    if (slash == std::string::npos) {
      if (!visit(*object)) return;
      from = object->key;
      inclusive = false;
    } else {
      from = object->key.substr(0, slash + 1);
      if (!visit_prefix(from)) return;
      from.back() = '/' + 1;  // the first key that can follow all that were folded
      inclusive = true;
    }
  }
}

PutResult MemoryStore::copy(std::string_view from, std::string_view to, const PutOptions& options,
                            std::stop_token stop) {
  check_put(stop, "copy", to, options);
  check_key(from);
  std::lock_guard lock(mutex_);
  const auto found = objects_.find(from);
  if (found == objects_.end()) throw Error(Errc::not_found, fmt::format("copy {} to {}: no such object", from, to));
  return store(to, found->second.content, options);
}

std::vector<RemoveFailure> MemoryStore::remove(std::span<const std::string> keys, std::stop_token stop) {
  for (const std::string& key : keys) check_key(key);
  for (const std::string& key : keys) {
    check_stop(stop, "remove", key);
    std::lock_guard lock(mutex_);
    objects_.erase(key);
  }
  return {};
}

}  // namespace

std::unique_ptr<Store> make_memory_store(Clock& clock) { return std::make_unique<MemoryStore>(clock); }

}  // namespace seawall::storage
