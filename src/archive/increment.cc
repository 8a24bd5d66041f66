#include "archive/increment.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.hh"

namespace seawall::archive {
namespace {

constexpr std::string_view magic{"wi1\x55", 4};
constexpr std::size_t fixed_bytes = 16;
constexpr std::size_t fixed_bytes_with_block_size = 18;

/// Files of 32 GiB with PostgreSQL's pages, 32 times what servers are built with. The list is kept in memory, so a
/// damaged count must not decide how much.
constexpr std::uint32_t most_blocks = 1 << 22;

/// Between which PostgreSQL can be built (--with-blocksize); powers of two.
constexpr std::uint32_t least_block_bytes = 1024;
constexpr std::uint32_t most_block_bytes = 32768;

/// By its path, as WAL-G knows them: its increments have the block size before the count.
bool is_of_orioledb(std::string_view name) {
  if (name.find("orioledb_data") == std::string_view::npos) return false;
  const std::string_view file = name.substr(name.rfind('/') + 1);
  const std::size_t dot = file.find('.');
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  return is_number(file.substr(0, dot)) && (dot == std::string_view::npos || is_number(file.substr(dot + 1)));
}

}  // namespace

std::uint64_t absent_pages(const IncrementHeader& header, std::uint64_t base_bytes) noexcept {
  const std::uint64_t unit = header.block_bytes == 0 ? usual_block_bytes : header.block_bytes;
  const std::uint64_t had = (std::min(base_bytes, header.file_bytes) + unit - 1) / unit;
  const std::uint64_t last = header.blocks.empty() ? 0 : std::uint64_t{header.blocks.back()} + 1;
  const std::uint64_t end = std::max(header.file_bytes / unit, last);
  const auto added = header.blocks.end() - std::lower_bound(header.blocks.begin(), header.blocks.end(), had);
  return end <= had ? 0 : end - had - static_cast<std::uint64_t>(added);
}

IncrementReader::IncrementReader(std::string name, std::uint64_t bytes,
                                 std::function<void(const IncrementHeader&)> header,
                                 std::function<void(std::uint32_t, Bytes)> page)
    : name_(std::move(name)),
      bytes_(bytes),
      fixed_bytes_(is_of_orioledb(name_) ? fixed_bytes_with_block_size : fixed_bytes),
      on_header_(std::move(header)),
      on_page_(std::move(page)) {}

void IncrementReader::fail(std::string_view cause) const {
  throw Error(Errc::corrupt, fmt::format("{}: increment {}", name_, cause));
}

void IncrementReader::write(Bytes data) {
  while (!data.empty()) {
    if (stage_ == Stage::pages && next_ == header_.blocks.size()) fail("goes on after its last page");
    const std::size_t wanted = wanted_bytes();
    if (pending_.empty() && data.size() >= wanted) {
      accept(data.first(wanted));
      data = data.subspan(wanted);
      continue;
    }
    const std::size_t n = std::min(wanted - pending_.size(), data.size());
    pending_.append(text_of(data.first(n)));
    data = data.subspan(n);
    if (pending_.size() == wanted) {
      accept(bytes_of(pending_));
      pending_.clear();
    }
  }
}

void IncrementReader::finish() {
  if (stage_ != Stage::pages) fail("ends inside its header");
  if (next_ < header_.blocks.size()) {
    fail(fmt::format("ends after {} of {} pages", next_, header_.blocks.size()));
  }
}

std::size_t IncrementReader::wanted_bytes() const noexcept {
  switch (stage_) {
    case Stage::fixed:
      return fixed_bytes_;
    case Stage::blocks:
      return sizeof(std::uint32_t);
    case Stage::pages:
      break;
  }
  return header_.block_bytes;
}

void IncrementReader::accept(Bytes unit) {
  switch (stage_) {
    case Stage::fixed:
      accept_fixed(unit);
      return;
    case Stage::blocks:
      accept_block(load_le<std::uint32_t>(unit, 0));
      return;
    case Stage::pages:
      on_page_(header_.blocks[next_], unit);
      break;
  }
  ++next_;
}

void IncrementReader::accept_fixed(Bytes unit) {
  const std::string_view found = text_of(unit.first(magic.size()));
  if (found != magic) {
    const bool other_version = found.substr(0, 2) == "wi" && found.back() == magic.back();
    fail(other_version ? "is of an unknown version" : "does not begin as one");
  }
  header_.file_bytes = load_le<std::uint64_t>(unit, 4);
  header_.any_block_size = fixed_bytes_ == fixed_bytes_with_block_size;
  if (header_.any_block_size) header_.block_bytes = load_le<std::uint16_t>(unit, 12);
  count_ = load_le<std::uint32_t>(unit, fixed_bytes_ - sizeof(std::uint32_t));
  if (count_ > most_blocks) fail(fmt::format("has {} pages, more than any file has", count_));
  header_.any_block_size ? check_any_block_size() : find_block_size();
  stage_ = Stage::blocks;
  if (count_ == 0) end_header();
}

void IncrementReader::find_block_size() {
  const std::uint64_t numbers = fixed_bytes + std::uint64_t{count_} * sizeof(std::uint32_t);
  if (bytes_ < numbers) fail("ends inside its header");
  const std::uint64_t pages = bytes_ - numbers;
  if (count_ == 0 && pages != 0) fail("goes on after its last page");
  if (count_ != 0) {
    const std::uint64_t block = pages / count_;
    if (pages % count_ != 0 || block < least_block_bytes || block > most_block_bytes || (block & (block - 1)) != 0) {
      fail(fmt::format("has {} bytes for {} pages, which no size of a page gives", pages, count_));
    }
    header_.block_bytes = static_cast<std::uint32_t>(block);
  }
  const std::uint32_t unit = count_ == 0 ? least_block_bytes : header_.block_bytes;
  if (header_.file_bytes % unit != 0) {
    fail(fmt::format("is of a file of {} bytes, no multiple of {}", header_.file_bytes, unit));
  }
}

void IncrementReader::check_any_block_size() {
  const std::uint32_t block = header_.block_bytes;
  if (block < least_any_block_bytes || block > most_block_bytes || (block & (block - 1)) != 0) {
    fail(fmt::format("has pages of {} bytes", block));
  }
  const std::uint64_t expected = fixed_bytes_ + std::uint64_t{count_} * (sizeof(std::uint32_t) + block);
  if (bytes_ < expected) fail(fmt::format("ends before the last of {} pages", count_));
  if (bytes_ > expected) fail("goes on after its last page");
}

void IncrementReader::accept_block(std::uint32_t block) {
  std::vector<std::uint32_t>& blocks = header_.blocks;
  if (!blocks.empty() && block <= blocks.back()) {
    fail(fmt::format("lists block {} after block {}", block, blocks.back()));
  }
  if (block >= most_blocks) fail(fmt::format("lists block {}, behind the end of any file", block));
  blocks.push_back(block);
  if (blocks.size() == count_) end_header();
}

void IncrementReader::end_header() {
  stage_ = Stage::pages;
  on_header_(header_);
}

}  // namespace seawall::archive
