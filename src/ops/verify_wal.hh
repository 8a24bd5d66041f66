#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "archive/number_ranges.hh"
#include "archive/timeline_tree.hh"
#include "archive/wal_listing.hh"
#include "base/run.hh"
#include "ops/findings.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

struct WalReading {
  std::uint64_t objects = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t records = 0;
};

/// Segments by timeline.
using WalRanges = std::map<archive::Timeline, archive::NumberRanges>;

/// Reads WAL back: every segment through cipher and codec, its header, pages and records, also where records cross from
/// one segment, or one timeline, into the next. Runs of 16 segments are read at once by `threads` threads, each behind
/// the segment in which the record begins that reaches into it, which is read twice for that; memory is what decoders
/// need.
class WalVerification {
 public:
  /// `system_identifier`: of the archive's cluster, if known. `whole` is told of each run of segments in which nothing
  /// is wrong, by any thread, one at a time. All must outlive it.
  WalVerification(const pipeline::Repository& repository, const archive::WalListing& wal,
                  const archive::TimelineTree& timelines, std::optional<std::uint64_t> system_identifier,
                  Findings& findings, std::function<void(archive::Timeline, archive::NumberRange)> whole);

  /// The segments within `wanted` that are listed; those that are not are the caller's to judge.
  WalReading verify(const WalRanges& wanted, unsigned threads, const Run& run);
  /// Everything else under wal_005/: decoded, histories parsed.
  WalReading verify_others(unsigned threads, const Run& run);

  struct NamedObject {
    std::string name;  ///< in the archive
    std::uint64_t bytes = 0;
  };

 private:
  class Chain;
  struct Task {
    archive::Timeline timeline = 0;
    archive::NumberRange range;
  };
  struct Totals;

  std::optional<archive::Segment> before(archive::Segment segment) const;
  void warm_up(Chain& chain, archive::Segment first, const Run& run) const;
  void verify_run(const Task& task, Totals& totals, const Run& run);
  void verify_history(const NamedObject& object, const Run& run);
  void verify_partial(const NamedObject& object, archive::Segment segment, const Run& run);
  static void each(std::size_t tasks, unsigned threads, const Run& run,
                   const std::function<void(std::size_t, const Run&)>& work);

  const pipeline::Repository& repository_;
  const archive::WalListing& wal_;
  const archive::TimelineTree& timelines_;
  const std::optional<std::uint64_t> system_identifier_;
  Findings& findings_;
  const std::function<void(archive::Timeline, archive::NumberRange)> whole_;
};

}  // namespace seawall::ops
