#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.hh"
#include "base/io.hh"

namespace seawall {

/// An open file descriptor, closed on destruction.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void close() noexcept;

 private:
  int fd_ = -1;
};

/// Opens, retrying EINTR; throws Error naming `path`. O_CLOEXEC is always set.
Fd open_file(const std::filesystem::path& path, int flags, mode_t mode = 0666);
/// The same, but nothing if it does not exist.
std::optional<Fd> try_open_file(const std::filesystem::path& path, int flags);

/// At most `into.size()` bytes at `offset`; fewer only at the end of the file. `name` is for the message.
std::size_t read_at(const Fd& fd, MutableBytes into, std::uint64_t offset, std::string_view name);
void write_all(const Fd& fd, Bytes data, std::string_view name);
void write_all_at(const Fd& fd, Bytes data, std::uint64_t offset, std::string_view name);
void sync_file(const Fd& fd, std::string_view name);
/// Makes the entries of a directory durable.
void sync_directory(const std::filesystem::path& directory);

struct stat stat_of(const Fd& fd, std::string_view name);

/// The whole file, at most `limit` bytes (Errc::corrupt beyond); nothing if it does not exist.
std::optional<std::string> try_read_file(const std::filesystem::path& path, std::size_t limit = 64 << 20);
/// Writes to a temporary name beside `path`, fsyncs, renames, fsyncs the directory: whole or not at all.
/// The mode is set as given, whatever the umask.
void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode);

/// A Source over an open file from `offset`, reading ahead of its caller as the kernel does.
class FileSource final : public Source {
 public:
  FileSource(Fd fd, std::string name, std::uint64_t offset = 0)
      : fd_(std::move(fd)), name_(std::move(name)), offset_(offset) {}
  std::size_t read(MutableBytes into) override;

 private:
  Fd fd_;
  std::string name_;
  std::uint64_t offset_;
};

/// Writes one file from front to back past the page cache where the file system can: fresh page cache pages cost
/// more than the rest of a restore (docs/performance.md). Small files and unaligned tails go through the cache, and
/// EINVAL switches to it for good. Nothing is durable before sync_file() or a sync of the file system.
class FileWriter {
 public:
  /// `fd` is a new, empty file. `expected_bytes` decides between direct and buffered and preallocates; 0 if unknown.
  /// `staging` (an AlignedBuffer, 1 MiB or so) must outlive it; a misaligned one only rules direct writes out.
  FileWriter(Fd fd, std::string name, std::uint64_t expected_bytes, MutableBytes staging);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(Bytes data);
  /// Room in the staging buffer for `bytes` that the caller places itself, then placed(n); empty if there is none.
  MutableBytes room(std::size_t bytes) const;
  void placed(std::size_t n);
  /// Writes what is left and returns the file, cut to the bytes written. The last call; without it the file holds a
  /// part of what was given, and perhaps zeros behind.
  Fd finish();

 private:
  void flush(std::size_t bytes);
  void leave_direct();

  Fd fd_;
  std::string name_;
  MutableBytes staging_;  // aligned, owned by the worker and used for one file after the other
  std::size_t staged_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t preallocated_ = 0;
  bool direct_ = false;
};

}  // namespace seawall
