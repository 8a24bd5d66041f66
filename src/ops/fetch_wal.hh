#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include "base/run.hh"
#include "ops/prefetch.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

struct FetchedWal {
  std::optional<std::uint64_t> segment_bytes;  ///< nothing for files that are no segments
  bool prefetched = false;                     ///< it was there already
};

/// Where WAL-G and WAL-E differ.
struct FetchStyle {
  std::string_view tool = ".wal-g";  ///< whose folder holds what was fetched ahead
  bool replace = false;              ///< an existing destination: at the end, when what came is whole
};

/// Brings WAL file `name` to `destination`, which must not exist unless `style` says so: from what was fetched ahead,
/// else from the archive. Nothing: the archive does not have it, and nothing was written. The file appears whole and
/// checked or not at all, but not durable: PostgreSQL makes durable what it keeps. Re-entrant. Memory: a decoder and a
/// read buffer.
///
/// Errors: usage (`name` is none of a WAL file), exists (the destination), corrupt and foreign (what is stored is not
/// what its name says, or of another cluster than the data directory around `destination`), not_found, denied, no_space
/// (where it should go to), and those of the store. `open` is called at most once, and not at all for a file that was
/// fetched ahead: recovery goes on with those while the storage is away.
std::optional<FetchedWal> fetch_wal(const std::function<pipeline::Repository()>& open, std::string_view name,
                                    const std::filesystem::path& destination, const FetchWalSettings& settings,
                                    const Run& run, const FetchStyle& style = {});

/// The exit status of wal-fetch when there is no such WAL file, and wrappers such as Patroni look for it.
inline constexpr int missing_wal_status = 74;

/// The exit status for any other failure (DESIGN R1). PostgreSQL, which runs wal-fetch in `data_directory`, takes 1 to
/// 125 for "no such file" and ends recovery there, so it is 126; but 126 would shut down a standby, which retries by
/// itself after 1.
int fetch_failure_status(const FetchWalSettings& settings, const std::filesystem::path& data_directory);

}  // namespace seawall::ops
