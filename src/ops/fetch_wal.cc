#include "ops/fetch_wal.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "archive/layout.hh"
#include "base/text.hh"
#include "ops/segment_check.hh"
#include "ops/wal_download.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;
using archive::WalFileKind;

constexpr auto poll_interval = std::chrono::milliseconds(2);
/// Polls without growth until a download under way counts as dead: WAL-G's number, and far more while its writer is
/// seen to live, for then a second download of the same file only slows both.
constexpr int patience = 100;
constexpr int patience_with_living = 15000;

constexpr int status_fatal_to_recovery = 126;
constexpr int status_retried_by_standby = 1;

bool is_there(const fs::path& path) { return ::access(path.c_str(), F_OK) == 0; }

class WalFetch final {
 public:
  WalFetch(const std::function<pipeline::Repository()>& open, std::string_view name, const fs::path& destination,
           const FetchWalSettings& settings, const Run& run, const FetchStyle& style)
      : open_(open),
        name_(name),
        kind_(archive::wal_file_kind(name)),
        destination_(destination),
        style_(style),
        folders_(prefetch_folders(settings, destination, style.tool)),
        run_(run) {}

  std::optional<FetchedWal> fetch() {
    if (kind_ == WalFileKind::other) {
      throw Error(Errc::usage, fmt::format("'{}' is no name of a WAL file: expected is a segment (24 hex digits), a "
                                           ".partial, a .history or a .backup file",
                                           name_));
    }
    if (!style_.replace && is_there(destination_)) {
      throw Error(Errc::exists, fmt::format("'{}' exists; wal-fetch does not overwrite", destination_.native()));
    }
    if (kind_ == WalFileKind::segment) {
      find_system_identifier();
      if (const auto segment_bytes = take_prefetched()) {
        tell("", {}, fmt::format("'{}' had been fetched ahead", name_));
        return FetchedWal{segment_bytes, true};
      }
    }
    return download();
  }

 private:
  /// PostgreSQL runs restore_command in the data directory, with a destination in pg_wal.
  void find_system_identifier() {
    if (const auto data_directory = data_directory_around(destination_)) {
      system_identifier_ = system_identifier_of(*data_directory, run_.log);
    }
  }

  std::optional<std::uint64_t> take_prefetched() {
    for (;;) {
      if (const auto segment_bytes = take_finished()) return segment_bytes;
      if (!is_there(folders_.running / name_)) {
        // It may have been finished between the two looks.
        return take_finished();
      }
      if (!await_running()) return std::nullopt;
    }
  }

  std::optional<std::uint64_t> take_finished() {
    const fs::path finished = folders_.finished / name_;
    const std::optional<Fd> fd = try_open_file(finished, O_RDONLY);
    if (!fd) return std::nullopt;
    std::uint64_t segment_bytes = 0;
    try {
      segment_bytes = check_fetched_segment(*fd, finished.native(), expectation(), run_.log);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt && error.code() != Errc::foreign && error.code() != Errc::unsupported) throw;
      run_.log.warning("what was fetched ahead is not used: {}", error.what());
      ::unlink(finished.c_str());
      return std::nullopt;
    }
    if (!move_file(finished, destination_, style_.replace)) copy_over(*fd, finished, segment_bytes);
    return segment_bytes;
  }

  /// WALG_PREFETCH_DIR on another file system.
  void copy_over(const Fd& from, const fs::path& path, std::uint64_t bytes) {
    FileInMaking copy(temporary_beside(destination_));
    const AlignedBuffer buffer(std::size_t{1} << 20);
    for (std::uint64_t offset = 0; offset < bytes;) {
      run_.check();
      const std::size_t n = read_at(from, buffer.span(), offset, path.native());
      if (n == 0) throw Error(Errc::corrupt, fmt::format("'{}' became shorter while it was read", path.native()));
      write_all(copy.fd(), Bytes(buffer.span().first(n)), copy.path().native());
      offset += n;
    }
    copy.move_to(destination_, style_.replace);
    ::unlink(path.c_str());
  }

  /// Waits while another process's download grows. False: it does not any more, and was removed.
  bool await_running() {
    const fs::path running = folders_.running / name_;
    std::int64_t size = -1;
    for (int still = 0;; ++still) {
      const std::optional<Fd> fd = try_open_file(running, O_RDONLY);
      if (!fd) return true;
      const std::int64_t now = stat_of(*fd, running.native()).st_size;
      if (now != size) still = 0;
      size = now;
      if (still >= patience && (still >= patience_with_living || !is_being_written(*fd))) break;
      run_.clock.sleep(poll_interval, run_.stop);
      run_.check();
    }
    run_.log.info("the download of '{}' under way does not go on; fetching it here", name_);
    ::unlink(running.c_str());
    return false;
  }

  std::optional<FetchedWal> download() {
    const pipeline::Repository repository = open_();
    tell("begin", {}, fmt::format("fetching '{}'", name_));
    const auto found = pipeline::find_encoded(repository, archive::wal_object(name_), run_.stop);
    if (!found) {
      tell("complete", {}, fmt::format("'{}' is not in the archive", name_));
      return std::nullopt;
    }
    FileInMaking file(temporary_beside(destination_));
    const auto segment_bytes = download_wal(repository, *found, expectation(), file, run_);
    file.move_to(destination_, style_.replace);
    tell("complete", found->object.key, fmt::format("fetched '{}'", name_));
    if (kind_ == WalFileKind::segment) ::unlink((folders_.finished / name_).c_str());
    return FetchedWal{segment_bytes, false};
  }

  void tell(std::string_view state, std::string_view key, std::string_view message) const {
    run_.log.event({.action = "wal-fetch", .state = state, .name = name_, .key = key, .file = destination_.native()},
                   LogLevel::debug, message);
  }

  WalExpectation expectation() const { return {.name = name_, .system_identifier = system_identifier_}; }

  const std::function<pipeline::Repository()>& open_;
  const std::string name_;
  const WalFileKind kind_;
  const fs::path destination_;
  const FetchStyle style_;
  const PrefetchFolders folders_;
  const Run& run_;
  std::optional<std::uint64_t> system_identifier_;
};

/// standby_mode of a recovery.conf (PostgreSQL up to 11; later ones do not start where one is).
bool standby_mode_on(std::string_view recovery_conf) {
  bool on = false;
  for (const std::string_view line : split(recovery_conf, '\n')) {
    std::string_view rest = trim(line.substr(0, line.find('#')));
    constexpr std::string_view key = "standby_mode";
    if (lower(rest.substr(0, key.size())) != key) continue;
    rest = trim(rest.substr(key.size()));
    if (rest.starts_with('=')) rest = trim(rest.substr(1));
    if (rest.size() >= 2 && rest.front() == '\'' && rest.back() == '\'') rest = trim(rest.substr(1, rest.size() - 2));
    // PostgreSQL's parse_bool() takes every unique beginning of these words.
    const std::string value = lower(rest);
    on = value == "1" || value == "on" || (!value.empty() && std::string_view("true").starts_with(value)) ||
         (!value.empty() && std::string_view("yes").starts_with(value));
  }
  return on;
}

}  // namespace

std::optional<FetchedWal> fetch_wal(const std::function<pipeline::Repository()>& open, std::string_view name,
                                    const fs::path& destination, const FetchWalSettings& settings, const Run& run,
                                    const FetchStyle& style) {
  return WalFetch(open, name, destination, settings, run, style).fetch();
}

int fetch_failure_status(const FetchWalSettings& settings, const fs::path& data_directory) {
  if (settings.failure_status() != 0) return settings.failure_status();
  if (is_there(data_directory / "standby.signal")) return status_retried_by_standby;
  const auto recovery_conf = try_read_file(data_directory / "recovery.conf");
  return recovery_conf && standby_mode_on(*recovery_conf) ? status_retried_by_standby : status_fatal_to_recovery;
}

}  // namespace seawall::ops
