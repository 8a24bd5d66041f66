#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "base/run.hh"
#include "ops/take_backup.hh"
#include "pipeline/object_writer.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// Files at the top of a data directory that WAL-E's backups do not have: whoever restores supplies them.
bool wal_e_leaves_out(std::string_view name);

/// A small object, as it is.
pipeline::Stored put_text(const pipeline::Repository& repository, std::string_view name, std::string_view text,
                          std::stop_token stop);

/// WAL-E's backup --while-offline: of a cluster that was shut down cleanly, without asking a server. It needs no other
/// WAL than the segment with its last checkpoint, which is stored among its files, unlike WAL-E's.
/// Of `request` the directory and the rate count. Returned is its name.
/// Errors: in_use (a server runs on it), config (no data directory, or not shut down cleanly), foreign, exists, and
/// those of walk and store.
std::string take_offline_backup(const pipeline::Repository& repository, const TakeBackupRequest& request,
                                const TakeBackupSettings& settings, const Run& run);

}  // namespace seawall::ops
