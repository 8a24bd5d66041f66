#include "postgres/page.hh"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.hh"

namespace seawall::postgres {
namespace {

constexpr std::size_t lanes = 32;
constexpr std::size_t row_bytes = lanes * sizeof(std::uint32_t);
constexpr std::uint32_t fnv_prime = 16777619;
constexpr std::size_t checksum_offset = 8;

/// Eight lanes. A vector type because gcc 12 keeps an array of sums in memory: 3 GB/s instead of 60.
using Lanes [[gnu::vector_size(32)]] = std::uint32_t;
constexpr std::size_t groups = lanes * sizeof(std::uint32_t) / sizeof(Lanes);

/// checksumBaseOffsets of storage/checksum_impl.h: any random numbers, but these.
constexpr std::array<std::uint32_t, lanes> first_sums{
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

[[gnu::always_inline]] inline void mix(Lanes& sum, const std::byte* from) noexcept {
  Lanes value;
  std::memcpy(&value, from, sizeof value);
  value ^= sum;
  sum = (value * fnv_prime) ^ (value >> 17);
}

/// All rows of a page and the two of zeros that follow, folded. Compiled once per instruction set below.
[[gnu::always_inline]] inline std::uint32_t fold_page(const std::byte* page, std::size_t rows) noexcept {
  alignas(Lanes) std::array<std::byte, row_bytes> row;
  std::memcpy(row.data(), page, row_bytes);
  store_le(row, checksum_offset, std::uint16_t{0});
  Lanes sums[groups];
  std::memcpy(sums, first_sums.data(), row_bytes);
  for (std::size_t g = 0; g < groups; ++g) mix(sums[g], row.data() + g * sizeof(Lanes));
  for (const std::byte *from = page + row_bytes, *end = page + rows * row_bytes; from < end; from += row_bytes) {
    for (std::size_t g = 0; g < groups; ++g) mix(sums[g], from + g * sizeof(Lanes));
  }
  row.fill(std::byte{0});
  for (std::size_t g = 0; g < groups; ++g) {
    mix(sums[g], row.data());
    mix(sums[g], row.data());
  }
  const Lanes folded = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  std::uint32_t result = 0;
  for (std::size_t i = 0; i < lanes / groups; ++i) result ^= folded[i];
  return result;
}

std::uint32_t fold_anywhere(const std::byte* page, std::size_t rows) noexcept { return fold_page(page, rows); }

#if defined(__x86_64__)
// Chosen at each call rather than by target_clones: its resolvers run before the sanitizers are set up.
__attribute__((target("avx2"))) std::uint32_t fold_avx2(const std::byte* page, std::size_t rows) noexcept {
  return fold_page(page, rows);
}
#endif

/// The fields of PageHeaderData, storage/bufpage.h.
struct PageHeader {
  std::uint16_t checksum, flags, lower, upper, special, size_and_version;
};
constexpr std::size_t page_header_bytes = 24;

PageHeader header_of(Bytes page) noexcept {
  return {load_le<std::uint16_t>(page, checksum_offset),
          load_le<std::uint16_t>(page, 10),
          load_le<std::uint16_t>(page, 12),
          load_le<std::uint16_t>(page, 14),
          load_le<std::uint16_t>(page, 16),
          load_le<std::uint16_t>(page, 18)};
}

bool is_possible(const PageHeader& header, std::size_t page_bytes) noexcept {
  constexpr unsigned known_flags = 7;    // PD_VALID_FLAG_BITS
  constexpr unsigned newest_layout = 5;  // PG_PAGE_LAYOUT_VERSION is 4 since 8.3
  return (header.flags & ~known_flags) == 0 && header.lower >= page_header_bytes && header.lower <= header.upper &&
         header.upper <= header.special && header.special <= page_bytes &&
         (header.size_and_version & 0xFF00U) == page_bytes && (header.size_and_version & 0xFFU) <= newest_layout;
}

bool is_oid(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 10 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// "16384", "16384_vm.1".
bool is_relation_name(std::string_view name, RelationFile& out) noexcept {
  out = {};
  const std::size_t dot = name.find('.');
  if (dot != std::string_view::npos) {
    const std::string_view number = name.substr(dot + 1);
    const auto segment = is_oid(number) ? parse_int<std::uint32_t>(number) : std::nullopt;
    if (!segment || number.front() == '0') return false;
    out.segment = *segment;
    name = name.substr(0, dot);
  }
  const std::size_t underscore = name.find('_');
  if (underscore != std::string_view::npos) {
    const std::string_view fork = name.substr(underscore + 1);
    if (fork != "fsm" && fork != "vm" && fork != "init") return false;
    out.init_fork = fork == "init";
    name = name.substr(0, underscore);
  }
  return is_oid(name);
}

/// "base/5", "global", "pg_tblspc/16400/PG_15_202209061/5".
bool is_relation_directory(std::string_view directory) noexcept {
  const auto next = [&directory] {
    const std::size_t slash = directory.find('/');
    const std::string_view part = directory.substr(0, slash);
    directory = slash == std::string_view::npos ? std::string_view{} : directory.substr(slash + 1);
    return part;
  };
  const std::string_view root = next();
  if (root == "global") return directory.empty();
  if (root == "pg_tblspc") return is_oid(next()) && next().starts_with("PG_") && is_oid(directory);
  return root == "base" && is_oid(directory);
}

}  // namespace

std::uint16_t page_checksum(Bytes page, std::uint32_t block) noexcept {
  const std::size_t rows = page.size() / row_bytes;
#if defined(__x86_64__)
  const std::uint32_t folded =
      __builtin_cpu_supports("avx2") ? fold_avx2(page.data(), rows) : fold_anywhere(page.data(), rows);
#else
  const std::uint32_t folded = fold_anywhere(page.data(), rows);
#endif
  // Never 0, which would read as "no checksum".
  return static_cast<std::uint16_t>((folded ^ block) % 65535 + 1);
}

PageState check_page(Bytes page, std::uint32_t block) noexcept {
  const PageHeader header = header_of(page);
  if (header.upper == 0) return PageState::new_page;
  if (!is_possible(header, page.size())) return PageState::bad;
  return header.checksum == page_checksum(page, block) ? PageState::good : PageState::bad;
}

archive::Lsn page_lsn(Bytes page) noexcept {
  return {std::uint64_t{load_le<std::uint32_t>(page, 0)} << 32 | load_le<std::uint32_t>(page, 4)};
}

bool is_relation_file(std::string_view path, RelationFile& out) noexcept {
  if (path.starts_with('/')) path.remove_prefix(1);
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return false;
  return is_relation_name(path.substr(slash + 1), out) && is_relation_directory(path.substr(0, slash));
}

}  // namespace seawall::postgres
