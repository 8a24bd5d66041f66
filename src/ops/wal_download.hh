#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.hh"
#include "base/run.hh"
#include "pipeline/object_reader.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// A file under a temporary name, removed unless it was moved to its own.
class FileInMaking final {
 public:
  /// Creates `path` anew with the process's umask. Errc::exists if it is there.
  explicit FileInMaking(std::filesystem::path path);
  ~FileInMaking();
  FileInMaking(const FileInMaking&) = delete;
  FileInMaking& operator=(const FileInMaking&) = delete;

  const Fd& fd() const noexcept { return fd_; }
  const std::filesystem::path& path() const noexcept { return path_; }
  /// Errc::exists if `to` is there, unless it may be replaced.
  void move_to(const std::filesystem::path& to, bool replace = false);

 private:
  std::filesystem::path path_;
  Fd fd_;
};

/// A name beside `destination` that no other process or thread uses.
std::filesystem::path temporary_beside(const std::filesystem::path& destination);

/// rename(2) that overwrites only what it may. False: the two are on different file systems. Errc::exists naming `to`.
bool move_file(const std::filesystem::path& from, const std::filesystem::path& to, bool replace = false);

/// Whether a prefetch of ours that lives holds this file: it locks what it writes. WAL-G's do not.
bool is_being_written(const Fd& fd) noexcept;

/// What a WAL file is checked against when it is fetched.
struct WalExpectation {
  std::string_view name;
  std::optional<std::uint64_t> system_identifier;  ///< of the data directory it is for, where one is known
};

/// Writes the decoded object into `to` and checks that it is what its name says. Returns the segment size, or nothing
/// for files that are no segments. Errc::corrupt, foreign, unsupported naming the object; no_space and io naming `to`.
std::optional<std::uint64_t> download_wal(const pipeline::Repository& repository, const pipeline::Found& found,
                                          const WalExpectation& expected, const FileInMaking& to, const Run& run);

/// The same checks for a file that was fetched before. Returns the segment size.
std::uint64_t check_fetched_segment(const Fd& fd, std::string_view origin, const WalExpectation& expected, Log& log);

}  // namespace seawall::ops
