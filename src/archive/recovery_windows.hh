#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "archive/catalogue.hh"

namespace seawall::archive {

/// A span of time without a hole: recovery to any moment between its ends is possible.
struct RecoveryWindow {
  Time from{};                       ///< when its first backup was finished
  Time until{};                      ///< when its last segment was stored
  std::vector<std::size_t> backups;  ///< that recovery can start from, by start LSN
  Segment last;                      ///< the last segment that can be replayed
  std::optional<NumberRange> gap;    ///< segments that are missing behind it, if WAL goes on behind them
};

/// What recovery_target_timeline=`timeline` can reach.
struct TimelineWindows {
  std::optional<std::uint64_t> system;
  Timeline timeline = 0;
  std::vector<RecoveryWindow> windows;  ///< oldest first; windows of a timeline never touch
};

/// For each cluster and each timeline that has WAL or backups of it. The way to a timeline leads through its ancestors
/// as its history tells; without history it begins on the timeline itself.
std::vector<TimelineWindows> recovery_windows(const Catalogue& catalogue);

}  // namespace seawall::archive
