#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/sentinel.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// A backup that has its sentinel, hence exists.
struct ListedBackup {
  std::string name;
  Time modified{};  ///< of the sentinel
};
/// Oldest sentinel first; equal times keep the order of names.
std::vector<ListedBackup> list_sentinels(const pipeline::Repository& repository, const Run& run);

/// The last of them. Errc::not_found if there is none.
std::string latest_backup(const pipeline::Repository& repository, const Run& run);
/// `name` itself, or what LATEST stands for. Errc::not_found naming the nearest names that exist.
std::string resolve_backup(const pipeline::Repository& repository, std::string_view name, const Run& run);
/// The one backup whose metadata.json carries this user data. Errc::not_found if none, Errc::usage if several do.
std::string backup_with_user_data(const pipeline::Repository& repository, std::string_view json, const Run& run);

/// Errc::not_found if it has none.
archive::Sentinel read_sentinel(const pipeline::Repository& repository, std::string_view backup, const Run& run);
/// Nothing if absent.
std::optional<archive::BackupMetadata> read_backup_metadata(const pipeline::Repository& repository,
                                                            std::string_view backup, const Run& run);

}  // namespace seawall::ops
