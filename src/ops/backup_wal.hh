#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "archive/number_ranges.hh"
#include "archive/sentinel.hh"
#include "archive/wal_listing.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// WAL segments of one timeline.
struct SegmentSpan {
  archive::Timeline timeline = 0;
  archive::NumberRange range;
};

/// The size of the cluster's segments as a backup's name and start tell it together, which the settings may not know:
/// `usual` if that fits, or nothing does.
std::uint64_t segment_bytes_of(std::string_view backup, const archive::Sentinel& sentinel, std::uint64_t usual);

/// The segments that make a backup consistent. Errc::corrupt for a name that tells no segment.
SegmentSpan wal_of_backup(std::string_view backup, const archive::Sentinel& sentinel, std::uint64_t segment_bytes);

/// Everything under wal_005/ by one listing.
archive::WalListing list_wal(const pipeline::Repository& repository, std::uint64_t segment_bytes, const Run& run);

}  // namespace seawall::ops
