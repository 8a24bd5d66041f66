#include "archive/layout.hh"

#include <fmt/format.h>

namespace seawall::archive {
namespace {

std::string in_backup(std::string_view backup, std::string_view member) {
  return fmt::format("{}{}/{}", backups_folder, backup, member);
}

}  // namespace

std::string wal_object(std::string_view file_name) { return fmt::format("{}{}", wal_folder, file_name); }

std::string sentinel_object(std::string_view backup) {
  return fmt::format("{}{}{}", backups_folder, backup, sentinel_suffix);
}

std::string metadata_object(std::string_view backup) { return in_backup(backup, "metadata.json"); }
std::string files_metadata_object(std::string_view backup) { return in_backup(backup, "files_metadata.json"); }
std::string manifest_object(std::string_view backup) { return in_backup(backup, "seawall.json"); }
std::string lease_object(std::string_view backup) { return in_backup(backup, "seawall_lease.json"); }
std::string server_manifest_object(std::string_view backup) { return in_backup(backup, "backup_manifest"); }
std::string parts_folder(std::string_view backup) { return in_backup(backup, "tar_partitions/"); }
std::string part_name(unsigned number) { return fmt::format("part_{:03}.tar", number); }

std::optional<std::string> backup_of_sentinel(std::string_view key_under_backups_folder) {
  std::string_view key = key_under_backups_folder;
  if (key.starts_with(backups_folder)) key.remove_prefix(backups_folder.size());
  if (!key.ends_with(sentinel_suffix)) return std::nullopt;
  key.remove_suffix(sentinel_suffix.size());
  if (key.empty() || key.find('/') != std::string_view::npos) return std::nullopt;
  return std::string(key);
}

std::string backup_name(std::string_view start_segment_name) { return fmt::format("base_{}", start_segment_name); }

std::string segment_name_of_backup(std::string_view backup) {
  constexpr std::size_t digits = 24;
  std::size_t run = 0;
  for (std::size_t i = 0; i < backup.size(); ++i) {
    const char c = backup[i];
    run = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') ? run + 1 : 0;
    if (run == digits) return std::string(backup.substr(i + 1 - digits, digits));
  }
  return std::string(digits, 'Z');
}

}  // namespace seawall::archive
