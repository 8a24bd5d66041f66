#include "ops/backup_selection.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "base/text.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {

std::vector<ListedBackup> list_sentinels(const pipeline::Repository& repository, const Run& run) {
  std::vector<ListedBackup> backups;
  const std::string folder = repository.key(archive::backups_folder);
  repository.store->list(
      {.prefix = folder, .one_level = true},
      [&](const storage::ObjectInfo& object) {
        if (auto name = archive::backup_of_sentinel(std::string_view(object.key).substr(folder.size()))) {
          backups.push_back({std::move(*name), object.modified});
        }
        return true;
      },
      run.stop);
  std::stable_sort(backups.begin(), backups.end(),
                   [](const ListedBackup& a, const ListedBackup& b) { return a.modified < b.modified; });
  return backups;
}

std::string latest_backup(const pipeline::Repository& repository, const Run& run) {
  const std::vector<ListedBackup> backups = list_sentinels(repository, run);
  if (backups.empty()) throw Error(Errc::not_found, "No backups found in " + repository.store->description());
  run.log.info("LATEST backup is: '{}'", backups.back().name);
  return backups.back().name;
}

std::string resolve_backup(const pipeline::Repository& repository, std::string_view name, const Run& run) {
  if (name == "LATEST") return latest_backup(repository, run);
  if (repository.store->stat(repository.key(archive::sentinel_object(name)), run.stop)) return std::string(name);
  const std::vector<ListedBackup> backups = list_sentinels(repository, run);
  std::vector<std::string> names;
  names.reserve(backups.size());
  for (const ListedBackup& backup : backups) names.push_back(backup.name);
  std::string message = fmt::format("Backup '{}' does not exist.", name);
  if (const auto near = nearest(name, names)) {
    message += fmt::format(" Did you mean {}?", *near);
  } else if (!names.empty()) {
    message += fmt::format(" The latest one is {}; 'backup-list' shows all {}.", names.back(), names.size());
  } else {
    message += " The archive holds no backup at all.";
  }
  throw Error(Errc::not_found, std::move(message));
}

std::string backup_with_user_data(const pipeline::Repository& repository, std::string_view json, const Run& run) {
  const std::string wanted = archive::canonical_user_data(json);
  std::vector<std::string> found;
  for (const ListedBackup& backup : list_sentinels(repository, run)) {
    const auto metadata = read_backup_metadata(repository, backup.name, run);
    if (metadata && !metadata->user_data_json.empty() && archive::same_user_data(metadata->user_data_json, wanted)) {
      found.push_back(backup.name);
    }
  }
  if (found.empty()) throw Error(Errc::not_found, fmt::format("no backup carries the user data {}", wanted));
  if (found.size() > 1) {
    throw Error(Errc::usage, fmt::format("{} backups carry the user data {}: {}; give the name of one", found.size(),
                                         wanted, fmt::join(found, ", ")));
  }
  return found.front();
}

archive::Sentinel read_sentinel(const pipeline::Repository& repository, std::string_view backup, const Run& run) {
  const std::string object = archive::sentinel_object(backup);
  const auto text = pipeline::try_get(repository, object, run.stop);
  if (!text) throw Error(Errc::not_found, fmt::format("Backup '{}' does not exist: {} is not there", backup, object));
  return archive::parse_sentinel(*text, object);
}

std::optional<archive::BackupMetadata> read_backup_metadata(const pipeline::Repository& repository,
                                                            std::string_view backup, const Run& run) {
  const std::string object = archive::metadata_object(backup);
  const auto text = pipeline::try_get(repository, object, run.stop);
  if (!text) return std::nullopt;
  return archive::parse_metadata(*text, object);
}

}  // namespace seawall::ops
