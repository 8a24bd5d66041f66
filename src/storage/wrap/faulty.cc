#include "storage/wrap/faulty.hh"

#include <atomic>
#include <utility>

namespace seawall::storage {
namespace {

/// Counts requests and asks the plan before and after each. Shared by the store and the sources it opened.
class Faults {
 public:
  explicit Faults(std::function<void(const Request&)> plan) : plan_(std::move(plan)) {}

  template <class F>
  auto around(std::string_view operation, std::string_view key, F&& request) {
    Request about{.operation = operation, .key = key, .ordinal = ++requests_};
    plan_(about);
    auto answer = request();
    about.after = true;
    plan_(about);
    return answer;
  }

 private:
  std::function<void(const Request&)> plan_;
  std::atomic<std::uint64_t> requests_ = 0;
};

class FaultySource final : public Source {
 public:
  FaultySource(std::unique_ptr<Source> inner, std::string key, Faults& faults)
      : inner_(std::move(inner)), key_(std::move(key)), faults_(faults) {}

  std::size_t read(MutableBytes into) override {
    return faults_.around("read", key_, [&] { return inner_->read(into); });
  }

 private:
  std::unique_ptr<Source> inner_;
  std::string key_;
  Faults& faults_;
};

class FaultyStore final : public Store {
 public:
  FaultyStore(std::unique_ptr<Store> inner, std::function<void(const Request&)> plan)
      : inner_(std::move(inner)), faults_(std::move(plan)) {}

  std::string description() const override { return inner_->description(); }
  UploadShape upload_shape(std::optional<std::uint64_t> expected_bytes) const override {
    return inner_->upload_shape(expected_bytes);
  }

  std::optional<ObjectInfo> stat(std::string_view key, std::stop_token stop) override {
    return faults_.around("stat", key, [&] { return inner_->stat(key, stop); });
  }

  void settle(std::string_view key, std::stop_token stop) override {
    faults_.around("settle", key, [&] {
      inner_->settle(key, stop);
      return 0;
    });
  }
  std::vector<Feature> features(std::stop_token stop) override {
    return faults_.around("features", {}, [&] { return inner_->features(stop); });
  }
  std::vector<ObjectInfo> stat_each(std::span<const std::string> keys, std::stop_token stop) override {
    const std::string_view first = keys.empty() ? std::string_view() : keys.front();
    return faults_.around("stat", first, [&] { return inner_->stat_each(keys, stop); });
  }

  std::unique_ptr<Source> try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) override {
    auto source = faults_.around("open", key, [&] { return inner_->try_open(key, options, stop); });
    if (!source) return nullptr;
    return std::make_unique<FaultySource>(std::move(source), std::string(key), faults_);
  }

  PutResult put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) override {
    return faults_.around("put", key, [&] { return inner_->put(key, data, options, stop); });
  }

  Upload begin(std::string_view key, const PutOptions& options, std::stop_token stop) override {
    return faults_.around("begin", key, [&] { return inner_->begin(key, options, stop); });
  }

  Part put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) override {
    return faults_.around("put_part", upload.key, [&] { return inner_->put_part(upload, part, data, stop); });
  }

  PutResult complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) override {
    return faults_.around("complete", upload.key, [&] { return inner_->complete(upload, parts, stop); });
  }

  void abort(const Upload& upload) noexcept override { inner_->abort(upload); }

  using Store::list;
  void list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
            std::stop_token stop) override {
    faults_.around("list", options.prefix, [&] {
      inner_->list(options, visit, visit_prefix, stop);
      return true;
    });
  }

  PutResult copy(std::string_view from, std::string_view to, const PutOptions& options, std::stop_token stop) override {
    return faults_.around("copy", to, [&] { return inner_->copy(from, to, options, stop); });
  }

  std::vector<RemoveFailure> remove(std::span<const std::string> keys, std::stop_token stop) override {
    const std::string_view first = keys.empty() ? std::string_view() : keys.front();
    return faults_.around("remove", first, [&] { return inner_->remove(keys, stop); });
  }
  bool keeps_versions() const override { return inner_->keeps_versions(); }
  std::vector<RemoveFailure> remove_versions(std::span<const ObjectVersion> versions, std::stop_token stop) override {
    const std::string_view first = versions.empty() ? std::string_view() : versions.front().key;
    return faults_.around("remove", first, [&] { return inner_->remove_versions(versions, stop); });
  }

 private:
  std::unique_ptr<Store> inner_;
  Faults faults_;
};

}  // namespace

std::unique_ptr<Store> with_faults(std::unique_ptr<Store> inner, std::function<void(const Request&)> plan) {
  return std::make_unique<FaultyStore>(std::move(inner), std::move(plan));
}

}  // namespace seawall::storage
