#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "archive/catalogue.hh"
#include "base/run.hh"
#include "ops/concurrency_settings.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// Of operations that look at the whole archive; WALG_PG_WAL_SIZE is in PostgresSettings.
struct CatalogueSettings : DownloadSettings {
  config::Setting<std::chrono::nanoseconds> in_flight_for{
      *this,
      {.name = "SEAWALL_IN_FLIGHT_TIME",
       .initial = std::chrono::hours(24),
       .range = {{std::chrono::nanoseconds(0), std::chrono::hours(24 * 365)}},
       .doc = "A backup without sentinel whose youngest object is no older than this is taken for one that is being "
              "written, and nothing of it is deleted."}};
};

/// How much of an archive a command wants to know: what is not asked for is neither listed nor read.
struct CatalogueRequest {
  enum class Backups {
    none,
    sentinels,  ///< which there are, but none of their objects: no backup counts as restorable then
    objects
  };
  enum class Documents {
    none,
    metadata,  ///< metadata.json; sentinels only where that is missing
    all
  };
  std::uint64_t segment_bytes = std::uint64_t{16} << 20;
  std::chrono::nanoseconds in_flight_for = std::chrono::hours(24);
  unsigned concurrency = 10;  ///< documents read at once
  Backups backups = Backups::objects;
  Documents documents = Documents::all;
  bool wal = true;
  enum class WalSizes {
    none,  ///< neither sizes nor times of WAL are known, and no object counts as empty
    /// As none, but of those that a backup needs, of the first 4096 and of every 32nd or so beyond them: enough to tell
    /// what restores and, about, how much a deletion frees. Stores whose listings tell sizes give them all.
    some,
    all
  };
  WalSizes wal_sizes = WalSizes::all;
  bool others = true;  ///< whatever else lies under the prefix
};

/// Lists the archive once, its folders side by side, and reads documents ahead while the catalogue takes them in.
/// A document that cannot be decoded is a fault or a complaint of the catalogue; errors of the store escape.
/// Memory: the catalogue's, and 2 × concurrency documents.
archive::Catalogue load_catalogue(const pipeline::Repository& repository, const CatalogueRequest& request,
                                  const Run& run);

}  // namespace seawall::ops
