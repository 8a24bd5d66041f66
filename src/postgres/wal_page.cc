#include "postgres/wal_page.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.hh"

namespace seawall::postgres {
namespace {

struct Magic {
  std::uint16_t value;
  std::string_view version;
};

/// XLOG_PAGE_MAGIC, read from clusters of every major.
constexpr std::array<Magic, 9> magics{{{0xD097, "10"},
                                       {0xD098, "11"},
                                       {0xD101, "12"},
                                       {0xD106, "13"},
                                       {0xD10D, "14"},
                                       {0xD110, "15"},
                                       {0xD113, "16"},
                                       {0xD116, "17"},
                                       {0xD118, "18"}}};
/// 8.0's. Whatever lies between it and oldest_wal_magic is a server that is too old, not damage.
constexpr std::uint16_t ancient_magic = 0xD05C;
/// No magic for many years; a value above it is damage rather than a new server.
constexpr std::uint16_t future_magic = 0xD2FF;

constexpr std::uint16_t long_header = 0x0002;  // XLP_LONG_HEADER
constexpr std::uint16_t all_flags = 0x000F;    // XLP_ALL_FLAGS of 10 to 18

[[noreturn]] void fail(std::string_view name, std::string_view cause) {
  throw Error(Errc::corrupt, fmt::format("{}: not a WAL segment: {}", name, cause));
}

void check_magic(std::uint16_t magic, std::string_view name) {
  if (magic >= ancient_magic && magic < oldest_wal_magic) {
    throw Error(Errc::unsupported,
                fmt::format("{}: WAL of a server older than PostgreSQL 10 (page magic 0x{:04X})", name, magic));
  }
  if (magic < oldest_wal_magic || magic > future_magic) {
    const bool swapped = (magic & 0xFF) == 0xD0 || (magic & 0xFF) == 0xD1;
    fail(name, fmt::format("its first page has the magic 0x{:04X}{}", magic,
                           swapped ? ", perhaps written on a machine of the other byte order" : ""));
  }
}

}  // namespace

std::optional<std::string_view> wal_magic_version(std::uint16_t magic) noexcept {
  const auto found = std::ranges::find(magics, magic, &Magic::value);
  if (found == magics.end()) return std::nullopt;
  return found->version;
}

WalSegmentHeader parse_segment_header(Bytes first_page, std::string_view name) {
  if (first_page.size() < wal_segment_header_bytes) {
    fail(name, fmt::format("it has {} bytes, its header alone {}", first_page.size(), wal_segment_header_bytes));
  }
  const WalSegmentHeader header{.magic = load_le<std::uint16_t>(first_page, 0),
                                .info = load_le<std::uint16_t>(first_page, 2),
                                .timeline = load_le<std::uint32_t>(first_page, 4),
                                .page_address = {load_le<std::uint64_t>(first_page, 8)},
                                .system_identifier = load_le<std::uint64_t>(first_page, 24),
                                .segment_bytes = load_le<std::uint32_t>(first_page, 32),
                                .block_bytes = load_le<std::uint32_t>(first_page, 36)};
  check_magic(header.magic, name);
  if ((header.info & long_header) == 0) fail(name, "its first page has no segment header");
  // A newer server may have flags of its own.
  if (header.magic <= newest_wal_magic && (header.info & ~all_flags) != 0) {
    fail(name, fmt::format("its first page has the unknown flags 0x{:04X}", header.info));
  }
  if (!archive::is_segment_size(header.segment_bytes)) {
    fail(name, fmt::format("its header says segments of {} bytes", header.segment_bytes));
  }
  if (!std::has_single_bit(header.block_bytes) || header.block_bytes < 1024 || header.block_bytes > 65536) {
    fail(name, fmt::format("its header says pages of {} bytes", header.block_bytes));
  }
  if (header.timeline == 0) fail(name, "its first page is of timeline 0");
  if (header.page_address.value % header.segment_bytes != 0) {
    fail(name, fmt::format("its first page is of {}, where no segment begins", header.page_address.text()));
  }
  if (header.system_identifier == 0) fail(name, "its header has no system identifier");
  return header;
}

}  // namespace seawall::postgres
