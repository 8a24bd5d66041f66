#pragma once

#include <functional>
#include <optional>
#include <string>

#include "archive/sentinel.hh"
#include "ops/recovery_plan.hh"
#include "ops/restore_backup.hh"

namespace seawall::ops {

/// A data directory that a server recovers by itself once it is started.
struct ClusterRequest {
  std::string directory;
  std::string backup;                    ///< a name; LATEST or empty: the newest that leads to the target
  std::optional<RecoveryTarget> target;  ///< nothing: the end of the archive
  std::optional<archive::TablespaceSpec> restore_spec;
  bool wal_from_archive = true;  ///< false: the restore command gets WAL elsewhere, so none is looked for here
  /// The restore_command for the directory, which is there and complete when it is called.
  std::function<std::string(const std::string& directory)> restore_command;
  /// Other places for the tablespaces of the backup that was chosen, if `restore_spec` says none.
  std::function<std::optional<archive::TablespaceSpec>(const archive::Sentinel&)> relocate = {};
};

struct RestoredCluster {
  std::string backup;
  int pg_version = 0;  ///< of the files, its major: 150000, 90600
};

/// Chooses the backup, looks for the WAL that recovery will need, restores, gives the directory to whom its files
/// belong (as root), and writes the settings of recovery. WAL is not looked for where the backup does not say its LSNs,
/// as WAL-E's do not; a warning tells. Errors: those of plan_recovery and restore_backup.
RestoredCluster restore_cluster(const pipeline::Repository& repository, const ClusterRequest& request,
                                const RestoreSettings& settings, const Run& run);

/// By PG_VERSION. Errc::corrupt if there is none.
int version_of_directory(const std::string& directory);

}  // namespace seawall::ops
