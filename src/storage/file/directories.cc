#include "storage/file/directories.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/error.hh"
#include "storage/file/temp_file.hh"

namespace seawall::storage {
namespace {

constexpr int open_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr unsigned races = 16;  // how often another process may remove what we have just made

}  // namespace

std::string parent_of(std::string_view key) {
  if (key.ends_with('/')) key.remove_suffix(1);
  return std::string(key.substr(0, key.rfind('/') + 1));
}

void Directories::check_root() const {
  if (stat_of(root_, description_).st_nlink != 0) return;
  throw Error(Errc::config, fmt::format("{}: the directory of the storage was removed meanwhile", description_));
}

Fd Directories::open(const std::string& directory) {
  bool known = directory.empty();
  if (!known) {
    std::lock_guard lock(mutex_);
    known = durable_.contains(directory);
  }
  if (known) {
    Fd fd(::openat(root_.get(), directory.empty() ? "." : directory.c_str(), open_flags));
    if (fd) return fd;
    if (errno != ENOENT || directory.empty()) fail(errno, "open", fmt::format("{}/{}", description_, directory));
  }
  for (unsigned i = 0; i < races; ++i) {
    if (Fd fd = make(directory)) {
      std::lock_guard lock(mutex_);
      durable_.insert(directory);
      return fd;
    }
  }
  fail(ENOENT, "create", fmt::format("{}/{}", description_, directory));
}

/// Makes what is missing on the way, syncing each directory that gained an entry or may have. Nothing if another
/// process removed a part of the way while we were on it.
Fd Directories::make(const std::string& directory) {
  Fd parent(::openat(root_.get(), ".", open_flags));
  if (!parent) fail(errno, "open", description_);
  for (std::size_t start = 0; start < directory.size();) {
    const std::size_t slash = directory.find('/', start);
    const std::string name = directory.substr(start, slash - start);
    const std::string label = fmt::format("{}/{}", description_, directory.substr(0, slash));
    const bool made = ::mkdirat(parent.get(), name.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) {
      if (errno == ENOENT && start > 0) return {};
      fail(errno, "create the directory", label);
    }
    Fd child(::openat(parent.get(), name.c_str(), open_flags));
    if (!child) {
      if (errno == ENOENT) return {};
      fail(errno, "open the directory", label);
    }
    if (made || changed_lately(parent)) sync_entries(parent, label);
    parent = std::move(child);
    start = slash + 1;
  }
  return parent;
}

/// Has the directory gained or lost an entry so recently that it may not be on disk? Journals are committed and dirty
/// inodes written within half a minute unless the machine was told otherwise; a wal-push saves a flush by knowing it.
bool Directories::changed_lately(const Fd& directory) const {
  constexpr std::chrono::minutes surely_written{10};
  const struct stat status = stat_of(directory, description_);
  const Time changed(std::chrono::seconds(status.st_ctim.tv_sec) + std::chrono::nanoseconds(status.st_ctim.tv_nsec));
  return clock_.wall() < changed + surely_written;
}

bool Directories::remove(const std::string& directory) noexcept {
  if (directory.empty() || ::unlinkat(root_.get(), directory.c_str(), AT_REMOVEDIR) != 0) return false;
  std::lock_guard lock(mutex_);
  if (const auto found = durable_.find(directory); found != durable_.end()) durable_.erase(found);
  return true;
}

void Directories::prune(std::string directory) noexcept {
  while (remove(directory)) directory = parent_of(directory);
}

void Directories::settle(std::set<std::string, std::greater<>> directories) {
  // Descending order: a directory comes before the one that holds it.
  while (!directories.empty()) {
    const std::string directory = std::move(directories.extract(directories.begin()).value());
    if (remove(directory)) {
      directories.insert(parent_of(directory));
      continue;
    }
    const Fd fd(::openat(root_.get(), directory.empty() ? "." : directory.c_str(), open_flags));
    if (fd) {
      sync_entries(fd, fmt::format("{}/{}", description_, directory));
    } else if (errno != ENOENT && errno != ENOTDIR) {
      throw system_error(errno, fmt::format("open {}/{}", description_, directory));
    }
  }
}

}  // namespace seawall::storage
