#pragma once

#include <optional>
#include <string>

#include "archive/sentinel.hh"
#include "base/run.hh"
#include "config/setting.hh"
#include "ops/concurrency_settings.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

struct RestoreSettings : DownloadSettings {
  config::Setting<bool> tar_disable_fsync{*this,
                                          {.name = "WALG_TAR_DISABLE_FSYNC",
                                           .initial = false,
                                           .doc = "Do not make restored files durable before backup-fetch ends."}};
  config::Setting<std::string> target_user_data{
      *this, {.name = "WALG_FETCH_TARGET_USER_DATA", .doc = "Restore the backup that carries this user data (JSON)."}};
};

struct RestoreRequest {
  std::string directory;
  std::string backup;                                   ///< its full name
  std::string mask;                                     ///< glob over paths within the directory; empty: everything
  std::optional<archive::TablespaceSpec> restore_spec;  ///< other places for the tablespaces
};

/// Unpacks `backup`, and before it the backups that it stands on, into `directory`: checks the destination and that
/// every object is there before the first byte is written; several parts at once; pg_control last, and a marker
/// stands until everything is durable (R11). Every file that the backup lists must have come, or it fails (R13).
///
/// Memory: per thread one decoder and 1 MiB, and 9 bytes a file.
/// Errors: in_use, exists (destination), not_found, incomplete (naming the object or file that is missing), corrupt
/// (naming the object), no_space, and those of the store.
void restore_backup(const pipeline::Repository& repository, const RestoreRequest& request,
                    const RestoreSettings& settings, const Run& run);

}  // namespace seawall::ops
