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
  config::Setting<bool> reverse_unpack{
      *this,
      {.name = "WALG_USE_REVERSE_UNPACK",
       .initial = false,
       .doc = "Restore a chain of deltas from its newest member backwards, each page written once."}};
  config::Setting<bool> skip_redundant_tars{
      *this,
      {.name = "WALG_SKIP_REDUNDANT_TARS",
       .initial = false,
       .doc = "When restoring backwards, leave out parts of which nothing would be kept."}};
  config::Setting<std::string> target_user_data{
      *this, {.name = "WALG_FETCH_TARGET_USER_DATA", .doc = "Restore the backup that carries this user data (JSON)."}};
};

struct RestoreRequest {
  std::string directory;
  std::string backup;                                   ///< its full name
  std::string mask;                                     ///< glob over paths within the directory; empty: everything
  std::optional<archive::TablespaceSpec> restore_spec;  ///< other places for the tablespaces, of none: no links
  /// --restore-only: databases and tables (ops/restore_only.hh); empty: all. Implies both of the following.
  std::string restore_only = {};
  bool reverse_unpack = false;       ///< as the setting
  bool skip_redundant_tars = false;  ///< as the setting
  /// With restore_spec: its places are those of the backup, so that the server may go by its tablespace_map.
  bool keep_tablespace_map = false;
};

/// What the file of --restore-spec says; nullopt without a path. Errc::not_found, or Errc::corrupt naming the file.
std::optional<archive::TablespaceSpec> read_restore_spec(const std::string& path);

/// Unpacks `backup` and those that it stands on into `directory`: checks the destination and that every object is there
/// before the first byte is written; several parts at once; pg_control last, and a marker stands until everything is
/// durable (R11). Every file that the backup lists must have come, or it fails (R13).
///
/// A chain of deltas comes oldest first, each increment applied to what is there, or (reverse_unpack) newest first,
/// each page written once; the directory is the same, byte for byte. Pages that no backup of the chain has are zeros:
/// the file grew without WAL.
///
/// Memory: per thread one decoder and 1 MiB, and 9 bytes a file and backup; backwards 80 bytes more for each file that
/// is stored as an increment, and one bit a page of the files that are being written.
/// Errors: in_use, exists (destination), not_found, incomplete (naming the object or file that is missing), corrupt
/// (naming the object), no_space, and those of the store.
void restore_backup(const pipeline::Repository& repository, const RestoreRequest& request,
                    const RestoreSettings& settings, const Run& run);

/// Errc::not_found, saying so, if the backup has parts but no sentinel: it was never finished, or is half deleted.
void refuse_unfinished(const pipeline::Repository& repository, std::string_view backup, const Run& run);

}  // namespace seawall::ops
