#include "ops/restore_cluster.hh"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.hh"
#include "base/text.hh"
#include "ops/backup_selection.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

bool knows_its_wal(const archive::Sentinel& sentinel) { return sentinel.start_lsn && sentinel.finish_lsn; }

/// The backup of that name or the newest; nothing: the plan has to choose one for the target.
std::optional<std::string> chosen_backup(const pipeline::Repository& repository, const ClusterRequest& request,
                                         const Run& run) {
  const bool named = !request.backup.empty() && request.backup != "LATEST";
  if (named) {
    refuse_unfinished(repository, request.backup, run);
    return resolve_backup(repository, request.backup, run);
  }
  if (request.target) return std::nullopt;
  return resolve_backup(repository, "LATEST", run);
}

RecoveryPlan plan_of(const pipeline::Repository& repository, const ClusterRequest& request, const Run& run) {
  const RecoveryTarget target = request.target.value_or(RecoveryTarget{.kind = RecoveryTarget::Kind::end, .text = {}});
  std::optional<std::string> backup = chosen_backup(repository, request, run);
  if (backup) {
    const archive::Sentinel sentinel = read_sentinel(repository, *backup, run);
    if (!request.wal_from_archive || !knows_its_wal(sentinel)) {
      run.log.warning("WAL for {} was not looked for: {}", *backup,
                      request.wal_from_archive ? "the backup does not say which it needs"
                                               : "the restore command has it from elsewhere");
      return {.backup = *backup, .pg_version = sentinel.pg_version, .target = target};
    }
  }
  return plan_recovery(repository, backup, target, run);
}

/// The server insists on a directory of its own; what lies in it has its owner from the backup.
void give_to_owner_of_files(const std::string& directory) {
  if (::geteuid() != 0) return;
  struct stat file {};
  const fs::path version = fs::path(directory) / "PG_VERSION";
  if (::stat(version.c_str(), &file) != 0) throw system_error(errno, version.native());
  if (::chown(directory.c_str(), file.st_uid, file.st_gid) != 0) throw system_error(errno, directory);
}

}  // namespace

int version_of_directory(const std::string& directory) {
  const std::string text(trim(try_read_file(fs::path(directory) / "PG_VERSION").value_or("")));
  const std::vector<std::string_view> numbers = split(text, '.');
  const auto major = parse_int<int>(numbers[0]);
  const auto minor = numbers.size() > 1 ? parse_int<int>(numbers[1]) : std::optional<int>(0);
  if (!major || !minor) {
    throw Error(Errc::corrupt, fmt::format("{}/PG_VERSION does not say of which version the cluster is", directory));
  }
  return *major * 10000 + (*major < 10 ? *minor * 100 : 0);
}

RestoredCluster restore_cluster(const pipeline::Repository& repository, const ClusterRequest& request,
                                const RestoreSettings& settings, const Run& run) {
  RecoveryPlan plan = plan_of(repository, request, run);
  RestoreRequest restore{
      .directory = request.directory, .backup = plan.backup, .mask = {}, .restore_spec = request.restore_spec};
  if (request.relocate) restore.restore_spec = request.relocate(read_sentinel(repository, plan.backup, run));
  restore_backup(repository, restore, settings, run);
  give_to_owner_of_files(request.directory);
  plan.pg_version = version_of_directory(request.directory);
  write_recovery_settings(request.directory, plan, request.restore_command(request.directory), run);
  return {.backup = plan.backup, .pg_version = plan.pg_version};
}

}  // namespace seawall::ops
