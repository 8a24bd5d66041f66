#include "ops/archive_identity.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "archive/layout.hh"
#include "archive/sentinel.hh"
#include "base/file.hh"
#include "base/time_text.hh"
#include "ops/segment_check.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

using Json = nlohmann::json;

constexpr std::size_t cache_limit = std::size_t{1} << 20;
constexpr auto cache_lifetime = std::chrono::hours(1);
/// Sentinels and segments that are looked at before an archive counts as nobody's.
constexpr std::size_t most_attempts = 3;

std::optional<std::uint64_t> unsigned_member(const Json& object, const char* name) {
  if (!object.is_object() || !object.contains(name)) return std::nullopt;
  const Json& value = object[name];
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<std::uint64_t>();
}

std::optional<std::uint64_t> identity_from_object(const pipeline::Repository& repository, const Run& run) {
  const std::optional<std::string> text = pipeline::try_get(repository, identity_object, run.stop, cache_limit);
  if (!text) return std::nullopt;
  const auto identifier = unsigned_member(Json::parse(*text, nullptr, false), "system_identifier");
  if (!identifier) {
    throw Error(Errc::corrupt,
                fmt::format("object '{}' does not say which cluster the archive belongs to; remove it if you know, and "
                            "the next push writes it again",
                            repository.key(identity_object)));
  }
  return identifier;
}

std::optional<std::uint64_t> identity_from_sentinels(const pipeline::Repository& repository, const Run& run) {
  const std::string folder = repository.key(archive::backups_folder);
  std::vector<storage::ObjectInfo> sentinels;
  repository.store->list(
      {.prefix = folder, .one_level = true},
      [&](const storage::ObjectInfo& object) {
        if (archive::backup_of_sentinel(object.key.substr(folder.size()))) sentinels.push_back(object);
        return true;
      },
      run.stop);
  std::sort(sentinels.begin(), sentinels.end(), [](const auto& a, const auto& b) { return a.modified > b.modified; });
  sentinels.resize(std::min(sentinels.size(), most_attempts));
  for (const storage::ObjectInfo& object : sentinels) {
    const auto text = pipeline::try_get(repository, object.key.substr(repository.prefix.size()), run.stop);
    if (!text) continue;
    try {
      if (const auto identifier = archive::parse_sentinel(*text, object.key).system_identifier) return identifier;
    } catch (const Error& error) {
      // One backup's damaged sentinel must not stop archiving; the next one may tell the same.
      if (error.code() != Errc::corrupt) throw;
      run.log.warning("{}", error.what());
    }
  }
  return std::nullopt;
}

/// Keeps the first bytes of an object.
class HeadSink final : public Sink {
 public:
  void write(Bytes data) override {
    const std::size_t n = std::min(data.size(), head_.size() - filled_);
    std::copy_n(data.begin(), n, head_.begin() + static_cast<std::ptrdiff_t>(filled_));
    filled_ += n;
  }
  bool full() const { return filled_ == head_.size(); }
  Bytes head() const { return Bytes(head_).first(filled_); }

 private:
  std::array<std::byte, postgres::wal_segment_header_bytes> head_{};
  std::size_t filled_ = 0;
};

std::optional<std::uint64_t> identity_from_segment(const pipeline::Repository& repository,
                                                   const storage::ObjectInfo& object, const Run& run) {
  const std::unique_ptr<Source> source = repository.store->try_open(object.key, {}, run.stop);
  if (source == nullptr) return std::nullopt;
  try {
    HeadSink sink;
    const auto decoder =
        pipeline::codec_of_key(object.key).decode({.key = object.key, .size_hint = object.bytes}, sink);
    AlignedBuffer buffer(std::size_t{128} << 10);
    while (!sink.full()) {
      const std::size_t n = source->read(buffer.span());
      if (n == 0) break;
      decoder->write(buffer.span().first(n));
    }
    return postgres::parse_segment_header(sink.head(), object.key).system_identifier;
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt && error.code() != Errc::unsupported) throw;
    run.log.warning("{}", error.what());
    return std::nullopt;
  }
}

std::optional<std::uint64_t> identity_from_wal(const pipeline::Repository& repository, const Run& run) {
  const std::string folder = repository.key(archive::wal_folder);
  std::vector<storage::ObjectInfo> segments;
  repository.store->list(
      {.prefix = folder, .one_level = true},
      [&](const storage::ObjectInfo& object) {
        const std::string_view file = std::string_view(object.key).substr(folder.size());
        const bool label = file.find(".backup") != std::string_view::npos;
        if (archive::is_segment_name(file.substr(0, file.find('.'))) && !label && !file.ends_with(".json")) {
          segments.push_back(object);
        }
        return segments.size() < most_attempts;
      },
      run.stop);
  for (const storage::ObjectInfo& object : segments) {
    if (const auto identifier = identity_from_segment(repository, object, run)) return identifier;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> identity_from_content(const pipeline::Repository& repository, const Run& run) {
  if (const auto identifier = identity_from_sentinels(repository, run)) return identifier;
  return identity_from_wal(repository, run);
}

/// Writes the identity object unless another push was faster; returns what it says then.
std::uint64_t claim(const pipeline::Repository& repository, std::uint64_t identifier, const Run& run) {
  const std::string text = fmt::format("{{\"version\":1,\"system_identifier\":{}}}\n", identifier);
  const storage::PutResult put =
      repository.store->put(repository.key(identity_object), bytes_of(text), {.only_if_absent = true}, run.stop);
  if (put.created) {
    run.log.info("{} is the archive of the cluster with system identifier {} from now on", archive_address(repository),
                 identifier);
    return identifier;
  }
  return identity_from_object(repository, run).value_or(identifier);
}

Json read_cache(const std::filesystem::path& cache_file) {
  const std::optional<std::string> text = try_read_file(cache_file, cache_limit);
  Json cache = text ? Json::parse(*text, nullptr, false) : Json::object();
  return cache.is_object() ? cache : Json::object();
}

bool cached(const Json& cache, const std::string& address, std::uint64_t identifier, Time now) {
  if (!cache.contains(address)) return false;
  const Json& entry = cache[address];
  if (unsigned_member(entry, "system_identifier") != identifier) return false;
  const auto seen = entry.contains("seen") && entry["seen"].is_string()
                        ? parse_rfc3339(entry["seen"].get<std::string>())
                        : std::nullopt;
  return seen && *seen <= now && now - *seen < cache_lifetime;
}

void remember(const std::filesystem::path& cache_file, Json cache, const std::string& address, std::uint64_t identifier,
              const Run& run) {
  cache[address] = {{"system_identifier", identifier}, {"seen", rfc3339(run.clock.wall())}};
  std::error_code failure;
  std::filesystem::create_directories(cache_file.parent_path(), failure);
  try {
    replace_file(cache_file, cache.dump(-1, ' ', false, Json::error_handler_t::replace), 0600);
  } catch (const Error& error) {  // without the cache all is well, only slower
    run.log.warning("cannot keep what was learnt about the archive: {}", error.what());
  }
}

}  // namespace

std::string archive_address(const pipeline::Repository& repository) {
  std::string address = repository.store->description();
  if (repository.prefix.empty()) return address;
  if (!address.ends_with('/')) address += '/';
  return address + repository.prefix;
}

std::optional<std::uint64_t> find_archive_identity(const pipeline::Repository& repository, const Run& run) {
  if (const auto identifier = identity_from_object(repository, run)) return identifier;
  return identity_from_content(repository, run);
}

void check_archive_identity(const pipeline::Repository& repository, std::uint64_t system_identifier, const Run& run,
                            const std::filesystem::path& cache_file) {
  const std::string address = archive_address(repository);
  Json cache = Json::object();
  if (!cache_file.empty()) {
    cache = read_cache(cache_file);
    if (cached(cache, address, system_identifier, run.clock.wall())) return;
  }
  std::optional<std::uint64_t> owner = identity_from_object(repository, run);
  if (!owner) {
    owner = identity_from_content(repository, run);
    if (!owner || *owner == system_identifier) owner = claim(repository, system_identifier, run);
  }
  if (*owner != system_identifier) {
    throw Error(Errc::foreign,
                fmt::format("{} is the archive of the cluster with system identifier {}, not of this one, {}; give "
                            "every cluster a prefix of its own (WALG_STORAGE_PREFIX)",
                            address, *owner, system_identifier));
  }
  if (!cache_file.empty()) remember(cache_file, std::move(cache), address, system_identifier, run);
}

}  // namespace seawall::ops
