#pragma once

#include <filesystem>
#include <string>

#include "base/run.hh"
#include "config/setting.hh"
#include "ops/concurrency_settings.hh"
#include "ops/postgres_settings.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

struct PushWalSettings : UploadSettings {
  config::Setting<unsigned> total_bg_uploaded_limit{
      *this,
      {.name = "TOTAL_BG_UPLOADED_LIMIT",
       .initial = 32,
       .range = {{0, 1000000}},
       .doc = "WAL files that one wal-push archives at most, the one it was called for included."}};
  config::Setting<bool> pg_ready_rename{
      *this,
      {.name = "PG_READY_RENAME",
       .initial = false,
       .doc = "Tell PostgreSQL of WAL files archived ahead by renaming their .ready files to .done, so that it "
              "does not call wal-push for them."}};
  config::Setting<std::string> upload_wal_metadata{
      *this,
      {.name = "WALG_UPLOAD_WAL_METADATA",
       .initial = "NOMETADATA",
       .doc = "Store when each WAL file was written: in an object for each (INDIVIDUAL), in one for sixteen "
              "segments (BULK), or not at all.",
       .kind = "NOMETADATA|INDIVIDUAL|BULK"}};
  config::Setting<bool> prevent_wal_overwrite{
      *this,
      {.name = "WALG_PREVENT_WAL_OVERWRITE",
       .initial = true,
       .doc = "Accepted for WAL-G's sake. A stored WAL file is never overwritten, whatever this says."}};
};

/// How a WAL file came to be in the archive.
enum class PushOutcome {
  stored,         ///< now
  already_there,  ///< an equal object was
  acknowledged,   ///< an earlier call did it and left a receipt, and the file has not changed since
};

/// Archives one file of pg_wal: a segment, a .partial, a .history or a .backup, told by its name. When this returns it
/// is in the archive, whole and durable, and so are those of its `.ready` neighbours that were pushed meanwhile: at
/// most WALG_UPLOAD_CONCURRENCY at once and TOTAL_BG_UPLOADED_LIMIT in all. Their failures are only logged.
///
/// Memory: 4 to 40 MB by the number of neighbours. Re-entrant; two calls must not push the same file at once.
/// Errors: usage (no name of a WAL file), not_found and denied (the file), corrupt (it is not what its name says),
/// foreign (of another cluster or timeline than PGDATA's or the archive's), unsupported (older than PostgreSQL 10),
/// differs (the archive has other content under this name; nothing was changed), and those of the store.
PushOutcome push_wal(const pipeline::Repository& repository, const std::filesystem::path& file,
                     const PushWalSettings& settings, const PostgresSettings& postgres, const Run& run);

}  // namespace seawall::ops
