#include "ops/reverse_file.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.hh"

namespace seawall::ops {
namespace {

/// Of runs while no increment of the file had a page, so that every page is missing.
constexpr std::uint64_t any_block_bytes = std::uint64_t{1} << 20;

}  // namespace

ReverseFile::ReverseFile(std::string path, PagesDone pages, const std::function<Fd()>& create)
    : path_(std::move(path)), pages_(std::move(pages)) {
  fd_ = pages_.begun ? open_file(path_, O_RDWR | O_NOFOLLOW) : create();
}

void ReverseFile::give_length(std::uint64_t bytes) {
  if (bytes == 0) return;
  // Room for all of it at once: filled in pieces, a file without it would lie in as many pieces on the disk.
  if (::fallocate(fd_.get(), 0, 0, static_cast<off_t>(bytes)) == 0) return;
  if (errno == ENOSPC || errno == EFBIG) throw system_error(errno, path_);
  if (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) throw system_error(errno, path_);
}

void ReverseFile::begin_increment(const archive::IncrementHeader& header) {
  const std::uint32_t unit = header.any_block_size ? archive::least_any_block_bytes : header.block_bytes;
  if (unit != 0) {
    if (pages_.block_bytes != 0 && pages_.block_bytes != unit) {
      throw Error(Errc::corrupt,
                  fmt::format("{}: its increments have pages of {} and of {} bytes", path_, pages_.block_bytes, unit));
    }
    pages_.block_bytes = unit;
    if (pages_.begun && !header.any_block_size && pages_.limit_bytes % unit != 0) {
      throw Error(Errc::corrupt, fmt::format("{}: a newer increment is of {} bytes, no multiple of this one's pages",
                                             path_, pages_.limit_bytes));
    }
  }
  next_limit_bytes_ = header.file_bytes;
  if (pages_.begun) return;
  pages_.begun = true;
  std::uint64_t length = header.file_bytes;  // pages behind it came to be while the file was read
  if (!header.blocks.empty()) {
    length = std::max(length, (std::uint64_t{header.blocks.back()} + 1) * header.block_bytes);
  }
  give_length(length);
  pages_.limit_bytes = length;
}

void ReverseFile::page(std::uint32_t block, Bytes image) {
  const std::uint64_t unit = pages_.block_bytes;
  std::uint64_t at = std::uint64_t{block} * image.size();
  for (; !image.empty() && at < pages_.limit_bytes; at += unit, image = image.subspan(unit)) {
    if (pages_.has(at / unit)) continue;
    write_all_at(fd_, image.first(std::min(unit, pages_.limit_bytes - at)), at, path_);
    pages_.set(at / unit);
  }
}

void ReverseFile::end_increment() { lower_limit(next_limit_bytes_); }

void ReverseFile::fill(Bytes data) {
  const std::uint64_t unit = pages_.block_bytes == 0 ? any_block_bytes : pages_.block_bytes;
  std::uint64_t at = filled_bytes_;
  filled_bytes_ += data.size();
  const std::uint64_t begin = at;
  const std::uint64_t end = std::min(filled_bytes_, pages_.limit_bytes);
  const auto end_of_page = [&](std::uint64_t offset) { return std::min(end, (offset / unit + 1) * unit); };
  while (at < end) {
    while (at < end && pages_.has(at / unit)) at = end_of_page(at);
    std::uint64_t stop = at;
    while (stop < end && !pages_.has(stop / unit)) stop = end_of_page(stop);
    if (stop > at) write_all_at(fd_, data.subspan(at - begin, stop - at), at, path_);
    at = stop;
  }
}

void ReverseFile::end_fill() {
  lower_limit(filled_bytes_);
  pages_.limit_bytes = 0;
}

void ReverseFile::lower_limit(std::uint64_t bytes) {
  const std::uint64_t unit = pages_.block_bytes == 0 ? archive::usual_block_bytes : pages_.block_bytes;
  for (std::uint64_t block = (bytes + unit - 1) / unit; block < pages_.limit_bytes / unit; ++block) {
    if (!pages_.has(block)) ++absent_pages_;
  }
  pages_.limit_bytes = std::min(pages_.limit_bytes, bytes);
}

}  // namespace seawall::ops
