#include "stores.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hh"
#include "storage/file/file_store.hh"
#include "storage/s3/put_if_absent_file.hh"
#include "storage/s3/s3_store.hh"
#include "storage/wrap/retry.hh"
#include "storage/wrap/throttle.hh"

namespace seawall {
namespace {

/// What a driver is made from.
struct Origin {
  const StoreSettings& settings;
  const config::Sources& sources;
  Log& log;
  Clock& clock;
};

std::unique_ptr<storage::Store> open_file_store(const Origin& from) {
  std::string_view root = from.settings.common.file_prefix();
  constexpr std::string_view scheme = "file://localhost";
  if (root.starts_with(scheme)) root.remove_prefix(scheme.size());
  // A local disk that fails once rarely recovers within minutes, and an archive_command must end.
  constexpr storage::RetryPolicy policy{.attempts = 3, .budget = std::chrono::seconds(30)};
  return storage::with_retry(storage::make_file_store(root, from.clock), policy, from.log, from.clock);
}

std::unique_ptr<storage::Store> open_s3_store(const Origin& from) {
  const storage::s3::S3Settings& s3 = from.settings.s3;
  const storage::s3::Lookup lookup = lookup_in(from.sources);
  // Beside WAL-G's own files of this kind. Without a home the server is asked again in each run.
  storage::s3::PutIfAbsentCache cache;
  if (const auto home = from.sources.find("HOME")) {
    cache = storage::s3::put_if_absent_in(std::filesystem::path(home->text) / ".seawall_s3_put_if_absent",
                                          fmt::format("{} {}", s3.endpoint(), s3.prefix()));
  }
  const storage::RetryPolicy policy{
      .attempts = s3.max_retries() + 1,
      .first_throttled_delay = std::chrono::milliseconds(s3.min_throttling_retry_delay()),
      .longest_throttled_delay = std::chrono::milliseconds(s3.max_throttling_retry_delay()),
      .budget = from.settings.common.request_timeout()};
  return storage::with_retry(storage::s3::make_s3_store(s3, lookup, from.clock, from.log, std::move(cache)), policy,
                             from.log, from.clock);
}

struct Driver {
  std::string_view kind;                                   ///< WALG_<kind>_PREFIX
  std::unique_ptr<storage::Store> (*open)(const Origin&);  ///< null: not built yet
};

/// In the order in which WAL-G looks for its storage.
constexpr std::array<Driver, 7> drivers{{{"OSS", nullptr},
                                         {"S3", open_s3_store},
                                         {"FILE", open_file_store},
                                         {"GS", nullptr},
                                         {"AZ", nullptr},
                                         {"SWIFT", nullptr},
                                         {"SSH", nullptr}}};

const Driver& chosen_driver(const config::Sources& sources, Log& log) {
  std::vector<std::string> configured;
  const Driver* first = nullptr;
  for (const Driver& driver : drivers) {
    for (const std::string_view persona : {"WALG_", "WALE_"}) {
      const std::string key = fmt::format("{}{}_PREFIX", persona, driver.kind);
      if (!sources.find(key)) continue;
      if (first == nullptr) first = &driver;
      configured.push_back(key);
      break;
    }
  }
  if (first == nullptr) {
    throw Error(Errc::config,
                "no storage is configured: set WALG_S3_PREFIX to s3://bucket/path, or WALG_FILE_PREFIX to the "
                "directory that holds the archive");
  }
  if (configured.size() > 1) {
    log.warning("more than one storage is configured ({}); {} is used", fmt::join(configured, ", "),
                configured.front());
  }
  if (first->open == nullptr) {
    throw Error(Errc::unsupported, fmt::format("{}: this version stores on S3 (WALG_S3_PREFIX) and on file systems "
                                               "(WALG_FILE_PREFIX)",
                                               configured.front()));
  }
  return *first;
}

}  // namespace

storage::s3::Lookup lookup_in(const config::Sources& sources) {
  return [&sources](std::string_view key) {
    const auto value = sources.find(key);
    return value ? std::optional(value->text) : std::nullopt;
  };
}

std::shared_ptr<storage::Store> open_store(const StoreSettings& settings, const config::Sources& sources,
                                           bool unlimited, Log& log, Clock& clock) {
  std::unique_ptr<storage::Store> store = chosen_driver(sources, log).open({settings, sources, log, clock});
  const std::uint64_t rate = settings.common.network_rate_limit();
  if (unlimited || rate == 0) return store;
  return storage::with_throttle(std::move(store), std::make_shared<storage::RateLimiter>(rate, clock));
}

}  // namespace seawall
