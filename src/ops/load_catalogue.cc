#include "ops/load_catalogue.hh"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "archive/layout.hh"
#include "ops/read_ahead.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

using Request = CatalogueRequest;

/// "wal_005/00000002.history.lz4": uncompressed, its ".history" is no codec's suffix.
const codec::Codec& codec_of_history(std::string_view name) {
  const std::string_view rest = name.substr(archive::wal_folder.size() + archive::history_name(0).size());
  const codec::Codec* codec = codec::find_codec_by_suffix(rest.starts_with('.') ? rest.substr(1) : rest);
  if (codec == nullptr) throw Error(Errc::unsupported, fmt::format("{}: no codec of this build reads it", name));
  return *codec;
}

/// Of which objects under wal_005/ a size is wanted. Files are looked at one by one, which takes more time than all
/// else that a plan needs. By the hash of the key, so that no rhythm of the server, a checkpoint every so many
/// segments, falls in step.
class SizeSample {
 public:
  bool operator()(std::string_view key) noexcept {
    constexpr std::uint64_t first = 4096;
    constexpr std::size_t one_of = 32;
    return ++asked_ <= first || std::hash<std::string_view>()(key) % one_of == 0;
  }

 private:
  std::uint64_t asked_ = 0;
};

class Loading {
 public:
  Loading(const pipeline::Repository& repository, const Request& request, const Run& run)
      : repository_(repository),
        request_(request),
        run_(run),
        catalogue_(
            {.segment_bytes = request.segment_bytes, .now = run.clock.wall(), .in_flight_for = request.in_flight_for}) {
  }

  archive::Catalogue load() {
    list();
    const std::vector<std::string> documents = documents_in_order();
    ReadAhead ahead(
        documents, request_.concurrency, 2 * request_.concurrency,
        [this](const std::string& name, const std::stop_token& stop) { return read(name, stop); }, run_.stop);
    catalogue_.load(loader(ahead));
    return std::move(catalogue_);
  }

 private:
  void list() {
    WorkerGroup workers(run_.stop);
    const auto folder = [&](std::string_view name, bool one_level) {
      workers.start([this, name, one_level](const std::stop_token& stop) { list_folder(name, one_level, stop); });
    };
    if (request_.wal) folder(archive::wal_folder, false);
    if (request_.backups != Request::Backups::none) {
      folder(archive::backups_folder, request_.backups == Request::Backups::sentinels);
    }
    if (request_.others) {
      for (const std::string& name : other_folders()) {
        workers.start([this, name](const std::stop_token& stop) { list_folder(name, false, stop); });
      }
    }
    workers.join();
  }

  /// Folders beside the two, relative to the prefix; what lies in none is added at once.
  std::vector<std::string> other_folders() {
    std::vector<std::string> folders;
    repository_.store->list(
        {.prefix = repository_.prefix, .one_level = true},
        [&](const storage::ObjectInfo& object) {
          add(object);
          return true;
        },
        [&](std::string_view key) {
          key.remove_prefix(repository_.prefix.size());
          if (key != archive::wal_folder && key != archive::backups_folder) folders.emplace_back(key);
          return true;
        },
        run_.stop);
    return folders;
  }

  void list_folder(std::string_view name, bool one_level, const std::stop_token& stop) {
    storage::ListOptions options{.prefix = repository_.key(name), .one_level = one_level};
    if (name == archive::wal_folder) {
      if (request_.wal_sizes == Request::WalSizes::none) options.details_of = [](std::string_view) { return false; };
      if (request_.wal_sizes == Request::WalSizes::some) options.details_of = SizeSample();
    }
    repository_.store->list(
        options,
        [&](const storage::ObjectInfo& object) {
          add(object);
          return true;
        },
        stop);
  }

  void add(const storage::ObjectInfo& object) {
    const std::string_view key = std::string_view(object.key).substr(repository_.prefix.size());
    const std::lock_guard lock(mutex_);
    archive::ListedObject listed{.key = key, .bytes = object.bytes, .modified = object.modified};
    const bool unasked = request_.wal_sizes == Request::WalSizes::none && key.starts_with(archive::wal_folder);
    if (object.named_only || unasked) listed.bytes = std::nullopt;
    catalogue_.add(listed);
    if (key.starts_with(archive::backups_folder)) {
      if (auto backup = archive::backup_of_sentinel(key.substr(archive::backups_folder.size()))) {
        sentinels_.emplace_back(object.modified, std::move(*backup));
      }
    }
  }

  /// As Catalogue::load() will ask for them.
  std::vector<std::string> documents_in_order() {
    std::vector<std::string> names;
    for (const archive::HistoryObject& history : catalogue_.wal().histories()) {
      if (history.name.ends_with(".json")) continue;
      std::string key = archive::wal_object(history.name);
      if (histories_.emplace(history.timeline, key).second) names.push_back(std::move(key));
    }
    std::sort(names.begin(), names.end());
    if (request_.documents == Request::Documents::none) return names;
    std::sort(sentinels_.begin(), sentinels_.end());
    for (const auto& [modified, backup] : sentinels_) {
      if (request_.documents == Request::Documents::all) names.push_back(archive::sentinel_object(backup));
      names.push_back(archive::metadata_object(backup));
    }
    return names;
  }

  std::optional<std::string> read(const std::string& name, const std::stop_token& stop) const {
    if (!name.starts_with(archive::wal_folder)) return pipeline::try_get(repository_, name, stop);
    try {
      const codec::Codec& codec = codec_of_history(name);
      const auto object = repository_.store->stat(repository_.key(name), stop);
      if (!object) return std::nullopt;
      StringSink text;
      pipeline::pull(repository_, *object, codec, text, stop);
      return text.text();
    } catch (const Error& error) {
      // Written with another key or codec: the other timelines are known all the same.
      if (error.code() != Errc::unsupported && error.code() != Errc::config) throw;
      throw Error(Errc::corrupt, error.what());
    }
  }

  archive::CatalogueLoader loader(ReadAhead& ahead) {
    const auto nothing = [](std::string_view) { return std::optional<std::string>(); };
    archive::CatalogueLoader loader{.sentinel = nothing, .metadata = nothing, .history = {}};
    loader.history = [this, &ahead](archive::Timeline timeline) { return ahead.take(histories_.at(timeline)); };
    if (request_.documents == Request::Documents::all) {
      loader.sentinel = [&ahead](std::string_view backup) { return ahead.take(archive::sentinel_object(backup)); };
      loader.metadata = [&ahead](std::string_view backup) { return ahead.take(archive::metadata_object(backup)); };
    }
    if (request_.documents == Request::Documents::metadata) {
      loader.sentinel = [this, &ahead](std::string_view backup) -> std::optional<std::string> {
        metadata_ = ahead.take(archive::metadata_object(backup));
        if (metadata_) return std::nullopt;
        return read(archive::sentinel_object(backup), run_.stop);
      };
      loader.metadata = [this](std::string_view) { return std::exchange(metadata_, std::nullopt); };
    }
    if (request_.wal_sizes == Request::WalSizes::some) {
      loader.wal_bytes = [this](const std::string& file) -> std::optional<std::uint64_t> {
        const auto object = repository_.store->stat(repository_.key(archive::wal_object(file)), run_.stop);
        return object ? std::optional(object->bytes) : std::nullopt;
      };
    }
    return loader;
  }

  const pipeline::Repository& repository_;
  const Request& request_;
  const Run& run_;
  std::mutex mutex_;
  archive::Catalogue catalogue_;
  std::vector<std::pair<Time, std::string>> sentinels_;
  std::map<archive::Timeline, std::string> histories_;  ///< the object to read, relative
  std::optional<std::string> metadata_;
};

}  // namespace

archive::Catalogue load_catalogue(const pipeline::Repository& repository, const CatalogueRequest& request,
                                  const Run& run) {
  return Loading(repository, request, run).load();
}

}  // namespace seawall::ops
