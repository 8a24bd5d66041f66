#pragma once

#include <cstdint>
#include <string>

#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

struct CopyRequest {
  std::string backup;         ///< a name or LATEST; empty: every backup
  bool with_history = false;  ///< WAL up to the newest, not only what makes the backups consistent
  std::uint64_t segment_bytes = std::uint64_t{16} << 20;  ///< where the backups do not tell
};

struct CopyResult {
  std::uint64_t objects = 0;  ///< copied now
  std::uint64_t bytes = 0;
  std::uint64_t there = 0;  ///< found in the target already
};

/// Copies backups with the chains they stand on and their WAL from one archive into another, objects as they are:
/// within one store by the store itself, else streamed, eight at a time, in bounded memory. Nothing is written before
/// everything needed was seen in the source, and nothing in the target contradicts it. A backup's sentinel comes last,
/// after its objects were seen in the target and its WAL was put there; parents come before the backups that stand on
/// them, older ones before younger ones. What is in the target is not copied again, so a run that was stopped is
/// continued by another. An object that is there but another one (by size; by content what is small; by the last 4 KiB,
/// where compressed objects have their checksum, what is large) is Errc::differs; only metadata.json is then replaced.
/// Parts that do not have the digest which seawall.json says are Errc::corrupt, and not stored. Errc::not_found without
/// backups, incomplete where parents or WAL are missing, foreign if the target is another cluster's.
CopyResult copy_archive(const pipeline::Repository& from, const pipeline::Repository& to, const CopyRequest& request,
                        const Run& run);

}  // namespace seawall::ops
