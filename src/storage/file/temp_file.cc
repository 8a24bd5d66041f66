#include "storage/file/temp_file.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.hh"
#include "storage/request.hh"

namespace seawall::storage {
namespace {

// Below this a second open and a write that waits for the device cost more than copying into the page cache.
constexpr std::size_t direct_least = std::size_t{256} << 10;
constexpr std::size_t write_step = std::size_t{16} << 20;  // between two looks at the stop token
constexpr std::uint64_t reserve_step = std::uint64_t{32} << 20;

bool aligned(std::uint64_t value) noexcept { return value % direct_io_alignment == 0; }

/// How much of `data` may go past the page cache.
std::size_t direct_part(Bytes data, std::uint64_t offset) noexcept {
  if (!aligned(reinterpret_cast<std::uintptr_t>(data.data())) || !aligned(offset)) return 0;
  const std::size_t whole_blocks = data.size() / direct_io_alignment * direct_io_alignment;
  return whole_blocks >= direct_least ? whole_blocks : 0;
}

off_t signed_offset(std::uint64_t offset) noexcept { return static_cast<off_t>(offset); }

}  // namespace

void fail(int error_number, std::string_view operation, std::string_view label) {
  if (error_number == ENAMETOOLONG) {
    throw Error(Errc::usage, fmt::format("{} {}: the name is too long for the file system", operation, label));
  }
  if (error_number == ENOTDIR || error_number == EISDIR || error_number == EEXIST || error_number == ENOTEMPTY) {
    throw Error(Errc::exists,
                fmt::format("{} {}: a file cannot hold others and a directory cannot be replaced by a file: "
                            "part of this name is taken by the other kind",
                            operation, label));
  }
  if (error_number == ENOENT || error_number == ESTALE) {
    throw Error(Errc::config, fmt::format("{} {}: the directory of the storage was removed or unmounted meanwhile",
                                          operation, label));
  }
  throw system_error(error_number, fmt::format("{} {}", operation, label));
}

void sync_entries(const Fd& directory, const std::string& label) {
  if (::fsync(directory.get()) == 0 || errno == EINVAL || errno == ENOTSUP) return;
  throw system_error(errno, fmt::format("sync the directory of {}", label));
}

TempFile::TempFile(Fd directory, Fd file, std::string name, std::string temp, std::string label)
    : directory_(std::move(directory)),
      file_(std::move(file)),
      name_(std::move(name)),
      temp_(std::move(temp)),
      label_(std::move(label)) {}

void TempFile::discard() noexcept {
  if (published_ || temp_.empty()) return;
  ::unlinkat(directory_.get(), temp_.c_str(), 0);
  temp_.clear();
}

void TempFile::reserve(std::uint64_t end) noexcept {
  std::lock_guard lock(mutex_);
  if (!reserving_ || end <= size_bound_) return;
  const std::uint64_t target = (end + reserve_step - 1) / reserve_step * reserve_step;
  // Whatever the reason for a refusal, also a volume with less room than one step: the writes themselves will tell.
  reserving_ = ::fallocate(file_.get(), 0, signed_offset(size_bound_), signed_offset(target - size_bound_)) == 0;
  if (reserving_) size_bound_ = target;
}

void TempFile::grown_to(std::uint64_t end) noexcept {
  std::lock_guard lock(mutex_);
  size_bound_ = std::max(size_bound_, end);
}

int TempFile::direct_fd() noexcept {
  std::lock_guard lock(mutex_);
  if (direct_possible_ && !direct_) {
    // A second descriptor, because O_DIRECT switched on and off on one would disturb parts written by other threads.
    direct_ = Fd(::openat(directory_.get(), temp_.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
    direct_possible_ = static_cast<bool>(direct_);
  }
  return direct_possible_ ? direct_.get() : -1;
}

void TempFile::leave_direct() noexcept {
  std::lock_guard lock(mutex_);
  direct_possible_ = false;  // the descriptor stays open: another thread may be using it
}

std::size_t TempFile::write_direct(Bytes data, std::uint64_t offset, const std::stop_token& stop) {
  const int fd = direct_fd();
  if (fd < 0) return 0;
  std::size_t done = 0;
  while (done < data.size()) {
    check_stop(stop, "put", label_);
    const Bytes step = data.subspan(done, std::min(write_step, data.size() - done));
    const ssize_t n = ::pwrite(fd, step.data(), step.size(), signed_offset(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EINVAL && errno != ENOTSUP) fail(errno, "put", label_);
      leave_direct();
      return done;
    }
    done += static_cast<std::size_t>(n);
    if (!aligned(done) || n == 0) return done;
  }
  return done;
}

void TempFile::write_buffered(Bytes data, std::uint64_t offset, const std::stop_token& stop) {
  while (!data.empty()) {
    check_stop(stop, "put", label_);
    const ssize_t n = ::pwrite(file_.get(), data.data(), std::min(write_step, data.size()), signed_offset(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      fail(errno, "put", label_);
    }
    data = data.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void TempFile::write_at(Bytes data, std::uint64_t offset, const std::stop_token& stop) {
  grown_to(offset + data.size());
  const std::size_t direct = direct_part(data, offset);
  const std::size_t done = direct == 0 ? 0 : write_direct(data.first(direct), offset, stop);
  write_buffered(data.subspan(done), offset + done, stop);
}

void TempFile::copy_from(const Fd& source, std::uint64_t bytes, const std::stop_token& stop) {
  grown_to(bytes);
  loff_t from = 0;
  loff_t to = 0;
  while (static_cast<std::uint64_t>(to) < bytes) {
    check_stop(stop, "copy to", label_);
    const std::size_t step = std::min<std::uint64_t>(std::uint64_t{64} << 20, bytes - static_cast<std::uint64_t>(to));
    const ssize_t n = ::copy_file_range(source.get(), &from, file_.get(), &to, step, 0);
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
      fail(errno, "copy to", label_);
    break;  // the kernel cannot, or the end came early: reading tells which
  }
  AlignedBuffer buffer;
  for (auto done = static_cast<std::uint64_t>(to); done < bytes;) {
    if (buffer.size() == 0) buffer = AlignedBuffer(std::size_t{1} << 20);
    const std::size_t n =
        read_at(source, buffer.span().first(std::min<std::uint64_t>(buffer.size(), bytes - done)), done, label_);
    if (n == 0)
      throw Error(Errc::corrupt, fmt::format("copy to {}: the source ends at {} of {} bytes", label_, done, bytes));
    write_at(buffer.span().first(n), done, stop);
    done += n;
  }
}

struct stat TempFile::finish(std::uint64_t total) {
  if (sync_failed_) {
    throw Error(Errc::incomplete,
                fmt::format("put {}: an earlier attempt to make it durable failed, and what the kernel "
                            "then dropped is unknown: the upload must start again",
                            label_));
  }
  if (size_bound_ != total && ::ftruncate(file_.get(), signed_offset(total)) != 0) fail(errno, "put", label_);
  size_bound_ = total;
  if (::fsync(file_.get()) != 0) {
    sync_failed_ = true;
    fail(errno, "sync", label_);
  }
  const struct stat status = stat_of(file_, label_);
  if (static_cast<std::uint64_t>(status.st_size) != total) {
    throw Error(Errc::io, fmt::format("put {}: {} bytes were written, {} are there", label_, total, status.st_size));
  }
  return status;
}

// For file systems without RENAME_NOREPLACE: NFS and some FUSE ones.
bool TempFile::link_new() {
  if (::linkat(directory_.get(), temp_.c_str(), directory_.get(), name_.c_str(), 0) != 0) {
    if (errno == EEXIST) return false;
    fail(errno, "put", label_);
  }
  ::unlinkat(directory_.get(), temp_.c_str(), 0);
  return true;
}

bool TempFile::rename_new() {
  if (::renameat2(directory_.get(), temp_.c_str(), directory_.get(), name_.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST) return false;
  if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) return link_new();
  fail(errno, "put", label_);
}

bool TempFile::publish(bool only_if_absent) {
  if (only_if_absent) {
    if (!rename_new()) return false;
  } else if (::renameat(directory_.get(), temp_.c_str(), directory_.get(), name_.c_str()) != 0) {
    fail(errno, "put", label_);
  }
  published_ = true;
  sync_entries(directory_, label_);
  return true;
}

}  // namespace seawall::storage
