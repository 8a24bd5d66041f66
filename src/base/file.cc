#include "base/file.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <random>

#include "base/error.hh"

namespace seawall {
namespace {

/// Below this the fixed cost of direct I/O (a synchronous write, an allocation) exceeds that of the page cache.
constexpr std::uint64_t direct_threshold = std::uint64_t{256} << 10;

/// Buffered writes from this size on are not staged: the copy would cost more than the system call that it saves.
constexpr std::size_t write_through_bytes = std::size_t{64} << 10;

/// Repeats a system call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

[[noreturn]] void fail(std::string_view name) { throw system_error(errno, name); }

off_t position(std::uint64_t offset) { return static_cast<off_t>(offset); }

/// Bytes written, or -1 with errno.
ssize_t pwrite_some(const Fd& fd, Bytes data, std::uint64_t offset) {
  const ssize_t n = uninterrupted([&] { return ::pwrite(fd.get(), data.data(), data.size(), position(offset)); });
  if (n == 0 && !data.empty()) {
    errno = EIO;
    return -1;
  }
  return n;
}

bool set_direct(const Fd& fd, bool on) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  return flags != -1 && ::fcntl(fd.get(), F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/// The part of a worker's buffer that direct I/O can use; empty if it cannot.
MutableBytes aligned_part(MutableBytes staging) {
  if (reinterpret_cast<std::uintptr_t>(staging.data()) % direct_io_alignment != 0) return {};
  return staging.first(staging.size() - staging.size() % direct_io_alignment);
}

/// Removes a temporary file unless it was renamed.
class Unlinker final {
 public:
  explicit Unlinker(std::filesystem::path path) : path_(std::move(path)) {}
  Unlinker(const Unlinker&) = delete;
  Unlinker& operator=(const Unlinker&) = delete;
  ~Unlinker() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  void release() noexcept { path_.clear(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Fd::~Fd() { close(); }

void Fd::close() noexcept {
  // Not repeated on EINTR: Linux has released the number by then.
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Fd open_file(const std::filesystem::path& path, int flags, mode_t mode) {
  Fd fd(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); }));
  if (!fd) fail(path.native());
  return fd;
}

std::optional<Fd> try_open_file(const std::filesystem::path& path, int flags) {
  Fd fd(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); }));
  if (fd) return fd;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  fail(path.native());
}

std::size_t read_at(const Fd& fd, MutableBytes into, std::uint64_t offset, std::string_view name) {
  std::size_t done = 0;
  while (done < into.size()) {
    const MutableBytes rest = into.subspan(done);
    const ssize_t n =
        uninterrupted([&] { return ::pread(fd.get(), rest.data(), rest.size(), position(offset + done)); });
    if (n < 0) fail(name);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void write_all(const Fd& fd, Bytes data, std::string_view name) {
  while (!data.empty()) {
    const ssize_t n = uninterrupted([&] { return ::write(fd.get(), data.data(), data.size()); });
    if (n < 0) fail(name);
    data = data.subspan(static_cast<std::size_t>(n));
  }
}

void write_all_at(const Fd& fd, Bytes data, std::uint64_t offset, std::string_view name) {
  while (!data.empty()) {
    const ssize_t n = pwrite_some(fd, data, offset);
    if (n < 0) fail(name);
    data = data.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void sync_file(const Fd& fd, std::string_view name) {
  if (uninterrupted([&] { return ::fsync(fd.get()); }) != 0) fail(name);
}

void sync_directory(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory.empty() ? "." : directory;
  const Fd fd = open_file(path, O_RDONLY | O_DIRECTORY);
  if (uninterrupted([&] { return ::fsync(fd.get()); }) == 0) return;
  // Some network and user-space file systems cannot sync a directory and keep its entries durable themselves.
  if (errno != EINVAL && errno != EBADF) fail(path.native());
}

struct stat stat_of(const Fd& fd, std::string_view name) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) fail(name);
  return info;
}

std::optional<std::string> try_read_file(const std::filesystem::path& path, std::size_t limit) {
  const auto fd = try_open_file(path, O_RDONLY);
  if (!fd) return std::nullopt;
  const std::string& name = path.native();
  // One byte more than expected shows the end in the same call. Files in /proc have no size and grow the buffer.
  const auto expected = static_cast<std::size_t>(stat_of(*fd, name).st_size);
  const std::size_t most = std::max(limit, limit + 1);
  std::string content(std::min(std::max(expected, std::size_t{4095}) + 1, most), '\0');
  std::size_t done = 0;
  for (;;) {
    done += read_at(*fd, std::as_writable_bytes(std::span(content)).subspan(done), done, name);
    if (done < content.size()) break;
    if (done > limit) throw Error(Errc::corrupt, fmt::format("{}: larger than the limit of {} bytes", name, limit));
    content.resize(std::min(content.size() * 2, most));
  }
  content.resize(done);
  return content;
}

void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  std::random_device random;
  const std::filesystem::path temporary =
      fmt::format("{}.tmp.{}-{:08x}{:08x}", path.native(), ::getpid(), random(), random());
  const std::string& name = temporary.native();
  Fd fd = open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
  Unlinker unlinker(temporary);
  if (::fchmod(fd.get(), mode) != 0) fail(name);
  write_all(fd, bytes_of(content), name);
  sync_file(fd, name);
  fd.close();
  if (std::rename(temporary.c_str(), path.c_str()) != 0) fail(path.native());
  unlinker.release();
  sync_directory(path.parent_path());
}

std::size_t FileSource::read(MutableBytes into) {
  const std::size_t n = read_at(fd_, into, offset_, name_);
  offset_ += n;
  return n;
}

FileWriter::FileWriter(Fd fd, std::string name, std::uint64_t expected_bytes, MutableBytes staging)
    : fd_(std::move(fd)), name_(std::move(name)), staging_(aligned_part(staging)) {
  if (expected_bytes < direct_threshold) return;
  // Direct writes into allocated space need not change the size each time, and a full disk shows at once.
  const int result = uninterrupted([&] { return ::fallocate(fd_.get(), 0, 0, position(expected_bytes)); });
  if (result == 0) {
    preallocated_ = expected_bytes;
  } else if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) {
    fail(name_);
  }
  direct_ = !staging_.empty() && set_direct(fd_, true);
}

FileWriter::~FileWriter() = default;

void FileWriter::write(Bytes data) {
  while (!data.empty()) {
    if (!direct_ && staged_ == 0 && (data.size() >= write_through_bytes || staging_.empty())) {
      write_all_at(fd_, data, written_, name_);
      written_ += data.size();
      return;
    }
    const std::size_t n = std::min(data.size(), staging_.size() - staged_);
    std::copy_n(data.begin(), n, staging_.begin() + static_cast<std::ptrdiff_t>(staged_));
    staged_ += n;
    data = data.subspan(n);
    if (staged_ == staging_.size()) flush(staged_);
  }
}

MutableBytes FileWriter::room(std::size_t bytes) const {
  if (!direct_ || staging_.size() - staged_ < bytes) return {};
  return staging_.subspan(staged_);
}

void FileWriter::placed(std::size_t n) {
  staged_ += n;
  if (staged_ == staging_.size()) flush(staged_);
}

Fd FileWriter::finish() {
  if (direct_) {
    flush(staged_ - staged_ % direct_io_alignment);
    leave_direct();
  }
  flush(staged_);
  if (preallocated_ > written_ && uninterrupted([&] { return ::ftruncate(fd_.get(), position(written_)); }) != 0) {
    fail(name_);
  }
  return std::move(fd_);
}

/// Writes the first `bytes` of the staging buffer and moves what remains to its front.
void FileWriter::flush(std::size_t bytes) {
  Bytes rest = staging_.first(bytes);
  while (!rest.empty()) {
    const ssize_t n = pwrite_some(fd_, rest, written_);
    if (n < 0 && errno == EINVAL && direct_) {
      // Also after a write that stopped at an unaligned byte.
      leave_direct();
      continue;
    }
    if (n < 0) fail(name_);
    rest = rest.subspan(static_cast<std::size_t>(n));
    written_ += static_cast<std::uint64_t>(n);
  }
  std::copy(staging_.begin() + static_cast<std::ptrdiff_t>(bytes),
            staging_.begin() + static_cast<std::ptrdiff_t>(staged_), staging_.begin());
  staged_ -= bytes;
}

void FileWriter::leave_direct() {
  if (!direct_) return;
  if (!set_direct(fd_, false)) fail(name_);
  direct_ = false;
}

}  // namespace seawall
