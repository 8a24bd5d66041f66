#pragma once

#include <cstdint>
#include <string>

#include "base/run.hh"
#include "ops/findings.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// What was read of a backup.
struct BackupReading {
  std::uint64_t objects = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t pages = 0;  ///< whose checksum was looked at
};

/// Reads a backup back, without those that it stands on and without its WAL: its documents; each object's size and
/// digest as seawall.json has them; each part through cipher, codec and tar; each member's digest; that every file
/// listed came and pg_control and backup_label did; pages, if the cluster has checksums, but for those that the WAL
/// written during the backup restores; increments. What is wrong goes to `findings`, naming the object; Errors that are
/// no property of the archive escape. `threads` parts at once. Memory: some 100 bytes for each file, and what decoders
/// need.
BackupReading verify_backup(const pipeline::Repository& repository, const std::string& backup, unsigned threads,
                            Findings& findings, const Run& run);

}  // namespace seawall::ops
