#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "archive/sentinel.hh"

namespace seawall::commands {

/// A backup as backup-list --json and wal-show --detailed-json show it, byte for byte as WAL-G does; with `metadata`
/// its members too.
std::string backup_json(std::string_view name, Time modified, std::string_view storage,
                        const std::optional<archive::BackupMetadata>& metadata);

}  // namespace seawall::commands
