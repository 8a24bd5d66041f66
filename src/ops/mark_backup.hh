#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/load_catalogue.hh"

namespace seawall::ops {

/// backup-mark: makes a backup and all that it stands on permanent, or a single one impermanent again. Only
/// metadata.json changes, and only the one that was read: Errc::differs if somebody else changed it meanwhile. Returned
/// are the backups that were changed; none: all was as wanted. Errors as archive::backups_to_mark.
std::vector<std::string> mark_backup(const pipeline::Repository& repository, std::string_view name, bool permanent,
                                     const CatalogueRequest& request, const Run& run);

}  // namespace seawall::ops
