#pragma once

#include <optional>
#include <string>
#include <vector>

#include "archive/sentinel.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// One line of backup-list.
struct BackupLine {
  std::string name;
  Time modified{};           ///< of the sentinel
  std::string segment_name;  ///< where the backup starts, from its name
  std::string storage_name;
  std::optional<archive::BackupMetadata> metadata;  ///< only with details
};

/// Every backup that has a sentinel, by the sentinel's modification time; with details by start time unless one of
/// them is unknown. A metadata.json that cannot be read is an error with details, as in WAL-G; a missing one
/// (Errc::not_found) too.
std::vector<BackupLine> list_backups(const pipeline::Repository& repository, bool details, const Run& run);

}  // namespace seawall::ops
