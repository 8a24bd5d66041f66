#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

/// The fields of a tar header block, for the writer and the reader beside it.
namespace seawall::archive::tar_block {

inline constexpr std::size_t block_bytes = 512;
struct Field {
  std::size_t offset;
  std::size_t bytes;
};
// POSIX.1-1988 ustar.
inline constexpr Field name_field{0, 100};
inline constexpr Field mode_field{100, 8};
inline constexpr Field uid_field{108, 8};
inline constexpr Field gid_field{116, 8};
inline constexpr Field size_field{124, 12};
inline constexpr Field modified_field{136, 12};
inline constexpr Field sum_field{148, 8};
inline constexpr Field type_field{156, 1};
inline constexpr Field link_field{157, 100};
inline constexpr Field magic_field{257, 6};
inline constexpr Field version_field{263, 2};
inline constexpr Field user_field{265, 32};
inline constexpr Field group_field{297, 32};
inline constexpr Field device_major_field{329, 8};
inline constexpr Field device_minor_field{337, 8};
inline constexpr Field prefix_field{345, 155};
inline constexpr Field star_prefix_field{345, 131};  // Schily's star keeps access times behind a shorter prefix
inline constexpr Field star_trailer_field{508, 4};

inline constexpr std::string_view ustar_magic{"ustar\0", 6};
inline constexpr std::string_view gnu_magic{"ustar \0", 8 - 1};
inline constexpr std::string_view star_trailer{"tar\0", 4};

using Block = std::array<char, block_bytes>;
using BlockView = std::span<const std::byte, block_bytes>;

inline std::string_view view(BlockView block, Field field) {
  return {reinterpret_cast<const char*>(block.data()) + field.offset, field.bytes};
}

struct Sums {
  std::int64_t unsigned_sum = 0;
  std::int64_t signed_sum = 0;
};
/// POSIX sums unsigned bytes; some old writers summed signed ones. The sum's own field counts as blanks.
inline Sums sums_of(BlockView block) {
  std::uint32_t sum = 0;
  std::uint32_t high = 0;
  for (const std::byte b : block) {
    sum += static_cast<std::uint32_t>(b);
    high += static_cast<std::uint32_t>(b) >> 7;
  }
  for (const char c : view(block, sum_field)) {
    sum -= static_cast<unsigned char>(c);
    high -= static_cast<std::uint32_t>(static_cast<unsigned char>(c)) >> 7;
  }
  sum += static_cast<std::uint32_t>(' ' * sum_field.bytes);
  return {sum, std::int64_t{sum} - 256 * std::int64_t{high}};
}

}  // namespace seawall::archive::tar_block
