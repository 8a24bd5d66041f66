#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "archive/wal_name.hh"
#include "commands/detached_spawn.hh"
#include "commands/wal_e.hh"
#include "ops/fetch_wal.hh"
#include "ops/push_wal.hh"

namespace seawall::commands {
namespace {

namespace fs = std::filesystem;

constexpr unsigned default_push_pool = 32;
constexpr int default_prefetch = 8;
constexpr std::string_view tool = ".wal-e";

/// WAL-E's status for a missing WAL file: on files it stumbles over the missing one.
int missing_status(const WalERun& run) { return run.file_root.empty() ? 1 : 2; }

void start_prefetch(const WalERun& run, const std::string& base, std::uint64_t segment_bytes, int count) {
  std::vector<std::string> words{run.app.program};
  words.insert(words.end(), run.app.global_arguments.begin(), run.app.global_arguments.end());
  words.insert(words.end(), {"wal-prefetch", fmt::format("--seawall-ahead={}", count),
                             fmt::format("--seawall-segment-mib={}", segment_bytes >> 20), base, run.arguments.name});
  DetachedSpawn spawn(false);
  if (const int failure = spawn.start(words)) {
    run.log.warning("cannot start '{} wal-prefetch': {}", run.app.program, std::strerror(failure));
  }
}

/// The directory in which the file will lie, links resolved: the cache is beside it.
fs::path base_of(const std::string& destination) { return fs::weakly_canonical(destination).parent_path(); }

}  // namespace

int wal_e_wal_push(WalERun& run) {
  ops::PushWalSettings settings;
  ops::PostgresSettings postgres;
  run.app.sources.load(settings);
  run.app.sources.load(postgres);
  const std::string pool = fmt::to_string(pool_size(run, default_push_pool));
  set(settings.upload_concurrency, pool);
  set(settings.total_bg_uploaded_limit, pool);
  set(settings.pg_ready_rename, "true");
  if (archive_is_absent(run)) fs::create_directories(run.file_root);
  ops::push_wal(run.app.open_repository(), run.arguments.file, settings, postgres, run.app.run);
  return 0;
}

int wal_e_wal_fetch(WalERun& run) {
  ops::FetchWalSettings settings;
  run.app.sources.load(settings);
  const std::string& name = run.arguments.name;
  if (archive::wal_file_kind(name) == archive::WalFileKind::other || archive_is_absent(run)) {
    run.log.info("'{}' is not in the archive", name);
    return missing_status(run);
  }
  const fs::path base = base_of(run.arguments.file);
  const fs::path destination = base / fs::path(run.arguments.file).filename();
  const auto fetched = ops::fetch_wal(run.app.open_repository, name, destination, settings, run.app.run,
                                      {.tool = tool, .replace = true});
  if (!fetched) {
    run.log.info("'{}' is not in the archive", name);
    return missing_status(run);
  }
  const int ahead = run.arguments.pool_size.value_or(default_prefetch);
  if (ahead > 0 && fetched->segment_bytes &&
      ops::prefetch_is_due(ops::prefetch_folders(settings, destination, tool), static_cast<unsigned>(ahead), name,
                           *fetched->segment_bytes)) {
    start_prefetch(run, base.native(), *fetched->segment_bytes, ahead);
  }
  return 0;
}

int wal_e_wal_prefetch(WalERun& run) {
  ops::FetchWalSettings settings;
  run.app.sources.load(settings);
  const fs::path destination = fs::path(run.arguments.directory) / run.arguments.name;
  const ops::PrefetchFolders folders = ops::prefetch_folders(settings, destination, tool);
  if (run.arguments.ahead > 0) {
    const auto segment_bytes = static_cast<std::uint64_t>(run.arguments.segment_mib) << 20;
    ops::prefetch_wal(run.app.open_repository(),
                      ops::prefetch_after(run.arguments.name, segment_bytes, static_cast<unsigned>(run.arguments.ahead),
                                          folders, destination),
                      run.app.run);
    return 0;
  }
  // One segment by its name: with the smallest size every name is one, and prints back to itself.
  constexpr std::uint64_t smallest = std::uint64_t{1} << 20;
  const auto segment = archive::parse_segment(run.arguments.name, smallest);
  if (!segment) throw Error(Errc::usage, fmt::format("'{}' is no name of a WAL segment", run.arguments.name));
  if (archive_is_absent(run)) return missing_status(run);
  const unsigned there = ops::prefetch_wal(run.app.open_repository(),
                                           {.folders = folders,
                                            .pg_wal = run.arguments.directory,
                                            .first = *segment,
                                            .count = 1,
                                            .segment_bytes = smallest,
                                            .sweep = false},
                                           run.app.run);
  return there == 1 ? 0 : missing_status(run);
}

}  // namespace seawall::commands
