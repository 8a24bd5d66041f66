#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "archive/layout.hh"
#include "archive/wal_e.hh"
#include "base/file.hh"
#include "commands/wal_e.hh"
#include "ops/backup_selection.hh"
#include "ops/restore_backup.hh"
#include "ops/take_backup.hh"
#include "ops/wal_e_backup.hh"

namespace seawall::commands {
namespace {

namespace fs = std::filesystem;

constexpr unsigned default_pool = 4;

class NullSink final : public Sink {
 public:
  void write(Bytes) override {}
};

/// A key that cannot be used is told before the server is asked for anything.
void check_encryption(const pipeline::Repository& repository) {
  if (repository.crypter == nullptr) return;
  NullSink nowhere;
  repository.crypter->encrypt("a backup", nowhere);
}

/// Where a restore goes: the directory, and the tablespaces' places; no tablespaces: their files go into plain
/// directories.
struct Plan {
  std::string directory;
  archive::TablespaceSpec spec;
  bool as_recorded = true;  ///< every tablespace lies where the backup found it
};

std::string text_of_spec(const std::string& file) {
  const auto text = try_read_file(file);
  if (!text) throw Error(Errc::not_found, fmt::format("--restore-spec {}: no such file", file));
  return *text;
}

bool same_place(const fs::path& a, const fs::path& b) {
  return (a / "").lexically_normal() == (b / "").lexically_normal();
}

bool as_recorded(const archive::TablespaceSpec& spec, const archive::TablespaceSpec& recorded) {
  if (spec.tablespaces.size() != recorded.tablespaces.size()) return false;
  for (std::size_t i = 0; i < spec.tablespaces.size(); ++i) {
    if (!same_place(spec.tablespaces[i].location, recorded.tablespaces[i].location)) return false;
  }
  return true;
}

/// --restore-spec: a file laid over what the backup recorded, or SOURCE for that itself.
Plan plan_by_spec(const WalERun& run, const archive::TablespaceSpec& recorded) {
  const std::string& file = run.arguments.restore_spec;
  Plan plan{.directory = run.arguments.directory, .spec = recorded};
  bool moves = true;
  if (file != "SOURCE") {
    const std::string text = text_of_spec(file);
    plan.spec = archive::merge_wal_e_spec(recorded, text, file);
    moves = archive::sets_base_prefix(text, file);
  }
  if (moves && !plan.spec.base_prefix.empty() && !same_place(plan.spec.base_prefix, plan.directory)) {
    run.log.warning("the backup is restored into {}, which --restore-spec {} says, and not into {}",
                    plan.spec.base_prefix, file, plan.directory);
    plan.directory = plan.spec.base_prefix;
  }
  plan.as_recorded = as_recorded(plan.spec, recorded);
  return plan;
}

/// Without --restore-spec the links of the tablespaces must have been made.
Plan plan_by_links(const WalERun& run, const archive::TablespaceSpec& recorded) {
  Plan plan{.directory = run.arguments.directory, .spec = recorded};
  std::vector<std::string> missing;
  for (auto& tablespace : plan.spec.tablespaces) {
    const fs::path link = fs::absolute(plan.directory) / "pg_tblspc" / tablespace.oid;
    std::error_code failure;
    const fs::path target = fs::read_symlink(link, failure);
    if (failure || !fs::is_directory(link, failure)) {
      missing.push_back(link.native());
    } else {
      tablespace.location = (link.parent_path() / target).native();
    }
  }
  plan.as_recorded = as_recorded(plan.spec, recorded);
  if (missing.empty()) return plan;
  // On files WAL-E knows of no tablespaces, and restored them so.
  if (run.file_root.empty() || missing.size() < plan.spec.tablespaces.size()) {
    throw Error(Errc::incomplete,
                fmt::format("the backup has tablespaces, and these links to directories for them are missing: {}; make "
                            "them, or give --restore-spec or --blind-restore",
                            fmt::join(missing, ", ")));
  }
  return {.directory = plan.directory, .spec = {}, .as_recorded = false};
}

Plan plan_of(const WalERun& run, const archive::TablespaceSpec& recorded) {
  if (run.arguments.blind_restore && run.arguments.restore_spec.empty()) {
    return {.directory = run.arguments.directory, .spec = {}, .as_recorded = recorded.empty()};
  }
  return run.arguments.restore_spec.empty() ? plan_by_links(run, recorded) : plan_by_spec(run, recorded);
}

void tell_what_is_left(const WalERun& run, const Plan& plan, const archive::TablespaceSpec& recorded) {
  if (!recorded.empty() && plan.spec.empty()) {
    run.log.warning(
        "the tablespaces' files lie in plain directories under {}/pg_tblspc: before the server starts, move "
        "each elsewhere and put a link in its place, or set allow_in_place_tablespaces = on",
        plan.directory);
  }
  for (const char* name : {"pg_wal", "pg_xlog"}) {
    std::error_code failure;
    const fs::path path = fs::path(plan.directory) / name;
    if (!fs::is_symlink(path, failure)) continue;
    const bool there = fs::is_directory(path, failure);
    run.log.warning("{} is a link to {}, as in the cluster that was backed up{}", path.native(),
                    fs::read_symlink(path, failure).native(),
                    there ? "; make sure that no other cluster uses that directory"
                          : ", which is not there: make it before the server starts");
  }
  run.log.info("{} is restored; postgresql.conf, pg_hba.conf and pg_ident.conf are not part of WAL-E's backups",
               plan.directory);
}

}  // namespace

int wal_e_backup_push(WalERun& run) {
  ops::TakeBackupSettings settings;
  ops::PostgresSettings postgres;
  run.app.sources.load(settings);
  run.app.sources.load(postgres);
  set(settings.upload_disk_concurrency, fmt::to_string(pool_size(run, default_pool)));
  if (run.arguments.rate_limit) {
    if (*run.arguments.rate_limit < 1) {
      throw Error(Errc::usage, fmt::format("--cluster-read-rate-limit is {}; bytes per second are at least 1",
                                           *run.arguments.rate_limit));
    }
    set(settings.disk_rate_limit, fmt::to_string(*run.arguments.rate_limit));
  }
  if (archive_is_absent(run)) fs::create_directories(run.file_root);
  const pipeline::Repository repository = run.app.open_repository();
  check_encryption(repository);
  const ops::TakeBackupRequest request{.data_directory = run.arguments.directory,
                                       .verify = settings.verify_page_checksums(),
                                       .layout = ops::BackupLayout::wal_e};
  const std::string name = run.arguments.while_offline
                               ? ops::take_offline_backup(repository, request, settings, run.app.run)
                               : ops::take_backup(repository, request, settings, postgres, run.app.run);
  run.log.info("backup {} is complete", name);
  return 0;
}

int wal_e_backup_fetch(WalERun& run) {
  ops::RestoreSettings settings;
  run.app.sources.load(settings);
  set(settings.download_concurrency, fmt::to_string(pool_size(run, default_pool)));
  std::error_code failure;
  if (fs::exists(fs::path(run.arguments.directory) / "postmaster.pid", failure)) {
    throw Error(Errc::in_use, fmt::format("{} holds postmaster.pid: stop the server that runs on it; if none does, "
                                          "remove the file",
                                          run.arguments.directory));
  }
  const bool absent = archive_is_absent(run);
  std::optional<pipeline::Repository> repository;
  if (!absent) repository = run.app.open_repository();
  const std::vector<WalEBackup> found =
      wal_e_matches(absent ? std::vector<WalEBackup>{} : wal_e_backups(run, *repository), run.arguments.name);
  if (found.empty()) {
    if (!absent) ops::refuse_unfinished(*repository, run.arguments.name, run.app.run);
    throw Error(Errc::not_found,
                fmt::format("no backup of the archive is {}; 'wal-e backup-list' shows them", run.arguments.name));
  }
  const std::string& backup = found.front().name;
  const archive::TablespaceSpec recorded =
      ops::read_sentinel(*repository, backup, run.app.run).spec.value_or(archive::TablespaceSpec{});
  const Plan plan = plan_of(run, recorded);
  ops::restore_backup(*repository,
                      {.directory = plan.directory,
                       .backup = backup,
                       .mask = {},
                       .restore_spec = plan.spec,
                       .keep_tablespace_map = plan.as_recorded},
                      settings, run.app.run);
  tell_what_is_left(run, plan, recorded);
  return 0;
}

}  // namespace seawall::commands
