#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>

#include "base/bytes.hh"
#include "base/file.hh"

namespace seawall::storage {

/// A file that is being written under a temporary name and becomes visible, whole and durable, under its own.
/// Big aligned writes go past the page cache where the file system can; what is left, and file systems that cannot,
/// go through it. write_at() may be called from several threads for ranges that do not overlap; the rest by one.
class TempFile {
 public:
  /// `file` is open for writing under `temp` in `directory`. `label` names the object in messages.
  TempFile(Fd directory, Fd file, std::string name, std::string temp, std::string label);
  /// Removes the file unless it was published.
  ~TempFile() { discard(); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  /// Reserves space in large steps, so that parts of an object of unknown size do not fragment it.
  void reserve(std::uint64_t end) noexcept;
  void write_at(Bytes data, std::uint64_t offset, const std::stop_token& stop);
  /// `bytes` from the start of `source`, inside the kernel where it can.
  void copy_from(const Fd& source, std::uint64_t bytes, const std::stop_token& stop);

  /// Cuts the file to `total` bytes, makes it durable and confirms its size.
  struct stat finish(std::uint64_t total);
  /// Gives it its name, durably. False: `only_if_absent` and the name is taken.
  bool publish(bool only_if_absent);
  void discard() noexcept;
  bool published() const noexcept { return published_; }
  /// Of the directory that holds it.
  const Fd& directory() const noexcept { return directory_; }

 private:
  std::size_t write_direct(Bytes data, std::uint64_t offset, const std::stop_token& stop);
  void write_buffered(Bytes data, std::uint64_t offset, const std::stop_token& stop);
  int direct_fd() noexcept;
  void leave_direct() noexcept;
  void grown_to(std::uint64_t end) noexcept;
  bool rename_new();
  bool link_new();

  Fd directory_;
  Fd file_;
  std::string name_;
  std::string temp_;
  std::string label_;
  std::mutex mutex_;  // of the four below
  Fd direct_;
  bool direct_possible_ = true;
  bool reserving_ = true;
  std::uint64_t size_bound_ = 0;  // no byte of the file lies beyond
  bool sync_failed_ = false;
  bool published_ = false;
};

/// Makes the entries of an open directory durable. File systems that cannot do it (EINVAL) are let pass.
void sync_entries(const Fd& directory, const std::string& label);

/// The Error of a failed system call on the object that `label` names, while storing it.
[[noreturn]] void fail(int error_number, std::string_view operation, std::string_view label);

}  // namespace seawall::storage
