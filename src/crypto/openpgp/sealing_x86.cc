#include "crypto/openpgp/sealing.hh"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/error.hh"
#include "crypto/secret.hh"

#define SEAWALL_TARGET [[gnu::target("aes,sha,sse4.1")]]

namespace seawall::crypto::openpgp {
namespace {

constexpr std::size_t block = 16;
constexpr std::size_t most_rounds = 14;

bool processor_can() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_AES) == 0 || (c & bit_SSE4_1) == 0) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

__m128i load(const std::byte* from) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
void store(std::byte* to, __m128i value) noexcept { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value); }

// ---- AES (FIPS 197)

// Arrays of the language: the type's alignment does not survive as an argument of std::array.
struct Schedule {
  __m128i keys[most_rounds + 1];  // NOLINT(modernize-avoid-c-arrays)
};

SEAWALL_TARGET std::uint32_t substituted(std::uint32_t word) noexcept {
  return static_cast<std::uint32_t>(
      _mm_cvtsi128_si32(_mm_aeskeygenassist_si128(_mm_set1_epi32(static_cast<int>(word)), 0)));
}

SEAWALL_TARGET void expand(Bytes key, Schedule& out) noexcept {
  std::array<std::uint32_t, 4 * (most_rounds + 1)> words{};
  const std::size_t given = key.size() / 4;
  std::memcpy(words.data(), key.data(), key.size());
  std::uint32_t constant = 1;
  for (std::size_t i = given; i < 4 * (given + 7); ++i) {
    std::uint32_t word = words.at(i - 1);
    if (i % given == 0) {
      word = substituted(word);
      word = (word >> 8 | word << 24) ^ constant;
      constant = constant << 1 ^ ((constant & 0x80) != 0 ? 0x11BU : 0U);
    } else if (given == 8 && i % given == 4) {
      word = substituted(word);
    }
    words.at(i) = words.at(i - given) ^ word;
  }
  std::memcpy(out.keys, words.data(), sizeof words);
  wipe(std::as_writable_bytes(std::span(words)));
}

/// `mixed`: the register combined with the first round key. The last round takes the plain block and the next first
/// round key in with its own key, so that nothing but the rounds is on the way from one block to the next.
template <std::size_t Rounds>
SEAWALL_TARGET [[gnu::always_inline]] inline void encrypt_block(const Schedule& schedule, __m128i& mixed,
                                                                const std::byte* in, std::byte* out) noexcept {
  const __m128i last = _mm_xor_si128(_mm_xor_si128(load(in), schedule.keys[0]), schedule.keys[Rounds]);
  __m128i value = mixed;
#pragma GCC unroll 16
  for (std::size_t round = 1; round < Rounds; ++round) value = _mm_aesenc_si128(value, schedule.keys[round]);
  mixed = _mm_aesenclast_si128(value, last);
  store(out, _mm_xor_si128(mixed, schedule.keys[0]));
}

/// `last`: the encrypted block before.
template <std::size_t Rounds>
SEAWALL_TARGET [[gnu::always_inline]] inline void decrypt_block(const Schedule& schedule, __m128i& last,
                                                                const std::byte* in, std::byte* out) noexcept {
  __m128i value = _mm_xor_si128(last, schedule.keys[0]);
  last = load(in);
#pragma GCC unroll 16
  for (std::size_t round = 1; round < Rounds; ++round) value = _mm_aesenc_si128(value, schedule.keys[round]);
  store(out, _mm_aesenclast_si128(value, _mm_xor_si128(last, schedule.keys[Rounds])));
}

// ---- SHA-1 (FIPS 180-4), by the processor's four rounds at a time

struct Sha1 {
  __m128i abcd;
  __m128i e;
  __m128i words[4];  // NOLINT(modernize-avoid-c-arrays)
};

template <int Group>
SEAWALL_TARGET [[gnu::always_inline]] inline void four_rounds(Sha1& sha) noexcept {
  constexpr std::size_t at = Group % 4;
  const __m128i e = Group == 0 ? _mm_add_epi32(sha.e, sha.words[at]) : _mm_sha1nexte_epu32(sha.e, sha.words[at]);
  sha.e = sha.abcd;
  sha.abcd = _mm_sha1rnds4_epu32(sha.abcd, e, Group / 5);
  if constexpr (Group < 16) {
    const __m128i older = _mm_sha1msg1_epu32(sha.words[at], sha.words[(at + 1) % 4]);
    sha.words[at] = _mm_sha1msg2_epu32(_mm_xor_si128(older, sha.words[(at + 2) % 4]), sha.words[(at + 3) % 4]);
  }
}

template <int First>
SEAWALL_TARGET [[gnu::always_inline]] inline void twenty_rounds(Sha1& sha) noexcept {
  four_rounds<First>(sha);
  four_rounds<First + 1>(sha);
  four_rounds<First + 2>(sha);
  four_rounds<First + 3>(sha);
  four_rounds<First + 4>(sha);
}

struct Hash {
  __m128i abcd;
  __m128i e;
};

SEAWALL_TARGET Hash first_hash() noexcept {
  return {_mm_set_epi32(0x67452301, static_cast<int>(0xEFCDAB89), static_cast<int>(0x98BADCFE), 0x10325476),
          _mm_set_epi32(static_cast<int>(0xC3D2E1F0), 0, 0, 0)};
}

SEAWALL_TARGET [[gnu::always_inline]] inline void begin_unit(Sha1& sha, const std::byte* from) noexcept {
  const __m128i reversed = _mm_set_epi64x(0x0001020304050607, 0x08090A0B0C0D0E0F);
  for (std::size_t i = 0; i < 4; ++i) sha.words[i] = _mm_shuffle_epi8(load(from + i * block), reversed);
}

SEAWALL_TARGET [[gnu::always_inline]] inline void end_unit(Sha1& sha, const Hash& before) noexcept {
  sha.e = _mm_sha1nexte_epu32(sha.e, before.e);
  sha.abcd = _mm_add_epi32(sha.abcd, before.abcd);
}

SEAWALL_TARGET void hash_unit(Hash& hash, const std::byte* from) noexcept {
  Sha1 sha{hash.abcd, hash.e, {}};
  begin_unit(sha, from);
  twenty_rounds<0>(sha);
  twenty_rounds<5>(sha);
  twenty_rounds<10>(sha);
  twenty_rounds<15>(sha);
  end_unit(sha, hash);
  hash = {sha.abcd, sha.e};
}

/// Hashes units and encrypts each of their blocks beside a quarter of that.
template <std::size_t Rounds>
SEAWALL_TARGET void seal_units(const Schedule& schedule, __m128i& mixed_out, Hash& hash, Bytes in,
                               std::byte* out) noexcept {
  Sha1 sha{hash.abcd, hash.e, {}};
  __m128i mixed = mixed_out;
  for (std::size_t at = 0; at < in.size(); at += Sealing::unit) {
    const std::byte* const from = in.data() + at;
    const Hash before{sha.abcd, sha.e};
    begin_unit(sha, from);
    encrypt_block<Rounds>(schedule, mixed, from, out + at);
    twenty_rounds<0>(sha);
    encrypt_block<Rounds>(schedule, mixed, from + block, out + at + block);
    twenty_rounds<5>(sha);
    encrypt_block<Rounds>(schedule, mixed, from + 2 * block, out + at + 2 * block);
    twenty_rounds<10>(sha);
    encrypt_block<Rounds>(schedule, mixed, from + 3 * block, out + at + 3 * block);
    twenty_rounds<15>(sha);
    end_unit(sha, before);
  }
  hash = {sha.abcd, sha.e};
  mixed_out = mixed;
}

/// Decrypts units and hashes, beside each, the plain unit before it: `late` before the first.
template <std::size_t Rounds>
SEAWALL_TARGET void open_units(const Schedule& schedule, __m128i& last_out, Hash& hash, const std::byte* late, Bytes in,
                               std::byte* out) noexcept {
  Sha1 sha{hash.abcd, hash.e, {}};
  __m128i last = last_out;
  for (std::size_t at = 0; at < in.size(); at += Sealing::unit) {
    const std::byte* const from = in.data() + at;
    const Hash before{sha.abcd, sha.e};
    begin_unit(sha, at == 0 ? late : out + at - Sealing::unit);
    decrypt_block<Rounds>(schedule, last, from, out + at);
    twenty_rounds<0>(sha);
    decrypt_block<Rounds>(schedule, last, from + block, out + at + block);
    twenty_rounds<5>(sha);
    decrypt_block<Rounds>(schedule, last, from + 2 * block, out + at + 2 * block);
    twenty_rounds<10>(sha);
    decrypt_block<Rounds>(schedule, last, from + 3 * block, out + at + 3 * block);
    twenty_rounds<15>(sha);
    end_unit(sha, before);
  }
  hash = {sha.abcd, sha.e};
  last_out = last;
}

/// Hashes the last `rest`, less than a unit, and SHA-1's padding: a bit, zeros, the length in bits.
SEAWALL_TARGET void end_hash(Hash hash, Bytes rest, std::uint64_t bytes, std::byte* digest) noexcept {
  std::array<std::byte, 2 * Sealing::unit> padded{};
  std::copy_n(rest.begin(), rest.size(), padded.begin());
  padded[rest.size()] = std::byte{0x80};
  const std::size_t size = rest.size() + 1 + 8 <= Sealing::unit ? Sealing::unit : 2 * Sealing::unit;
  for (std::size_t i = 0; i < 8; ++i) padded[size - 1 - i] = static_cast<std::byte>(bytes * 8 >> (8 * i) & 0xFF);
  for (std::size_t at = 0; at < size; at += Sealing::unit) hash_unit(hash, padded.data() + at);
  std::array<std::uint32_t, 8> words{};
  std::memcpy(words.data(), &hash.abcd, block);
  std::memcpy(words.data() + 4, &hash.e, block);
  // The first word is in the highest lane, and so is the fifth.
  const std::array<std::uint32_t, 5> ordered{words[3], words[2], words[1], words[0], words[7]};
  for (std::size_t i = 0; i < sha1_bytes; ++i) {
    digest[i] = static_cast<std::byte>(ordered[i / 4] >> (24 - 8 * (i % 4)) & 0xFF);
  }
}

/// Blocks of any number, the last one perhaps not whole, by `one`: encrypt_block or decrypt_block.
template <auto one>
SEAWALL_TARGET void each_block(const Schedule& schedule, __m128i& state, Bytes in, std::byte* out) noexcept {
  for (std::size_t at = 0; at < in.size(); at += block) {
    std::array<std::byte, block> from{}, to{};
    const std::size_t n = std::min(block, in.size() - at);
    std::memcpy(from.data(), in.data() + at, n);
    one(schedule, state, from.data(), to.data());
    std::memcpy(out + at, to.data(), n);
  }
}

class Keyed {
 public:
  explicit Keyed(Bytes key) { expand(key, schedule_); }
  ~Keyed() { wipe(std::as_writable_bytes(std::span(&schedule_, 1))); }
  Keyed(const Keyed&) = delete;
  Keyed& operator=(const Keyed&) = delete;

  const Schedule& operator()() const noexcept { return schedule_; }

 private:
  Schedule schedule_{};
};

template <std::size_t Rounds>
class FusedSealing final : public Sealing {
 public:
  explicit FusedSealing(Bytes key) : schedule_(key), mixed_(schedule_().keys[0]) {}

  void run(Bytes in, std::byte* out) override {
    if (in.size() % unit != 0) throw Error(Errc::bug, "an odd number of bytes to encrypt");
    seal_units<Rounds>(schedule_(), mixed_, hash_, in, out);
    hashed_ += in.size();
  }

  void finish(MutableBytes data, std::byte* out) override {
    const std::size_t under = data.size() - sha1_bytes;
    const std::size_t whole = under / unit * unit;
    run(data.first(whole), out);
    end_hash(hash_, data.subspan(whole, under - whole), hashed_ + under - whole, data.data() + under);
    each_block<encrypt_block<Rounds>>(schedule_(), mixed_, data.subspan(whole), out + whole);
  }

 private:
  const Keyed schedule_;
  __m128i mixed_;
  Hash hash_ = first_hash();
  std::uint64_t hashed_ = 0;
};

template <std::size_t Rounds>
class FusedOpening final : public Opening {
 public:
  explicit FusedOpening(Bytes key) : schedule_(key) {}

  void run(Bytes in, std::byte* out) override {
    constexpr std::size_t unit = Sealing::unit;
    if (in.size() % unit != 0) throw Error(Errc::bug, "an odd number of bytes to decrypt");
    if (in.empty()) return;
    if (decrypted_ == 0) {
      // Nothing is late yet.
      each_block<decrypt_block<Rounds>>(schedule_(), last_, in.first(unit), out);
      open_units<Rounds>(schedule_(), last_, hash_, out, in.subspan(unit), out + unit);
    } else {
      open_units<Rounds>(schedule_(), last_, hash_, late_.data(), in, out);
    }
    decrypted_ += in.size();
    std::memcpy(late_.data(), out + in.size() - unit, unit);
  }

  Digest finish(Bytes in, std::byte* out) override {
    each_block<decrypt_block<Rounds>>(schedule_(), last_, in, out);
    const std::size_t late = decrypted_ == 0 ? 0 : late_.size();
    std::array<std::byte, 2 * Sealing::unit> rest{};
    std::memcpy(rest.data(), late_.data(), late);
    std::copy_n(out, in.size(), rest.data() + late);
    std::size_t under = late + in.size() - sha1_bytes;
    const std::byte* from = rest.data();
    if (under >= Sealing::unit) {
      hash_unit(hash_, from);
      from += Sealing::unit;
      under -= Sealing::unit;
    }
    Digest digest;
    end_hash(hash_, {from, under}, decrypted_ + in.size() - sha1_bytes, digest.data());
    return digest;
  }

 private:
  const Keyed schedule_;
  __m128i last_ = _mm_setzero_si128();
  Hash hash_ = first_hash();
  std::array<std::byte, Sealing::unit> late_{};  // the last unit, not hashed yet
  std::uint64_t decrypted_ = 0;
};

/// Null: this processor cannot.
template <class Face, template <std::size_t> class Made>
std::unique_ptr<Face> made(Bytes key) {
  static const bool can = processor_can();
  if (!can) return nullptr;
  switch (key.size()) {
    case 16:
      return std::make_unique<Made<10>>(key);
    case 24:
      return std::make_unique<Made<12>>(key);
    case 32:
      return std::make_unique<Made<14>>(key);
    default:
      throw Error(Errc::bug, "a key of an impossible size for AES");
  }
}

}  // namespace

std::unique_ptr<Sealing> make_fused_sealing(Bytes aes_key) { return made<Sealing, FusedSealing>(aes_key); }

std::unique_ptr<Opening> make_fused_opening(Bytes aes_key) { return made<Opening, FusedOpening>(aes_key); }

}  // namespace seawall::crypto::openpgp

#else

namespace seawall::crypto::openpgp {

std::unique_ptr<Sealing> make_fused_sealing(Bytes) { return nullptr; }
std::unique_ptr<Opening> make_fused_opening(Bytes) { return nullptr; }

}  // namespace seawall::crypto::openpgp

#endif
