#pragma once

#include <string>

#include "cli/wal_e_arguments.hh"
#include "cli/wal_e_log.hh"
#include "commands/app.hh"

/// The commands under the name wal-e (docs/moving-from-wal-e.md). They print and exit as WAL-E does; the work is done
/// by the same operations as under the other names.
namespace seawall::commands {

/// What `wal-e version` says: scripts ask for the features of this one.
inline constexpr std::string_view wal_e_version = "1.1.1";

struct WalERun {
  const cli::WalEArguments& arguments;
  App& app;
  cli::WalELog& log;
  std::string file_root;  ///< of an archive in a directory; empty: it is not in one
};

/// Runs the subcommand and returns its exit status. Errors escape; wal_e_failure() says what status they are.
int run_wal_e(WalERun& run);

/// WAL-E's exit status for a failure of `command`: 2 for what it never expected (storage, network, values that make no
/// sense), 1 otherwise. Of wal-fetch it is what must stop recovery (R1).
int wal_e_failure(const std::string& command, Errc code, const config::Sources& sources);

int wal_e_backup_list(WalERun& run);
int wal_e_backup_push(WalERun& run);
int wal_e_backup_fetch(WalERun& run);
int wal_e_wal_push(WalERun& run);
int wal_e_wal_fetch(WalERun& run);
int wal_e_wal_prefetch(WalERun& run);
int wal_e_delete(WalERun& run);

/// Has the directory of the archive not been made yet? WAL-E takes that for an empty archive.
bool archive_is_absent(const WalERun& run);
/// -p as a number of threads. Errc::usage below 1.
unsigned pool_size(const WalERun& run, unsigned by_default);
void set(config::SettingBase& setting, const std::string& text);

/// A backup as WAL-E lists it.
struct WalEBackup {
  std::string name;
  Time modified{};
};
/// By name; only those that bear WAL-E's names.
std::vector<WalEBackup> wal_e_backups(const WalERun& run, const pipeline::Repository& repository);
/// The backups that a query means: a whole name, or LATEST. Errc::config for anything else.
std::vector<WalEBackup> wal_e_matches(std::vector<WalEBackup> backups, const std::string& query);

}  // namespace seawall::commands
