#pragma once

#include <cstddef>
#include <vector>

#include "archive/catalogue.hh"

namespace seawall::archive {

/// Which clock tells when a backup was made.
enum class BackupTime {
  modified,  ///< the store's, of the sentinel
  started,   ///< the database host's, by metadata.json
  finished,  ///< as before; the sentinel's modification time where it is not known
};
Time time_of(const Backup& backup, BackupTime which) noexcept;

/// All backups, oldest first, by that time; equal times by name.
std::vector<std::size_t> order_by_time(const Catalogue& catalogue, BackupTime which);
/// As before, but where the WAL says which came first, the WAL wins: within a timeline by start LSN, across timelines
/// by the histories, and a parent before what stands on it. Clocks that jump and sentinels that were copied do not
/// change that; a cluster that used a timeline twice makes it wrong. Hence what is deleted is old in both orders.
std::vector<std::size_t> order_by_lineage(const Catalogue& catalogue, BackupTime which);

}  // namespace seawall::archive
