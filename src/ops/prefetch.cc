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
  Prefetch(const pipeline::Repository& repository, const fs::path& destination, const FetchWalSettings& settings,
           const Run& run)
      : repository_(repository), folders_(prefetch_folders(settings, destination)), run_(run) {
    if (const auto data_directory = data_directory_around(destination)) {
      system_identifier_ = system_identifier_of(*data_directory, run.log);
    }
  }

  void fetch_after(const archive::Segment& last, std::uint64_t segment_bytes, unsigned count) {
    std::error_code failure;
    fs::create_directories(folders_.running, failure);
    if (failure) throw system_error(failure.value(), folders_.running.native());
    const std::string before = last.name(segment_bytes);
    remove_older(folders_.finished, before);
    remove_older(folders_.running, before);
    std::atomic<unsigned> next{1};
    WorkerGroup group(run_.stop);
    for (unsigned i = 0; i < std::min(count, most_downloads); ++i) {
      group.start([&](std::stop_token stop) {
        for (unsigned n = next++; n <= count; n = next++) {
          const archive::Segment segment{last.timeline, last.number + n};
          if (!fetch(segment.name(segment_bytes), run_.with(stop))) next = count + 1;
        }
      });
    }
    group.join();
  }

 private:
  /// False: there is no use in looking for later ones.
  bool fetch(const std::string& name, const Run& run) {
    const fs::path finished = folders_.finished / name;
    if (is_there(finished)) return true;
    try {
      const auto found = pipeline::find_encoded(repository_, archive::wal_object(name), run.stop);
      if (!found) return false;
      const std::unique_ptr<FileInMaking> file = start_file(folders_.running / name);
      if (file == nullptr) return true;
      download_wal(repository_, *found, {.name = name, .system_identifier = system_identifier_}, *file, run);
      sync_file(file->fd(), file->path().native());
      file->move_to(finished);
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled) throw;
      if (error.code() == Errc::exists) return true;
      run.log.warning("'{}' was not fetched ahead: {}", name, error.what());
      return error.code() == Errc::corrupt || error.code() == Errc::foreign;
    }
    return true;
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
  const PrefetchFolders folders_;
  const Run& run_;
  std::optional<std::uint64_t> system_identifier_;
};

}  // namespace

PrefetchFolders prefetch_folders(const FetchWalSettings& settings, const fs::path& destination) {
  const fs::path base = settings.prefetch_dir().empty() ? destination.parent_path() : fs::path(settings.prefetch_dir());
  fs::path finished = base / ".wal-g" / "prefetch";
  fs::path running = finished / "running";
  return {std::move(finished), std::move(running)};
}

bool prefetch_is_due(const FetchWalSettings& settings, std::string_view name, std::uint64_t segment_bytes,
                     const fs::path& destination) {
  const unsigned count = settings.download_concurrency();
  const auto segment = archive::parse_segment(name, segment_bytes);
  if (count <= 1 || !segment) return false;
  const PrefetchFolders folders = prefetch_folders(settings, destination);
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

void prefetch_wal(const pipeline::Repository& repository, std::string_view name, std::uint64_t segment_bytes,
                  const fs::path& destination, const FetchWalSettings& settings, const Run& run) {
  const auto segment = archive::parse_segment(name, segment_bytes);
  if (!segment) {
    throw Error(Errc::usage, fmt::format("'{}' is no name of a WAL segment of {} bytes", name, segment_bytes));
  }
  Prefetch(repository, destination, settings, run)
      .fetch_after(*segment, segment_bytes, settings.download_concurrency());
}

}  // namespace seawall::ops
