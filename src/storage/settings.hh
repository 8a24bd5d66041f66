#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "config/setting.hh"

namespace seawall::storage {

/// What decides where an archive is kept and how its objects travel. main opens the store that they describe.
struct StorageSettings : config::Group {
  config::Setting<std::string> file_prefix{
      *this,
      {.name = "WALG_FILE_PREFIX",
       .aliases = {"WALE_FILE_PREFIX"},
       .doc =
           "Directory that holds the archive: a local disk or a mounted file system. It must exist, so that a volume "
           "which is not mounted is noticed."}};
  config::Setting<std::string> storage_prefix{
      *this,
      {.name = "WALG_STORAGE_PREFIX",
       .doc = "Path inside the storage under which all objects of this archive lie. Give each cluster its own."}};
  config::Setting<std::string> compression_method{
      *this,
      {.name = "WALG_COMPRESSION_METHOD",
       .initial = "lz4",
       .doc =
           "How new objects are compressed. Reading goes by the suffix of the stored name, so it can be changed at any "
           "time."}};
  config::Setting<std::string> zstd_level{*this,
                                          {.name = "WALG_ZSTD_LEVEL",
                                           .initial = "default",
                                           .doc = "How hard zstd works; an error with another method.",
                                           .kind = "fastest|default|better|best"}};
  config::Setting<std::uint64_t> network_rate_limit{
      *this,
      {.name = "WALG_NETWORK_RATE_LIMIT",
       .doc = "Most bytes per second exchanged with the storage by this process, both directions together; 0 sets no "
              "limit."}};
  config::Setting<config::ByteSize> upload_memory{
      *this,
      {.name = "SEAWALL_UPLOAD_MEMORY",
       .initial = {std::uint64_t{128} << 20},
       .doc =
           "Ceiling of the memory for parts on their way into the storage. Every object that is being written has one "
           "part buffer whatever this says; more parts travel at once as long as there is memory for them."}};
  config::Setting<std::chrono::nanoseconds> request_timeout{
      *this,
      {.name = "SEAWALL_REQUEST_TIMEOUT",
       .initial = std::chrono::minutes(5),
       .doc =
           "How long one request to an object storage or a key service is repeated, waits included, before it fails: "
           "archive_command and restore_command end in bounded time."}};
};

}  // namespace seawall::storage
