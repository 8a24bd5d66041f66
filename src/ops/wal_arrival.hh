#pragma once

#include <chrono>
#include <functional>

#include "archive/wal_name.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// The WAL that a backup needs to become consistent.
struct WalSpan {
  archive::Timeline timeline = 0;
  archive::Lsn from;  ///< start of the backup
  archive::Lsn to;    ///< its stop: the segment that holds the byte before it is the last one needed
  std::uint64_t segment_bytes = 0;
  bool on_standby = false;  ///< a primary switches the segment at the stop, a standby cannot
};

/// Waits until every segment of `span` is in the archive; says once after a few seconds what it waits for, and on a
/// standby what to run on an idle primary. Errc::timeout naming the first missing segment.
/// `meanwhile` is called about once a second.
void await_wal(const pipeline::Repository& repository, const WalSpan& span, std::chrono::nanoseconds limit,
               const std::function<void()>& meanwhile, const Run& run);

}  // namespace seawall::ops
