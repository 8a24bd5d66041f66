#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "archive/catalogue.hh"

namespace seawall::archive {

/// What wal-show says of a timeline.
struct TimelineReport {
  Timeline timeline = 0;
  Timeline parent = 0;  ///< 0: no history says
  Lsn switch_point;
  std::uint64_t first = 0;  ///< segment numbers
  std::uint64_t last = 0;
  std::uint64_t count = 0;           ///< of segments that are there
  std::vector<NumberRange> missing;  ///< ascending; WAL-G prints their names from the newest
  std::vector<std::size_t> backups;  ///< made on it within its segments, newest first
  std::uint64_t range() const noexcept { return last - first + 1; }
  bool complete() const noexcept { return missing.empty(); }
};
/// Every timeline that has a segment, ascending. Objects of 0 bytes count, as in WAL-G.
std::vector<TimelineReport> report_timelines(const Catalogue& catalogue);

enum class CheckStatus { ok, warning, failure };
std::string_view name_of(CheckStatus status) noexcept;  ///< "OK"

enum class SegmentStatus { found, delayed, uploading, lost };
std::string_view name_of(SegmentStatus status) noexcept;  ///< "MISSING_LOST"

/// Segments of one timeline and one status in a row.
struct SegmentRow {
  Timeline timeline = 0;
  NumberRange numbers;
  SegmentStatus status = SegmentStatus::found;
  bool operator==(const SegmentRow&) const = default;
};

struct IntegrityRequest {
  Segment current;          ///< of the cluster: the check looks at the segments before it
  std::string backup = {};  ///< look back to its start; empty: to the earliest backup's that fits
  unsigned delayed = 0;     ///< WALG_INTEGRITY_MAX_DELAYED_WALS
  unsigned uploading = 16;  ///< WALG_UPLOAD_CONCURRENCY
};
struct IntegrityReport {
  CheckStatus status = CheckStatus::ok;
  std::vector<SegmentRow> rows;         ///< by number
  std::optional<std::size_t> earliest;  ///< the backup that the check looked back to; nothing: there is none
};
/// wal-verify integrity. Errc::not_found: no such backup; Errc::foreign: it is not on the current timeline's way.
IntegrityReport check_integrity(const Catalogue& catalogue, const IntegrityRequest& request);

struct TimelineCheck {
  CheckStatus status = CheckStatus::ok;
  Timeline current = 0;
  Timeline highest = 0;  ///< among segments and histories; 0: there are none
};
/// wal-verify timeline.
TimelineCheck check_timeline(const Catalogue& catalogue, Timeline current);

}  // namespace seawall::archive
