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
  std::optional<archive::BackupMetadata> metadata;  ///< only with details, and if it can be read
  std::string problem;                              ///< why there is none although details were asked for
};

struct ListRequest {
  bool details = false;
  unsigned concurrency = 10;  ///< metadata.json read at once
};

/// Every backup that has a sentinel, by the sentinel's modification time; with details by start time unless one of
/// them is unknown. What cannot be read is a line's problem and hides no other line.
std::vector<BackupLine> list_backups(const pipeline::Repository& repository, const ListRequest& request,
                                     const Run& run);

}  // namespace seawall::ops
