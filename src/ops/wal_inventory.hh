#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/wal_name.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// A way through timelines: each is followed up to its end, the last one without end.
struct TimelinePath {
  std::vector<archive::HistoryEntry> ancestors;  ///< oldest first, with ends that never fall
  archive::Timeline target = 1;

  /// The timeline whose file holds segment `number` on this way. Of the segment in which a switch lies, the file of
  /// the new timeline is read: it begins as a copy of the old one's.
  archive::Timeline timeline_of(std::uint64_t number, std::uint64_t segment_bytes) const;
  /// Does the way lead through `timeline` at least up to `lsn`?
  bool passes(archive::Timeline timeline, archive::Lsn lsn) const;
};

/// The WAL of an archive by one listing: 16 bytes a segment. Empty objects are said to be lost, and count as absent.
class WalInventory {
 public:
  WalInventory(const pipeline::Repository& repository, std::uint64_t segment_bytes, const Run& run);

  /// When the segment was stored; nothing if it is not there.
  std::optional<Time> stored(archive::Segment segment) const;
  /// The highest segment number of a timeline; nothing if it has none.
  std::optional<std::uint64_t> last(archive::Timeline timeline) const;
  /// The timelines that have a history file, ascending.
  const std::vector<archive::Timeline>& histories() const noexcept { return histories_; }
  /// Reads TIMELINE.history. Errc::corrupt if it is none. Errc::incomplete if it is needed (timeline > 1) and not
  /// there.
  TimelinePath path_to(archive::Timeline timeline) const;

 private:
  const pipeline::Repository& repository_;
  const Run& run_;
  std::map<archive::Timeline, std::vector<std::pair<std::uint64_t, Time>>> segments_;  // ascending
  std::vector<archive::Timeline> histories_;
};

}  // namespace seawall::ops
