#include "ops/list_backups.hh"

#include <algorithm>

#include "archive/layout.hh"
#include "ops/load_catalogue.hh"

namespace seawall::ops {

std::vector<BackupLine> list_backups(const pipeline::Repository& repository, const ListRequest& request,
                                     const Run& run) {
  using Kind = archive::BackupFault::Kind;
  const archive::Catalogue catalogue = load_catalogue(
      repository,
      {.concurrency = request.concurrency,
       .backups = CatalogueRequest::Backups::sentinels,
       .documents = request.details ? CatalogueRequest::Documents::metadata : CatalogueRequest::Documents::none,
       .wal = false,
       .others = false},
      run);
  std::vector<BackupLine> lines;
  bool all_known = request.details;
  for (const archive::Backup& backup : catalogue.backups()) {
    BackupLine line{.name = backup.name,
                    .modified = backup.modified,
                    .segment_name = archive::segment_name_of_backup(backup.name),
                    .storage_name = repository.name,
                    .metadata = {},
                    .problem = {}};
    if (request.details) {
      line.metadata = backup.metadata;
      for (const archive::BackupFault& fault : backup.faults) {
        if (fault.kind == Kind::metadata_missing || fault.kind == Kind::metadata_unreadable) line.problem = fault.text;
      }
      all_known = all_known && line.metadata && line.metadata->start_time != Time{};
    }
    lines.push_back(std::move(line));
  }
  if (all_known) {
    std::stable_sort(lines.begin(), lines.end(), [](const BackupLine& a, const BackupLine& b) {
      return a.metadata->start_time < b.metadata->start_time;
    });
  }
  return lines;
}

}  // namespace seawall::ops
