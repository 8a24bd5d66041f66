// The container of the lzop command around liblzo2's block functions: what WAL-E's archives are made of. All numbers
// are big-endian, blocks do not refer to each other. Written is what lzop, WAL-E and WAL-G read: one member, blocks of
// 256 KiB (lzop refuses larger ones), each with an Adler-32 of its content. Read is every member that lzop, busybox and
// their like write, several one after the other, blocks up to 64 MiB.
#include <fmt/format.h>
#include <lzo/lzo1x.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "base/error.hh"
#include "codec/adler32.hh"
#include "codec/block_encoder.hh"
#include "codec/makers.hh"
#include "codec/unit_reader.hh"

namespace seawall::codec {
namespace {

constexpr std::size_t written_block_bytes = 256 << 10;
constexpr std::uint32_t largest_block_bytes = 64 << 20;
constexpr std::uint32_t largest_extra_bytes = 1 << 20;
constexpr std::size_t word = sizeof(std::uint32_t);

constexpr std::array<unsigned char, 9> magic{0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1A, '\n'};
constexpr unsigned oldest_version = 0x0900;
constexpr unsigned version_with_level = 0x0940;
constexpr unsigned newest_version = 0x1040;

// A member's flags.
constexpr std::uint32_t adler_of_content = 0x1;
constexpr std::uint32_t adler_of_stored = 0x2;
constexpr std::uint32_t extra_field = 0x40;
constexpr std::uint32_t crc_of_content = 0x100;
constexpr std::uint32_t crc_of_stored = 0x200;
constexpr std::uint32_t multipart = 0x400;
constexpr std::uint32_t filtered = 0x800;
constexpr std::uint32_t header_crc = 0x1000;
constexpr std::uint32_t reserved = 0x000FC000;

// Version 1040 made with library 20A0, 0940 needed to read it; method 1, level 5; content Adler-32, from stdin, to
// stdout, Unix; no mode, time or name; and the Adler-32 of all that.
constexpr std::array<unsigned char, 38> written_header{0x89, 'L',  'Z',  'O',  0,    '\r', '\n', 0x1A, '\n',  //
                                                       0x10, 0x40, 0x20, 0xA0, 0x09, 0x40, 1,    5,           //
                                                       0x03, 0,    0,    0x0D, 0,    0,    0,    0,    0,
                                                       0,    0,    0,  //
                                                       0,    0,    0,    0,    0,    0x1F, 0x5C, 0x01, 0x70};

template <class T>
T load_be(Bytes from, std::size_t offset) noexcept {
  T value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value = static_cast<T>(value << 8 | std::to_integer<T>(from[offset + i]));
  }
  return value;
}

void store_be32(std::byte* to, std::uint32_t value) noexcept {
  for (int shift = 24; shift >= 0; shift -= 8) *to++ = static_cast<std::byte>(value >> shift);
}

std::uint32_t crc32_of(Bytes data) noexcept {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

const unsigned char* input_of(Bytes data) { return reinterpret_cast<const unsigned char*>(data.data()); }

class LzoCoder final : public BlockCoder {
 public:
  /// Sizes, checksum; content that does not compress is stored as it is.
  static constexpr std::size_t head_bytes = 3 * word;
  static constexpr std::size_t bound = head_bytes + written_block_bytes + written_block_bytes / 16 + 64 + 3;

  std::size_t encode(Bytes raw, MutableBytes out) override {
    std::byte* const body = out.data() + head_bytes;
    lzo_uint bytes = 0;
    lzo1x_1_compress(input_of(raw), raw.size(), reinterpret_cast<unsigned char*>(body), &bytes, memory_.data());
    if (bytes >= raw.size()) {
      bytes = raw.size();
      std::memcpy(body, raw.data(), bytes);
    }
    store_be32(out.data(), static_cast<std::uint32_t>(raw.size()));
    store_be32(out.data() + word, static_cast<std::uint32_t>(bytes));
    store_be32(out.data() + 2 * word, adler32_of(raw));
    return head_bytes + bytes;
  }

 private:
  alignas(lzo_align_t) std::array<unsigned char, LZO1X_1_MEM_COMPRESS> memory_;
};

/// Which unit of the input comes next.
enum class Expect {
  start,   ///< magic, version, version of the library
  method,  ///< and the flags
  fields,  ///< up to the length of the name
  name,    ///< with the header's checksum
  extra_size,
  extra,
  content_size,
  stored_size,
  block,  ///< with its checksums
};

class LzoDecoder final : public Filter {
 public:
  LzoDecoder(const ObjectContext& context, Sink& next)
      : key_(context.key), next_(next), checks_content_(!context.digest_is_checked) {
    begin_member();
  }

  MutableBytes space() override {
    if (input_.size() == 0) input_ = AlignedBuffer(space_bytes);
    return input_.span();
  }
  void filled(std::size_t n) override { write(input_.span().first(n)); }

  void write(Bytes data) override {
    while (!data.empty()) {
      const Bytes unit = units_.take(data);
      if (!unit.empty()) accept(unit);
    }
  }

  void finish() override {
    if (units_.offset() == 0) fail("is empty");
    if (expect_ != Expect::start || units_.inside_unit()) fail("ends early: it was cut");
  }

 private:
  [[noreturn]] void fail(std::string_view cause, Errc code = Errc::corrupt) const {
    throw Error(code, fmt::format("{}: lzo stream {} (near byte {})", key_, cause, units_.offset()));
  }

  void wait_for(Expect what, std::size_t bytes) noexcept {
    expect_ = what;
    units_.expect(bytes);
  }

  bool has(std::uint32_t flag) const noexcept { return (flags_ & flag) != 0; }
  std::uint32_t header_hash(Bytes data) const noexcept { return has(header_crc) ? crc32_of(data) : adler32_of(data); }

  void begin_member();
  void accept(Bytes unit);
  void read_start(Bytes unit);
  void read_method(Bytes unit);
  void read_name(Bytes unit);
  void read_content_size(std::uint32_t bytes);
  void read_stored_size(std::uint32_t bytes);
  void read_block(Bytes unit);
  void check(Bytes data, std::uint32_t adler_flag, std::uint32_t crc_flag, Bytes& sums) const;

  const std::string key_;
  Sink& next_;
  const bool checks_content_;
  UnitReader units_;
  AlignedBuffer input_;   // space()
  AlignedBuffer output_;  // one decoded block

  Expect expect_ = Expect::start;
  std::string header_;  // after the magic
  unsigned version_ = 0;
  std::uint32_t flags_ = 0;
  std::size_t content_bytes_ = 0;  // of the block that comes
  std::size_t stored_bytes_ = 0;
};

void LzoDecoder::begin_member() {
  header_.clear();
  wait_for(Expect::start, magic.size() + 2 * sizeof(std::uint16_t));
}

void LzoDecoder::accept(Bytes unit) {
  switch (expect_) {
    case Expect::start:
      return read_start(unit);
    case Expect::method:
      return read_method(unit);
    case Expect::fields:
      header_ += text_of(unit);
      return wait_for(Expect::name, std::to_integer<std::size_t>(unit.back()) + word);
    case Expect::name:
      return read_name(unit);
    case Expect::extra_size: {
      const auto bytes = load_be<std::uint32_t>(unit, 0);
      if (bytes > largest_extra_bytes) fail("has a damaged header");
      header_ = text_of(unit);
      return wait_for(Expect::extra, bytes + word);
    }
    case Expect::extra:
      header_ += text_of(unit.first(unit.size() - word));
      if (load_be<std::uint32_t>(unit, unit.size() - word) != header_hash(bytes_of(header_))) {
        fail("has a damaged header");
      }
      return wait_for(Expect::content_size, word);
    case Expect::content_size:
      return read_content_size(load_be<std::uint32_t>(unit, 0));
    case Expect::stored_size:
      return read_stored_size(load_be<std::uint32_t>(unit, 0));
    case Expect::block:
      return read_block(unit);
  }
}

void LzoDecoder::read_start(Bytes unit) {
  if (std::memcmp(unit.data(), magic.data(), magic.size()) != 0) fail("has no lzop header where one should begin");
  const Bytes fields = unit.subspan(magic.size());
  version_ = load_be<std::uint16_t>(fields, 0);
  if (version_ < oldest_version) fail("has a damaged header");
  header_ = text_of(fields);
  const bool with_level = version_ >= version_with_level;
  wait_for(Expect::method, (with_level ? sizeof(std::uint16_t) + 1 : 0) + 1 + word);
}

void LzoDecoder::read_method(Bytes unit) {
  header_ += text_of(unit);
  const bool with_level = version_ >= version_with_level;
  const auto method = std::to_integer<unsigned>(unit[with_level ? sizeof(std::uint16_t) : 0]);
  flags_ = load_be<std::uint32_t>(unit, unit.size() - word);
  const unsigned needed = with_level ? load_be<std::uint16_t>(unit, 0) : version_;
  if (needed < oldest_version || (flags_ & reserved) != 0) fail("has a damaged header");
  if (with_level && needed > newest_version) {
    fail(fmt::format("needs version {:x} of lzop, which is not supported", needed), Errc::unsupported);
  }
  if (method < 1 || method > 3) fail(fmt::format("is packed by unknown method {}", method), Errc::unsupported);
  if (has(filtered | multipart)) fail("is filtered or split, which is not supported", Errc::unsupported);
  // Mode, time and, in newer versions, the time's upper half; the name's length.
  wait_for(Expect::fields, (with_level ? 3 : 2) * word + 1);
}

void LzoDecoder::read_name(Bytes unit) {
  header_ += text_of(unit.first(unit.size() - word));
  if (load_be<std::uint32_t>(unit, unit.size() - word) != header_hash(bytes_of(header_))) fail("has a damaged header");
  wait_for(has(extra_field) ? Expect::extra_size : Expect::content_size, word);
}

void LzoDecoder::read_content_size(std::uint32_t bytes) {
  if (bytes == 0) return begin_member();
  if (bytes == 0xFFFFFFFF) fail("is one part of a split file, which is not supported", Errc::unsupported);
  if (bytes > largest_block_bytes) fail("has a block larger than 64 MiB");
  content_bytes_ = bytes;
  wait_for(Expect::stored_size, word);
}

void LzoDecoder::read_stored_size(std::uint32_t bytes) {
  if (bytes == 0 || bytes > content_bytes_) fail("has an impossible block size");
  stored_bytes_ = bytes;
  std::uint32_t checks = flags_ & (adler_of_content | crc_of_content);
  // A block stored as it is has the content's checksums only.
  if (stored_bytes_ < content_bytes_) checks |= flags_ & (adler_of_stored | crc_of_stored);
  wait_for(Expect::block, static_cast<std::size_t>(std::popcount(checks)) * word + stored_bytes_);
}

/// Compares `data` with the next checksums of `sums`, and cuts these off.
void LzoDecoder::check(Bytes data, std::uint32_t adler_flag, std::uint32_t crc_flag, Bytes& sums) const {
  if (has(adler_flag)) {
    if (checks_content_ && load_be<std::uint32_t>(sums, 0) != adler32_of(data)) {
      fail("has a block that does not match its checksum");
    }
    sums = sums.subspan(word);
  }
  if (has(crc_flag)) {
    if (checks_content_ && load_be<std::uint32_t>(sums, 0) != crc32_of(data)) {
      fail("has a block that does not match its checksum");
    }
    sums = sums.subspan(word);
  }
}

void LzoDecoder::read_block(Bytes unit) {
  const Bytes stored = unit.last(stored_bytes_);
  Bytes sums = unit.first(unit.size() - stored_bytes_);
  wait_for(Expect::content_size, word);
  if (stored_bytes_ == content_bytes_) {
    check(stored, adler_of_content, crc_of_content, sums);
    return next_.write(stored);
  }
  Bytes stored_sums = sums.subspan((has(adler_of_content) ? word : 0) + (has(crc_of_content) ? word : 0));
  check(stored, adler_of_stored, crc_of_stored, stored_sums);
  MutableBytes room = next_.room(content_bytes_);
  const bool is_placed = !room.empty();
  if (!is_placed) {
    if (output_.size() < content_bytes_) output_ = AlignedBuffer(content_bytes_);
    room = output_.span();
  }
  const Bytes content = room.first(content_bytes_);
  lzo_uint made = content_bytes_;
  const int status = lzo1x_decompress_safe(input_of(stored), stored.size(),
                                           reinterpret_cast<unsigned char*>(room.data()), &made, nullptr);
  if (status != LZO_E_OK || made != content_bytes_) fail("has a damaged block");
  check(content, adler_of_content, crc_of_content, sums);
  is_placed ? next_.placed(content.size()) : next_.write(content);
}

}  // namespace

std::unique_ptr<Filter> encode_lzo(const ObjectContext& context, int, Sink& next) {
  return encode_blocks(context,
                       {.block_bytes = written_block_bytes,
                        .encoded_bound = LzoCoder::bound,
                        .header = std::as_bytes(std::span(written_header)),
                        .trailer = [](std::uint64_t) { return std::string(word, '\0'); },  // a block of no bytes
                        .empty_object_has_one_block = false,
                        .make_coder = [] { return std::make_unique<LzoCoder>(); }},
                       next);
}

std::unique_ptr<Filter> decode_lzo(const ObjectContext& context, Sink& next) {
  return std::make_unique<LzoDecoder>(context, next);
}

}  // namespace seawall::codec
