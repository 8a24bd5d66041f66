#include "ops/list_backups.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "ops/backup_selection.hh"

namespace seawall::ops {

std::vector<BackupLine> list_backups(const pipeline::Repository& repository, bool details, const Run& run) {
  std::vector<BackupLine> lines;
  for (ListedBackup& backup : list_sentinels(repository, run)) {
    BackupLine line{.name = backup.name,
                    .modified = backup.modified,
                    .segment_name = archive::segment_name_of_backup(backup.name),
                    .storage_name = repository.name,
                    .metadata = {}};
    if (details) {
      line.metadata = read_backup_metadata(repository, line.name, run);
      if (!line.metadata) {
        throw Error(Errc::not_found, fmt::format("{} is missing; 'backup-list' without --detail works without it",
                                                 archive::metadata_object(line.name)));
      }
    }
    lines.push_back(std::move(line));
  }
  const bool all_known = std::all_of(lines.begin(), lines.end(), [](const BackupLine& line) {
    return line.metadata && line.metadata->start_time != Time{};
  });
  if (details && all_known) {
    std::stable_sort(lines.begin(), lines.end(), [](const BackupLine& a, const BackupLine& b) {
      return a.metadata->start_time < b.metadata->start_time;
    });
  }
  return lines;
}

}  // namespace seawall::ops
