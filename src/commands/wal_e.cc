#include "commands/wal_e.hh"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "archive/layout.hh"
#include "archive/wal_e.hh"
#include "ops/backup_selection.hh"
#include "ops/fetch_wal.hh"
#include "pipeline/object_reader.hh"

namespace seawall::commands {
namespace {

constexpr int no_subcommand = 127;

struct Subcommand {
  std::string_view name;
  int (*run)(WalERun&);
  bool announced;  ///< by a line in the log; PostgreSQL's own commands are not
};
constexpr std::array<Subcommand, 7> subcommands{{{"backup-list", wal_e_backup_list, true},
                                                 {"backup-push", wal_e_backup_push, true},
                                                 {"backup-fetch", wal_e_backup_fetch, true},
                                                 {"wal-push", wal_e_wal_push, false},
                                                 {"wal-fetch", wal_e_wal_fetch, false},
                                                 {"wal-prefetch", wal_e_wal_prefetch, false},
                                                 {"delete", wal_e_delete, true}}};

/// "2026-11-20T23:55:32.161418", without a fraction that is zero: as WAL-E shows the times of files.
std::string file_time(Time t) {
  const auto micro = std::chrono::floor<std::chrono::microseconds>(t + std::chrono::nanoseconds(500));
  const auto second = std::chrono::floor<std::chrono::seconds>(micro);
  const auto fraction = (micro - second).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}{}", fmt::gmtime(std::chrono::system_clock::to_time_t(second)),
                     fraction == 0 ? "" : fmt::format(".{:06}", fraction));
}

/// "2026-11-21T00:10:53.122Z", as S3 lists it.
std::string s3_time(Time t) {
  const auto milli = std::chrono::floor<std::chrono::milliseconds>(t);
  const auto second = std::chrono::floor<std::chrono::seconds>(milli);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(second)),
                     (milli - second).count());
}

void print_row(std::ostream& out, const std::array<std::string, 7>& row) {
  for (std::size_t i = 0; i < row.size(); ++i) out << (i == 0 ? "" : "\t") << row[i];
  out << "\r\n";
}

}  // namespace

bool archive_is_absent(const WalERun& run) {
  std::error_code failure;
  return !run.file_root.empty() && !std::filesystem::exists(run.file_root, failure) && !failure;
}

void set(config::SettingBase& setting, const std::string& text) {
  setting.parse(text, {config::Origin::Kind::flag, "wal-e"});
}

unsigned pool_size(const WalERun& run, unsigned by_default) {
  const int given = run.arguments.pool_size.value_or(static_cast<int>(by_default));
  if (given < 1) throw Error(Errc::usage, fmt::format("--pool-size is {}; at least 1 is needed", given));
  constexpr int most = 256;
  return static_cast<unsigned>(std::min(given, most));
}

std::vector<WalEBackup> wal_e_backups(const WalERun& run, const pipeline::Repository& repository) {
  std::vector<WalEBackup> backups;
  for (const ops::ListedBackup& listed : ops::list_sentinels(repository, run.app.run)) {
    if (archive::parse_wal_e_name(listed.name)) backups.push_back({listed.name, listed.modified});
  }
  std::stable_sort(backups.begin(), backups.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return backups;
}

std::vector<WalEBackup> wal_e_matches(std::vector<WalEBackup> backups, const std::string& query) {
  if (query == "LATEST") {
    const auto latest = std::max_element(backups.begin(), backups.end(),
                                         [](const auto& a, const auto& b) { return a.modified < b.modified; });
    return latest == backups.end() ? std::vector<WalEBackup>{} : std::vector<WalEBackup>{*latest};
  }
  constexpr std::size_t name_bytes = 38;
  // WAL-E looks at the beginning alone, and finds nothing by a longer name.
  if (!archive::parse_wal_e_name(std::string_view(query).substr(0, name_bytes))) {
    throw Error(Errc::config, fmt::format("invalid backup query submitted: '{}' is neither LATEST nor a backup's name "
                                          "(base_ + 24 digits + _ + 8 digits)",
                                          query));
  }
  std::erase_if(backups, [&](const WalEBackup& backup) { return backup.name != query; });
  return backups;
}

int wal_e_backup_list(WalERun& run) {
  std::ostream& out = run.app.out;
  print_row(out, {"name", "last_modified", "expanded_size_bytes", "wal_segment_backup_start",
                  "wal_segment_offset_backup_start", "wal_segment_backup_stop", "wal_segment_offset_backup_stop"});
  out.flush();
  const bool on_files = !run.file_root.empty();
  std::vector<WalEBackup> backups;
  std::optional<pipeline::Repository> repository;
  if (!archive_is_absent(run)) {
    repository = run.app.open_repository();
    backups = wal_e_backups(run, *repository);
  }
  if (!run.arguments.name.empty()) backups = wal_e_matches(std::move(backups), run.arguments.name);
  for (const WalEBackup& backup : backups) {
    const auto name = archive::parse_wal_e_name(backup.name);
    archive::WalEStop stop;
    // On files WAL-E never looks into a sentinel, and scripts find these columns empty.
    if (run.arguments.detail && !on_files) {
      const std::string object = archive::sentinel_object(backup.name);
      const auto text = pipeline::try_get(*repository, object, run.app.run.stop);
      if (!text) continue;  // deleted since it was listed
      stop = archive::parse_wal_e_stop(*text, repository->key(object));
    }
    print_row(out, {backup.name, on_files ? file_time(backup.modified) : s3_time(backup.modified), stop.expanded_bytes,
                    name->segment, name->offset, stop.segment, stop.offset});
  }
  return 0;
}

int run_wal_e(WalERun& run) {
  const std::string& command = run.arguments.command;
  if (command.empty()) {
    run.log.record(
        {.level = LogLevel::error, .message = "no subcommand was given", .hint = "'wal-e --help' shows them."});
    return no_subcommand;
  }
  const std::string word = command.substr(0, command.find(' '));
  const auto found =
      std::find_if(subcommands.begin(), subcommands.end(), [&](const Subcommand& s) { return s.name == word; });
  if (found == subcommands.end()) throw Error(Errc::bug, command + " is parsed but not run");
  return found->run(run);
}

int wal_e_failure(const std::string& command, Errc code, const config::Sources& sources) {
  if (command == "wal-fetch" && code != Errc::usage && code != Errc::cancelled) {
    ops::FetchWalSettings settings;
    try {
      sources.load(settings);
    } catch (const Error&) {
      // One of them is what failed; the others have their defaults.
    }
    return ops::fetch_failure_status(settings, ".");
  }
  constexpr std::array<Errc, 8> unexpected{Errc::usage, Errc::network,  Errc::timeout, Errc::throttled,
                                           Errc::io,    Errc::no_space, Errc::denied,  Errc::bug};
  // The server that is backed up is reached before anything else, and WAL-E expects that to fail.
  if (command == "backup-push" && (code == Errc::network || code == Errc::denied)) return 1;
  if (command == "backup-fetch" && code == Errc::corrupt) return 2;
  return std::find(unexpected.begin(), unexpected.end(), code) != unexpected.end() ? 2 : 1;
}

}  // namespace seawall::commands
