#include "repositories.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.hh"
#include "crypto/settings.hh"
#include "kms/key_services.hh"
#include "storage/s3/endpoint.hh"
#include "stores.hh"

extern char** environ;  // NOLINT: POSIX

namespace seawall {
namespace {

std::vector<std::string_view> writable_codecs() {
  std::vector<std::string_view> names;
  for (const codec::Codec& codec : codec::all_codecs()) {
    if (codec.encode != nullptr) names.push_back(codec.name);
  }
  return names;
}

void choose_codec(const storage::StorageSettings& settings, pipeline::Repository& repository) {
  const std::string& method = settings.compression_method();
  repository.codec = codec::find_codec(method);
  if (repository.codec == nullptr || repository.codec->encode == nullptr) {
    throw Error(Errc::config, fmt::format("WALG_COMPRESSION_METHOD is '{}'; this build writes {}", method,
                                          fmt::join(writable_codecs(), ", ")));
  }
  if (!settings.zstd_level.given()) return;
  if (method != "zstd") {
    throw Error(Errc::config, fmt::format("WALG_ZSTD_LEVEL is set, but WALG_COMPRESSION_METHOD is {}", method));
  }
  const std::optional<int> level = codec::zstd_level(settings.zstd_level());
  if (!level) {
    throw Error(Errc::config, fmt::format("WALG_ZSTD_LEVEL is '{}'; fastest, default, better and best are possible",
                                          settings.zstd_level()));
  }
  repository.level = *level;
}

}  // namespace

pipeline::Repository open_repository(const config::Sources& sources, bool unlimited, Log& log, Clock& clock,
                                     std::stop_token stop) {
  StoreSettings stores;
  sources.load(stores.common);
  sources.load(stores.s3);
  const storage::StorageSettings& settings = stores.common;
  pipeline::Repository repository;
  choose_codec(settings, repository);
  const std::string prefix(trim(settings.storage_prefix()));
  for (const std::string_view part : split(prefix, '/')) {
    if (part.empty()) continue;
    if (part == "." || part == "..")
      throw Error(Errc::config, fmt::format("WALG_STORAGE_PREFIX '{}' holds '{}'", prefix, part));
    repository.prefix.append(part).append("/");
  }
  crypto::CryptoSettings crypto;
  sources.load(crypto);
  const auto services = kms::key_services({.lookup = lookup_in(sources),
                                           .budget = settings.request_timeout(),
                                           .clock = clock,
                                           .log = log,
                                           .stop = std::move(stop)});
  repository.crypter = crypto::make_crypter(crypto, services, clock, log);
  repository.parts =
      std::make_shared<pipeline::PartPool>(settings.upload_memory().bytes, stores.s3.upload_concurrency());
  repository.store = open_store(stores, sources, unlimited, log, clock);
  return repository;
}

pipeline::Repository open_repository_of(const std::string& path, config::Sources& sources, bool unlimited, Log& log,
                                        Clock& clock, const std::stop_token& stop) {
  sources.add_file(path);
  std::vector<const char*> passed;
  for (const char* const* variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::string_view name = text.substr(0, text.find('='));
    const bool credential = name.starts_with("AWS_") || name == "HOME" || lower(name).ends_with("_proxy");
    if (credential && !sources.find(name)) passed.push_back(*variable);
  }
  passed.push_back(nullptr);
  sources.add_environment(passed.data());
  StoreSettings stores;
  sources.load(stores.s3);
  std::string path_in_bucket;
  if (!stores.s3.prefix().empty()) {
    // Opened at the bucket, so that two archives in it are one store, which copies by itself.
    const storage::s3::Place place = storage::s3::parse_prefix(stores.s3.prefix());
    path_in_bucket = place.path;
    sources.add_flag("WALG_S3_PREFIX", "s3://" + place.bucket, path);
  }
  pipeline::Repository repository = open_repository(sources, unlimited, log, clock, stop);
  repository.prefix.insert(0, path_in_bucket);
  return repository;
}

std::shared_ptr<const crypto::Crypter> reader_of_openpgp(const config::Sources& sources, Clock& clock) {
  crypto::CryptoSettings settings;
  sources.load(settings);
  return crypto::make_gpg_reader(settings, clock);
}

}  // namespace seawall
