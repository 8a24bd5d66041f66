#pragma once

// XXH32 compiled into each user: the library's own is a third slower, and liblz4's copy of it slower still.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>

#include "base/bytes.hh"

/// Numbers of the LZ4 frame format 1.6.3 (doc/lz4_Frame_format.md of lz4) that encoder and decoder share.
namespace seawall::codec::lz4 {

inline constexpr std::uint32_t frame_magic = 0x184D2204;
inline constexpr std::uint32_t legacy_magic = 0x184C2102;
inline constexpr std::uint32_t first_skippable_magic = 0x184D2A50;
inline constexpr std::uint32_t last_skippable_magic = 0x184D2A5F;

/// FLG, the first byte of a frame descriptor.
inline constexpr unsigned version_mask = 0xC0;
inline constexpr unsigned version_1 = 0x40;
inline constexpr unsigned independent_flag = 0x20;
inline constexpr unsigned block_checksum_flag = 0x10;
inline constexpr unsigned content_size_flag = 0x08;
inline constexpr unsigned content_checksum_flag = 0x04;
inline constexpr unsigned reserved_flag = 0x02;
inline constexpr unsigned dictionary_flag = 0x01;

/// In a block's size field: its bytes are stored as they are.
inline constexpr std::uint32_t stored_raw = 0x80000000;

/// XXH32 of what comes in pieces.
class ContentHash {
 public:
  ContentHash() noexcept { reset(); }
  void reset() noexcept { XXH32_reset(&state_, 0); }
  void update(Bytes data) noexcept {
    if (data.data() != nullptr) XXH32_update(&state_, data.data(), data.size());
  }
  std::uint32_t value() const noexcept { return XXH32_digest(&state_); }

 private:
  XXH32_state_t state_;
};

inline std::uint32_t hash_of(Bytes data) noexcept {
  ContentHash hash;
  hash.update(data);
  return hash.value();
}
inline std::uint8_t descriptor_checksum(Bytes descriptor) noexcept {
  return static_cast<std::uint8_t>(hash_of(descriptor) >> 8);
}

}  // namespace seawall::codec::lz4
