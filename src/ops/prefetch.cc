#include "ops/prefetch.hh"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>

#include "archive/layout.hh"
#include "base/work.hh"
#include "ops/segment_check.hh"
#include "ops/wal_download.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

/// Enough to hide the latency of a storage; each holds a decoder and a read buffer.
constexpr unsigned most_downloads = 4;
/// A file that nobody locks and nobody wrote to for so long was left by a process that died.
constexpr auto stale_after = std::chrono::minutes(1);

bool is_there(const fs::path& path) { return ::access(path.c_str(), F_OK) == 0; }

/// Removes WAL files before `first` in the order of (timeline, number); names compare that way.
void remove_older(const fs::path& folder, std::string_view first) {
  struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(folder.c_str()));
  if (directory == nullptr) return;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view file(entry->d_name);
    if (archive::is_segment_name(file) && file < first) ::unlink((folder / file).c_str());
  }
}

class Prefetch final {
 public:
  Prefetch(const pipeline::Repository& repository, const PrefetchRequest& request, const Run& run)
      : repository_(repository), request_(request), folders_(request.folders), run_(run) {
    if (const auto data_directory = data_directory_around(request.pg_wal / "x")) {
      system_identifier_ = system_identifier_of(*data_directory, run.log);
    }
  }

  unsigned fetch_all() {
    std::error_code failure;
    fs::create_directories(folders_.running, failure);
    if (failure) throw system_error(failure.value(), folders_.running.native());
    if (request_.sweep && request_.first.number > 0) {
      const std::string before = segment(0, -1).name(request_.segment_bytes);
      remove_older(folders_.finished, before);
      remove_older(folders_.running, before);
    }
    std::atomic<unsigned> next{0};
    std::atomic<unsigned> there{0};
    WorkerGroup group(run_.stop);
    for (unsigned i = 0; i < std::min(request_.count, most_downloads); ++i) {
      group.start([&](std::stop_token stop) {
        for (unsigned n = next++; n < request_.count; n = next++) {
          if (!fetch(segment(n).name(request_.segment_bytes), run_.with(stop))) next = request_.count;
          if (is_there(folders_.finished / segment(n).name(request_.segment_bytes))) ++there;
        }
      });
    }
    group.join();
    return there;
  }

 private:
  archive::Segment segment(unsigned n, int offset = 0) const {
    return {request_.first.timeline, request_.first.number + n + static_cast<std::uint64_t>(offset)};
  }

  /// False: there is no use in looking for later ones.
  bool fetch(const std::string& name, const Run& run) {
    const fs::path finished = folders_.finished / name;
    if (is_there(finished)) return true;
    try {
      const auto found = pipeline::find_encoded(repository_, archive::wal_object(name), run.stop);
      if (!found) return false;
      const std::unique_ptr<FileInMaking> file = start_file(folders_.running / name);
      if (file == nullptr) return true;
      tell(name, "begin", found->object.key, run);
      download_wal(repository_, *found, {.name = name, .system_identifier = system_identifier_}, *file, run);
      sync_file(file->fd(), file->path().native());
      file->move_to(finished);
      tell(name, "complete", found->object.key, run);
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled) throw;
      if (error.code() == Errc::exists) return true;
      run.log.warning("'{}' was not fetched ahead: {}", name, error.what());
      return error.code() == Errc::corrupt || error.code() == Errc::foreign;
    }
    return true;
  }

  static void tell(const std::string& name, std::string_view state, std::string_view key, const Run& run) {
    run.log.event({.action = "wal-prefetch", .state = state, .name = name, .key = key, .file = {}}, LogLevel::debug,
                  fmt::format("fetching '{}' ahead: {}", name, state));
  }

  /// Null: another process fetches it.
  std::unique_ptr<FileInMaking> start_file(const fs::path& path) const {
    for (int attempt = 1; attempt <= 2; ++attempt) {
      try {
        auto file = std::make_unique<FileInMaking>(path);
        ::flock(file->fd().get(), LOCK_EX | LOCK_NB);
        return file;
      } catch (const Error& error) {
        if (error.code() != Errc::exists || !abandoned(path)) break;
        ::unlink(path.c_str());
      }
    }
    return nullptr;
  }

  bool abandoned(const fs::path& path) const {
    const std::optional<Fd> fd = try_open_file(path, O_RDONLY);
    if (!fd) return false;
    if (is_being_written(*fd)) return false;
    const struct stat status = stat_of(*fd, path.native());
    const Time written(std::chrono::seconds(status.st_mtim.tv_sec) + std::chrono::nanoseconds(status.st_mtim.tv_nsec));
    return run_.clock.wall() - written > stale_after;
  }

  const pipeline::Repository& repository_;
  const PrefetchRequest& request_;
  const PrefetchFolders& folders_;
  const Run& run_;
  std::optional<std::uint64_t> system_identifier_;
};

}  // namespace

PrefetchFolders prefetch_folders(const FetchWalSettings& settings, const fs::path& destination, std::string_view tool) {
  const fs::path base = settings.prefetch_dir().empty() ? destination.parent_path() : fs::path(settings.prefetch_dir());
  fs::path finished = base / tool / "prefetch";
  fs::path running = finished / "running";
  return {std::move(finished), std::move(running)};
}

bool prefetch_is_due(const PrefetchFolders& folders, unsigned count, std::string_view name,
                     std::uint64_t segment_bytes) {
  const auto segment = archive::parse_segment(name, segment_bytes);
  if (count == 0 || !segment) return false;
  unsigned missing = 0;
  for (unsigned n = 1; n <= count; ++n) {
    const std::string later = archive::Segment{segment->timeline, segment->number + n}.name(segment_bytes);
    if (is_there(folders.finished / later)) continue;
    ++missing;
    const std::optional<Fd> running = try_open_file(folders.running / later, O_RDONLY);
    if (running && is_being_written(*running)) return false;
  }
  return missing * 2 > count;
}

PrefetchRequest prefetch_after(std::string_view name, std::uint64_t segment_bytes, unsigned count,
                               PrefetchFolders folders, const fs::path& destination) {
  const auto segment = archive::parse_segment(name, segment_bytes);
  if (!segment) {
    throw Error(Errc::usage, fmt::format("'{}' is no name of a WAL segment of {} bytes", name, segment_bytes));
  }
  return {.folders = std::move(folders),
          .pg_wal = destination.parent_path(),
          .first = segment->next(),
          .count = count,
          .segment_bytes = segment_bytes};
}

unsigned prefetch_wal(const pipeline::Repository& repository, const PrefetchRequest& request, const Run& run) {
  return Prefetch(repository, request, run).fetch_all();
}

}  // namespace seawall::ops
