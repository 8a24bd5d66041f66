#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "archive/wal_name.hh"

/// Names of everything in an archive in WAL-G's layout (docs/formats/layout.md). Names are relative to the
/// repository's prefix and carry no compression suffix unless said.
namespace seawall::archive {

inline constexpr std::string_view backups_folder = "basebackups_005/";
inline constexpr std::string_view wal_folder = "wal_005/";
inline constexpr std::string_view sentinel_suffix = "_backup_stop_sentinel.json";

std::string wal_object(std::string_view file_name);    ///< "wal_005/000000010000000000000003"
std::string sentinel_object(std::string_view backup);  ///< the commit point: a backup exists iff this does
std::string metadata_object(std::string_view backup);
std::string files_metadata_object(std::string_view backup);
std::string manifest_object(std::string_view backup);  ///< "basebackups_005/NAME/seawall.json", ours
std::string lease_object(std::string_view backup);     ///< "basebackups_005/NAME/seawall_lease.json", ours
/// The server's own backup_manifest, without suffix.
std::string server_manifest_object(std::string_view backup);
std::string parts_folder(std::string_view backup);  ///< "basebackups_005/NAME/tar_partitions/"
std::string part_name(unsigned number);             ///< "part_001.tar"
inline constexpr std::string_view control_part = "pg_control.tar";
inline constexpr std::string_view label_part = "backup_label.tar";

/// The backup that a key under basebackups_005/ is the sentinel of, if it is one.
std::optional<std::string> backup_of_sentinel(std::string_view key_under_backups_folder);
/// "base_" + segment name. Deltas append "_D_" + the parent's segment name.
std::string backup_name(std::string_view start_segment_name);
/// First 24 hex digits (0-9A-F) of a backup's name; 24 × 'Z' if there are none, as WAL-G shows it.
std::string segment_name_of_backup(std::string_view backup);

}  // namespace seawall::archive
