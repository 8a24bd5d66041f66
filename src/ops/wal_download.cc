#include "ops/wal_download.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "ops/segment_check.hh"

namespace seawall::ops {
namespace {

using archive::WalFileKind;

bool is_segment_kind(WalFileKind kind) { return kind == WalFileKind::segment || kind == WalFileKind::partial; }

/// Writes to the file and keeps what the checks look at.
class WalSink final : public Sink {
 public:
  explicit WalSink(const FileInMaking& file) : file_(file) {}

  void write(Bytes data) override {
    if (bytes_ < head_.size()) {
      const std::size_t n = std::min(data.size(), head_.size() - bytes_);
      std::copy_n(data.begin(), n, head_.begin() + static_cast<std::ptrdiff_t>(bytes_));
    }
    write_all(file_.fd(), data, file_.path().native());
    bytes_ += data.size();
  }
  Bytes head() const { return Bytes(head_).first(std::min<std::size_t>(bytes_, head_.size())); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  const FileInMaking& file_;
  std::array<std::byte, postgres::wal_segment_header_bytes> head_{};
  std::uint64_t bytes_ = 0;
};

postgres::WalSegmentHeader check_head(const WalExpectation& expected, std::string_view origin, Bytes head,
                                      std::uint64_t bytes, Log& log) {
  const postgres::WalSegmentHeader header = check_segment(expected.name, origin, head, bytes, log);
  if (expected.system_identifier && header.system_identifier != *expected.system_identifier) {
    throw Error(Errc::foreign,
                fmt::format("'{}' is WAL of the cluster with system identifier {}, but the data directory to be "
                            "recovered belongs to {}",
                            origin, header.system_identifier, *expected.system_identifier));
  }
  return header;
}

/// For file systems that cannot rename without overwriting.
bool link_then_unlink(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::link(from.c_str(), to.c_str()) == 0) {
    ::unlink(from.c_str());
    return true;
  }
  if (errno == EXDEV) return false;
  if (errno == EEXIST) throw system_error(errno, to.native());
  // No hard links either (some network and FUSE file systems): look first, the caller is alone in this directory.
  if (::access(to.c_str(), F_OK) == 0) throw system_error(EEXIST, to.native());
  if (::rename(from.c_str(), to.c_str()) != 0) throw system_error(errno, to.native());
  return true;
}

}  // namespace

FileInMaking::FileInMaking(std::filesystem::path path)
    : path_(std::move(path)), fd_(open_file(path_, O_RDWR | O_CREAT | O_EXCL, 0666)) {}

FileInMaking::~FileInMaking() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

void FileInMaking::move_to(const std::filesystem::path& to, bool replace) {
  if (!move_file(path_, to, replace)) throw system_error(EXDEV, to.native());
  path_.clear();
}

std::filesystem::path temporary_beside(const std::filesystem::path& destination) {
  static std::atomic<unsigned> count{0};
  std::filesystem::path path = destination;
  path += fmt::format(".seawall.{}.{}", ::getpid(), count.fetch_add(1));
  return path;
}

bool move_file(const std::filesystem::path& from, const std::filesystem::path& to, bool replace) {
  if (replace) {
    if (::rename(from.c_str(), to.c_str()) == 0) return true;
    if (errno == EXDEV) return false;
    throw system_error(errno, to.native());
  }
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EXDEV) return false;
  if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) return link_then_unlink(from, to);
  throw system_error(errno, to.native());
}

bool is_being_written(const Fd& fd) noexcept {
  if (::flock(fd.get(), LOCK_SH | LOCK_NB) != 0) return true;
  ::flock(fd.get(), LOCK_UN);
  return false;
}

std::optional<std::uint64_t> download_wal(const pipeline::Repository& repository, const pipeline::Found& found,
                                          const WalExpectation& expected, const FileInMaking& to, const Run& run) {
  WalSink sink(to);
  pipeline::pull(repository, found.object, *found.codec, sink, run.stop);
  if (is_segment_kind(archive::wal_file_kind(expected.name))) {
    const auto header = check_head(expected, found.object.key, sink.head(), sink.bytes(), run.log);
    // An archive may lack the history file, and PostgreSQL checks ancestry itself: only a contradiction is refused.
    check_ancestry(header, expected.name, found.object.key, std::nullopt, repository, false, run);
    return header.segment_bytes;
  }
  if (sink.bytes() == 0) {
    throw Error(Errc::corrupt, fmt::format("object '{}' holds an empty file", found.object.key));
  }
  return std::nullopt;
}

std::uint64_t check_fetched_segment(const Fd& fd, std::string_view origin, const WalExpectation& expected, Log& log) {
  std::array<std::byte, postgres::wal_segment_header_bytes> head;
  const std::size_t n = read_at(fd, head, 0, origin);
  const struct stat status = stat_of(fd, origin);
  return check_head(expected, origin, Bytes(head).first(n), static_cast<std::uint64_t>(status.st_size), log)
      .segment_bytes;
}

}  // namespace seawall::ops
