#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "archive/wal_name.hh"
#include "base/run.hh"
#include "config/setting.hh"
#include "ops/concurrency_settings.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

struct FetchWalSettings : DownloadSettings {
  config::Setting<std::string> prefetch_dir{
      *this,
      {.name = "WALG_PREFETCH_DIR",
       .doc = "Where .wal-g/prefetch with the WAL fetched ahead is made; the directory of the file to be fetched "
              "if not given.",
       .kind = "path"}};
  config::Setting<int> failure_status{
      *this,
      {.name = "SEAWALL_WAL_FETCH_FAILURE_STATUS",
       .initial = 0,
       .range = {{0, 255}},
       .doc = "Exit status of wal-fetch when it fails for another reason than missing WAL. PostgreSQL takes 1 to "
              "125 for the end of the archive and ends recovery; above, it stops. 0: 126, but 1 for a standby, "
              "which would be shut down by 126 and retries by itself after 1."}};
};

/// Where segments fetched ahead lie: finished ones in `finished`, unfinished ones in `running`, both under their names.
struct PrefetchFolders {
  std::filesystem::path finished;  ///< ".wal-g/prefetch"
  std::filesystem::path running;   ///< ".wal-g/prefetch/running"
};
/// `tool`: whose name they bear, ".wal-g" or ".wal-e".
PrefetchFolders prefetch_folders(const FetchWalSettings& settings, const std::filesystem::path& destination,
                                 std::string_view tool = ".wal-g");

/// Whether starting a prefetch after segment `name` was fetched is worth a process: more than half of the segments that
/// would be fetched ahead are not there, and no other prefetch is at work on them. Costs a few system calls.
bool prefetch_is_due(const PrefetchFolders& folders, unsigned count, std::string_view name,
                     std::uint64_t segment_bytes);

/// What to fetch ahead.
struct PrefetchRequest {
  PrefetchFolders folders;
  std::filesystem::path pg_wal;  ///< whose cluster the WAL must be of, if that is a data directory's
  archive::Segment first;
  unsigned count = 1;
  std::uint64_t segment_bytes = 0;
  bool sweep = true;  ///< remove segments that lie more than one before `first`
};
/// The segments that follow `name`, `count` of them. Errc::usage if `name` is no segment of that size.
PrefetchRequest prefetch_after(std::string_view name, std::uint64_t segment_bytes, unsigned count,
                               PrefetchFolders folders, const std::filesystem::path& destination);

/// Fetches segments. One that is not in the archive ends it quietly; what fails is logged and left to wal-fetch to
/// report. Durable before they get their final names: a crash must not leave torn WAL that looks whole.
/// Each thread holds an advisory lock on the file it writes, so that others see whether it lives. Memory: at most 4
/// downloads. Returned is how many of them are there now.
unsigned prefetch_wal(const pipeline::Repository& repository, const PrefetchRequest& request, const Run& run);

}  // namespace seawall::ops
