#include "archive/archive_summary.hh"

#include <algorithm>
#include <map>

namespace seawall::archive {
namespace {

void count(const Catalogue& catalogue, std::size_t index, ClusterSummary& cluster) {
  const Backup& backup = catalogue.backups()[index];
  const bool delta = backup.sentinel ? backup.is_delta() : backup.name.find("_D_") != std::string::npos;
  ++(delta ? cluster.delta : cluster.full);
  if (backup.permanent) ++cluster.permanent;
  if (backup.sentinel && backup.sentinel->uncompressed_bytes > 0) {
    cluster.raw_bytes += static_cast<std::uint64_t>(backup.sentinel->uncompressed_bytes);
  }
  cluster.stored_bytes += backup.stored_bytes();
  const auto later = [&](std::size_t than) { return backup.finish_time() >= catalogue.backups()[than].finish_time(); };
  if (later(cluster.latest)) cluster.latest = index;
  if (!backup.restorable) {
    ++cluster.damaged;
  } else if (!cluster.latest_restorable || later(*cluster.latest_restorable)) {
    cluster.latest_restorable = index;
  }
}

}  // namespace

ArchiveSummary summarize(const Catalogue& catalogue) {
  ArchiveSummary summary;
  std::map<std::optional<std::uint64_t>, ClusterSummary> clusters;
  for (std::size_t i = 0; i < catalogue.backups().size(); ++i) {
    const Backup& backup = catalogue.backups()[i];
    const auto [entry, is_new] = clusters.try_emplace(backup.system_identifier());
    if (is_new) entry->second.system = backup.system_identifier();
    if (is_new) entry->second.latest = i;
    count(catalogue, i, entry->second);
    summary.backup_bytes += backup.stored_bytes();
    summary.objects += backup.folder.objects() + 1;
  }
  for (const UnfinishedBackup& unfinished : catalogue.unfinished()) {
    summary.backup_bytes += unfinished.folder.bytes();
    summary.objects += unfinished.folder.objects();
  }
  for (TimelineWindows& windows : recovery_windows(catalogue)) {
    const auto cluster = clusters.find(windows.system);
    if (cluster != clusters.end()) cluster->second.windows.push_back(std::move(windows));
  }
  for (auto& [system, cluster] : clusters) {
    cluster.chain_depth = catalogue.ancestors(cluster.latest).size();
    summary.clusters.push_back(std::move(cluster));
  }
  for (const auto& [timeline, wal] : catalogue.wal().timelines()) {
    summary.timelines.push_back({.timeline = timeline,
                                 .first = wal.listed.first(),
                                 .last = wal.listed.last(),
                                 .count = wal.listed.count(),
                                 .last_stored = wal.last_modified,
                                 .gaps = wal.usable.gaps({wal.listed.first(), wal.listed.last()})});
  }
  summary.objects += catalogue.wal().objects() + catalogue.others().size();
  summary.wal_bytes = catalogue.wal().bytes().bytes();
  return summary;
}

}  // namespace seawall::archive
