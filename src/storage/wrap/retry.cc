#include "storage/wrap/retry.hh"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <utility>

#include "base/error.hh"
#include "storage/wrap/repeater.hh"

namespace seawall::storage {
namespace {

bool same_content(Source& a, Source& b) {
  AlignedBuffer left(std::size_t{256} << 10);
  AlignedBuffer right(left.size());
  while (true) {
    const std::size_t n = read_full(a, left.span());
    const std::size_t m = read_full(b, right.span());
    if (n != m || std::memcmp(left.data(), right.data(), n) != 0) return false;
    if (n == 0) return true;
  }
}

class RetrySource final : public Source {
 public:
  RetrySource(Store& store, Repeater& repeat, std::unique_ptr<Source> opened, ObjectInfo object, Range range,
              std::stop_token stop)
      : store_(store),
        repeat_(repeat),
        source_(std::move(opened)),
        object_(std::move(object)),
        range_(range),
        stop_(std::move(stop)) {}

  std::size_t read(MutableBytes into) override {
    return repeat_("read", object_.key, stop_, [&] { return try_read(into); });
  }

 private:
  std::size_t try_read(MutableBytes into) {
    if (!source_) reopen();
    // Given up unless it answers: after a failure a source's position is unknown.
    auto source = std::exchange(source_, nullptr);
    const std::size_t n = source->read(into);
    source_ = std::move(source);
    range_.offset += n;
    if (range_.length) *range_.length -= n;
    return n;
  }

  void reopen() {
    ObjectInfo now;
    source_ = store_.try_open(object_.key, {.range = range_, .if_version = object_.version, .opened = &now}, stop_);
    if (!source_) {
      throw Error(Errc::differs, fmt::format("{}: removed while it was read, {} bytes in", object_.key, range_.offset));
    }
    // For stores without versions.
    if (now.bytes != object_.bytes || now.modified != object_.modified) {
      source_ = nullptr;
      throw Error(Errc::differs,
                  fmt::format("{}: replaced while it was read, {} bytes in", object_.key, range_.offset));
    }
  }

  Store& store_;
  Repeater& repeat_;
  std::unique_ptr<Source> source_;
  ObjectInfo object_;
  Range range_;  // what is still to be read
  std::stop_token stop_;
};

class RetryStore final : public Store {
 public:
  RetryStore(std::unique_ptr<Store> inner, RetryPolicy policy, Log& log, Clock& clock)
      : inner_(std::move(inner)), repeat_(policy, log, clock) {}

  std::string description() const override { return inner_->description(); }
  UploadShape upload_shape(std::optional<std::uint64_t> expected_bytes) const override {
    return inner_->upload_shape(expected_bytes);
  }

  std::optional<ObjectInfo> stat(std::string_view key, std::stop_token stop) override {
    return repeat_("stat", key, stop, [&] { return inner_->stat(key, stop); });
  }

  void settle(std::string_view key, std::stop_token stop) override {
    repeat_("settle", key, stop, [&] {
      inner_->settle(key, stop);
      return 0;
    });
  }
  std::vector<Feature> features(std::stop_token stop) override {
    return repeat_("features", {}, stop, [&] { return inner_->features(stop); });
  }
  std::vector<ObjectInfo> stat_each(std::span<const std::string> keys, std::stop_token stop) override {
    const std::string_view first = keys.empty() ? std::string_view() : keys.front();
    return repeat_("stat", first, stop, [&] { return inner_->stat_each(keys, stop); });
  }

  std::unique_ptr<Source> try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) override;
  PutResult put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) override;

  Upload begin(std::string_view key, const PutOptions& options, std::stop_token stop) override {
    return repeat_("begin", key, stop, [&] { return inner_->begin(key, options, stop); });
  }

  Part put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) override {
    return repeat_("put_part", upload.key, stop, [&] { return inner_->put_part(upload, part, data, stop); });
  }

  // The contract has complete() answer a repeated question as the first time, so that lost answers need no more.
  PutResult complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) override {
    return repeat_("complete", upload.key, stop, [&] { return inner_->complete(upload, parts, stop); });
  }

  void abort(const Upload& upload) noexcept override { inner_->abort(upload); }

  using Store::list;
  void list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
            std::stop_token stop) override;

  PutResult copy(std::string_view from, std::string_view to, const PutOptions& options, std::stop_token stop) override;

  std::vector<RemoveFailure> remove(std::span<const std::string> keys, std::stop_token stop) override {
    const std::string_view first = keys.empty() ? std::string_view() : keys.front();
    return repeat_("remove", first, stop, [&] { return inner_->remove(keys, stop); });
  }
  bool keeps_versions() const override { return inner_->keeps_versions(); }
  std::vector<RemoveFailure> remove_versions(std::span<const ObjectVersion> versions, std::stop_token stop) override {
    const std::string_view first = versions.empty() ? std::string_view() : versions.front().key;
    return repeat_("remove", first, stop, [&] { return inner_->remove_versions(versions, stop); });
  }

 private:
  template <class F, class Wanted>
  PutResult write_once(std::string_view operation, std::string_view key, const PutOptions& options,
                       const std::stop_token& stop, F&& request, Wanted&& wanted);
  bool holds(const ObjectInfo& object, Source& content, const std::stop_token& stop);

  std::unique_ptr<Store> inner_;
  Repeater repeat_;
};

std::unique_ptr<Source> RetryStore::try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) {
  ObjectInfo object;
  ReadOptions asked = options;
  asked.opened = &object;
  auto source = repeat_("open", key, stop, [&] { return inner_->try_open(key, asked, stop); });
  if (!source) return nullptr;
  if (options.opened != nullptr) *options.opened = object;
  return std::make_unique<RetrySource>(*inner_, repeat_, std::move(source), std::move(object), options.range,
                                       std::move(stop));
}

bool RetryStore::holds(const ObjectInfo& object, Source& content, const std::stop_token& stop) {
  const auto stored = try_open(object.key, {.if_version = object.version}, stop);
  return stored && same_content(*stored, content);
}

/// A conditional write whose answer was lost finds its own work when it is repeated: "existed", or another version.
/// What then stands there is compared with `wanted()`, a Source of what we wrote, or null if that has another size.
template <class F, class Wanted>
PutResult RetryStore::write_once(std::string_view operation, std::string_view key, const PutOptions& options,
                                 const std::stop_token& stop, F&& request, Wanted&& wanted) {
  bool unsure = false;  // an attempt failed without telling whether it did its work
  const auto attempt = [&] {
    try {
      return request();
    } catch (const Error& error) {
      unsure = unsure || info(error.code()).retryable;
      throw;
    }
  };
  const auto ours = [&](const ObjectInfo& object) {
    const std::unique_ptr<Source> content = wanted(object.bytes);
    return content && holds(object, *content, stop);
  };
  try {
    PutResult result = repeat_(operation, key, stop, attempt);
    if (!result.created && unsure) result.created = ours(result.object);
    return result;
  } catch (const Error& error) {
    if (!unsure || error.code() != Errc::differs || options.if_version.empty()) throw;
    const auto there = stat(key, stop);
    if (!there || there->version == options.if_version || !ours(*there)) throw;
    return {.created = true, .object = *there};
  }
}

PutResult RetryStore::put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) {
  return write_once(
      "put", key, options, stop, [&] { return inner_->put(key, data, options, stop); },
      [&](std::uint64_t bytes) -> std::unique_ptr<Source> {
        return bytes == data.size() ? std::make_unique<MemorySource>(data) : nullptr;
      });
}

PutResult RetryStore::copy(std::string_view from, std::string_view to, const PutOptions& options,
                           std::stop_token stop) {
  return write_once(
      "copy to", to, options, stop, [&] { return inner_->copy(from, to, options, stop); },
      [&](std::uint64_t bytes) -> std::unique_ptr<Source> {
        ObjectInfo source;
        auto content = try_open(from, {.opened = &source}, stop);
        return content && source.bytes == bytes ? std::move(content) : nullptr;
      });
}

void RetryStore::list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
                      std::stop_token stop) {
  ListOptions rest = options;
  std::string last_prefix;
  std::string last_key;
  unsigned seen_versions = 0;  // of last_key
  unsigned known_versions = 0;
  bool ended = false;
  std::exception_ptr of_visitor;  // the caller's failure, not the store's: never repeated
  const auto guarded = [&](auto&& call) {
    try {
      ended = !call();
    } catch (...) {
      of_visitor = std::current_exception();
      ended = true;
    }
    return !ended;
  };
  const Visit on_object = [&](const ObjectInfo& object) {
    if (object.key != last_key) {
      // Of all versions of a key some may have been told: going on begins with it again.
      rest.start_after = options.all_versions ? std::max(rest.start_after, last_key) : object.key;
      last_key = object.key;
      seen_versions = 0;
    } else if (known_versions > 0) {
      --known_versions;
      return true;
    }
    ++seen_versions;
    return guarded([&] { return visit(object); });
  };
  const VisitPrefix on_prefix = [&](std::string_view prefix) {
    // Going on after a prefix folds the keys below it once more.
    if (prefix == last_prefix) return true;
    last_prefix = prefix;
    rest.start_after = std::max(rest.start_after, last_prefix);
    return guarded([&] { return visit_prefix(prefix); });
  };
  repeat_("list", options.prefix, stop, [&] {
    known_versions = options.all_versions ? seen_versions : 0;
    if (!ended) inner_->list(rest, on_object, on_prefix, stop);
    return true;
  });
  if (of_visitor) std::rethrow_exception(of_visitor);
}

}  // namespace

std::unique_ptr<Store> with_retry(std::unique_ptr<Store> inner, RetryPolicy policy, Log& log, Clock& clock) {
  return std::make_unique<RetryStore>(std::move(inner), policy, log, clock);
}

}  // namespace seawall::storage
