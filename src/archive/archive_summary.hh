#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "archive/catalogue.hh"
#include "archive/recovery_windows.hh"

namespace seawall::archive {

/// What an archive holds of one cluster.
struct ClusterSummary {
  std::optional<std::uint64_t> system;  ///< nothing: backups whose sentinels do not say
  std::size_t latest = 0;               ///< its newest backup by the end of the backup
  std::optional<std::size_t> latest_restorable;
  std::size_t chain_depth = 0;  ///< how many backups the newest stands on
  std::uint64_t full = 0;
  std::uint64_t delta = 0;
  std::uint64_t permanent = 0;
  std::uint64_t damaged = 0;
  std::uint64_t raw_bytes = 0;     ///< of the data in its backups, as their sentinels say
  std::uint64_t stored_bytes = 0;  ///< of its backups' objects
  std::vector<TimelineWindows> windows;
};

/// The segments of one timeline.
struct TimelineSummary {
  Timeline timeline = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t count = 0;
  Time last_stored{};
  std::vector<NumberRange> gaps;
};

struct ArchiveSummary {
  std::vector<ClusterSummary> clusters;  ///< by system identifier
  std::vector<TimelineSummary> timelines;
  std::uint64_t objects = 0;       ///< understood ones
  std::uint64_t backup_bytes = 0;  ///< unfinished ones too
  std::uint64_t wal_bytes = 0;
};
ArchiveSummary summarize(const Catalogue& catalogue);

}  // namespace seawall::archive
