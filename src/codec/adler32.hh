#pragma once

#include <zlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstdint>

#include "base/bytes.hh"

namespace seawall::codec {

/// Adler-32 (RFC 1950 §8.2) of `data`. Every block of lzop has one; zlib's in Debian goes byte by byte, which costs the
/// LZO stage a fifth of its speed.
inline std::uint32_t adler32_of(Bytes data) noexcept {
  std::uint32_t start = 1;
#ifdef __SSE2__
  constexpr std::uint32_t base = 65521;
  constexpr std::size_t step = 32;
  constexpr std::size_t steps_at_once = 5552 / step;  // after 5552 bytes the second sum could pass 32 bits
  std::uint32_t low = 1;
  std::uint32_t high = 0;
  const __m128i zero = _mm_setzero_si128();
  const __m128i weights[4] = {_mm_set_epi16(25, 26, 27, 28, 29, 30, 31, 32),
                              _mm_set_epi16(17, 18, 19, 20, 21, 22, 23, 24),
                              _mm_set_epi16(9, 10, 11, 12, 13, 14, 15, 16), _mm_set_epi16(1, 2, 3, 4, 5, 6, 7, 8)};
  while (data.size() >= step) {
    const std::size_t steps = std::min(data.size() / step, steps_at_once);
    __m128i sums = zero;      // of the bytes
    __m128i weighted = zero;  // of the bytes, each times how many of its step come from it on
    __m128i before = zero;    // of `sums` at the start of each step
    for (std::size_t i = 0; i < steps; ++i) {
      const auto* from = reinterpret_cast<const __m128i*>(data.data() + i * step);
      const __m128i first = _mm_loadu_si128(from);
      const __m128i second = _mm_loadu_si128(from + 1);
      before = _mm_add_epi32(before, sums);
      sums = _mm_add_epi32(sums, _mm_add_epi32(_mm_sad_epu8(first, zero), _mm_sad_epu8(second, zero)));
      weighted = _mm_add_epi32(weighted, _mm_madd_epi16(_mm_unpacklo_epi8(first, zero), weights[0]));
      weighted = _mm_add_epi32(weighted, _mm_madd_epi16(_mm_unpackhi_epi8(first, zero), weights[1]));
      weighted = _mm_add_epi32(weighted, _mm_madd_epi16(_mm_unpacklo_epi8(second, zero), weights[2]));
      weighted = _mm_add_epi32(weighted, _mm_madd_epi16(_mm_unpackhi_epi8(second, zero), weights[3]));
    }
    const auto total = [](__m128i lanes) {
      lanes = _mm_add_epi32(lanes, _mm_shuffle_epi32(lanes, _MM_SHUFFLE(1, 0, 3, 2)));
      lanes = _mm_add_epi32(lanes, _mm_shuffle_epi32(lanes, _MM_SHUFFLE(2, 3, 0, 1)));
      return static_cast<std::uint32_t>(_mm_cvtsi128_si32(lanes));
    };
    const std::size_t bytes = steps * step;
    high +=
        static_cast<std::uint32_t>(bytes) * low + total(weighted) + static_cast<std::uint32_t>(step) * total(before);
    low = (low + total(sums)) % base;
    high %= base;
    data = data.subspan(bytes);
  }
  start = high << 16 | low;
#endif
  return static_cast<std::uint32_t>(::adler32_z(start, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

}  // namespace seawall::codec
