#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "archive/wal_name.hh"

namespace seawall::archive {

/// What lies under wal_005/, told by the name alone.
enum class WalObjectKind {
  segment,         ///< "0…15.lz4"
  partial,         ///< "0…15.partial.lz4": the end of a timeline that was left
  backup_label,    ///< "0…15.00000028.backup.lz4"
  delta,           ///< "0…10_delta.lz4": block numbers of 16 segments
  metadata,        ///< "0…15.json", also of the files beside the segment: WAL-G's INDIVIDUAL level
  group_metadata,  ///< first 23 digits + ".json": of up to 16 segments, WAL-G's BULK level
  history,         ///< "00000002.history.lz4", and its ".json"
};

struct WalObjectName {
  WalObjectKind kind = WalObjectKind::segment;
  Segment segment;        ///< of a group its first; of a history only the timeline counts
  std::string_view rest;  ///< what follows the 24, 23 or 8 digits; a view into the name
};

/// Nothing for a name that neither seawall nor WAL-G writes, lower-case digits and unknown suffixes included: what is
/// not understood is not touched.
std::optional<WalObjectName> parse_wal_object(std::string_view file, std::uint64_t segment_bytes);
/// The name back from its pieces.
std::string print_wal_object(WalObjectKind kind, Segment segment, std::string_view rest, std::uint64_t segment_bytes);
/// How many segments one object of that kind is about.
std::uint64_t segments_of_object(WalObjectKind kind, std::uint64_t segment_bytes) noexcept;

}  // namespace seawall::archive
