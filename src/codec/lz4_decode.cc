// The decoder reads every legal lz4 stream, not only ours: any block size, linked blocks, checksums per block, content
// size, skippable, legacy and concatenated frames. Blocks that lie whole in what was pushed are decoded from there.
#include <fmt/format.h>
#include <lz4.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/error.hh"
#include "codec/lz4_frame.hh"
#include "codec/makers.hh"
#include "codec/unit_reader.hh"

namespace seawall::codec {
namespace {

constexpr std::size_t window_bytes = 64 << 10;  // how far back linked blocks refer
constexpr std::size_t legacy_block_bytes = 8 << 20;
constexpr std::uint32_t legacy_bound = legacy_block_bytes + legacy_block_bytes / 255 + 16;
constexpr std::size_t word = sizeof(std::uint32_t);

/// Which unit of the input comes next.
enum class Expect {
  magic,
  flags,       ///< FLG and BD
  descriptor,  ///< the rest of the descriptor, with its checksum
  block_size,
  block,
  content_checksum,
  skip_size,
  skipped,
  legacy_size,
  legacy_block,
};

class Lz4Decoder final : public Filter {
 public:
  Lz4Decoder(const ObjectContext& context, Sink& next)
      : key_(context.key), next_(next), hash_content_(!context.digest_is_checked) {
    units_.expect(word);
  }

  MutableBytes space() override {
    if (input_.size() == 0) input_ = AlignedBuffer(space_bytes);
    return input_.span();
  }
  void filled(std::size_t n) override { write(input_.span().first(n)); }

  void write(Bytes data) override {
    while (!data.empty()) {
      if (expect_ == Expect::skipped) {
        if (units_.skip(data)) wait_for(Expect::magic, word);
        continue;
      }
      const Bytes unit = units_.take(data);
      if (!unit.empty()) accept(unit);
    }
  }

  void finish() override {
    if (units_.offset() == 0) fail("is empty");
    const bool at_end = expect_ == Expect::magic || expect_ == Expect::legacy_size;
    if (!at_end || units_.inside_unit()) fail("ends inside a frame: it was cut");
  }

 private:
  [[noreturn]] void fail(std::string_view cause, Errc code = Errc::corrupt) const {
    throw Error(code, fmt::format("{}: lz4 stream {} (near byte {})", key_, cause, units_.offset()));
  }

  void wait_for(Expect what, std::size_t bytes) noexcept {
    expect_ = what;
    units_.expect(bytes);
  }

  void accept(Bytes unit);
  void begin_frame(std::uint32_t magic);
  void read_flags(Bytes unit);
  void read_descriptor(Bytes unit);
  void read_block_size(std::uint32_t field);
  void read_block(Bytes unit);
  void read_legacy_size(std::uint32_t field);
  void decode_alone(Bytes block, std::size_t limit);
  void decode_linked(Bytes block, bool raw);
  void emit(Bytes content);
  void account(Bytes content);
  void end_content();

  const std::string key_;
  Sink& next_;
  const bool hash_content_;
  AlignedBuffer input_;   // space()
  AlignedBuffer output_;  // one decoded block; for linked blocks several, with the window before them

  Expect expect_ = Expect::magic;
  UnitReader units_;

  std::array<std::byte, 14> descriptor_{};
  unsigned flags_ = 0;
  std::size_t block_limit_ = 0;
  bool block_is_raw_ = false;
  std::uint64_t content_size_ = 0;
  std::uint64_t content_bytes_ = 0;
  std::size_t linked_end_ = 0;  // of the decoded bytes in output_, linked blocks only
  lz4::ContentHash hash_;
};

void Lz4Decoder::accept(Bytes unit) {
  switch (expect_) {
    case Expect::magic:
      begin_frame(load_le<std::uint32_t>(unit, 0));
      return;
    case Expect::flags:
      read_flags(unit);
      return;
    case Expect::descriptor:
      read_descriptor(unit);
      return;
    case Expect::block_size:
      read_block_size(load_le<std::uint32_t>(unit, 0));
      return;
    case Expect::block:
      read_block(unit);
      return;
    case Expect::content_checksum:
      if (hash_content_ && load_le<std::uint32_t>(unit, 0) != hash_.value())
        fail("has content that does not match its checksum");
      wait_for(Expect::magic, word);
      return;
    case Expect::skip_size:
      if (const auto bytes = load_le<std::uint32_t>(unit, 0)) {
        wait_for(Expect::skipped, bytes);
      } else {
        wait_for(Expect::magic, word);
      }
      return;
    case Expect::skipped:
      return;  // write() does not ask for these
    case Expect::legacy_size:
      read_legacy_size(load_le<std::uint32_t>(unit, 0));
      return;
    case Expect::legacy_block:
      decode_alone(unit, legacy_block_bytes);
      wait_for(Expect::legacy_size, word);
      return;
  }
}

void Lz4Decoder::begin_frame(std::uint32_t magic) {
  flags_ = 0;
  content_bytes_ = 0;
  linked_end_ = 0;
  if (magic == lz4::frame_magic) return wait_for(Expect::flags, 2);
  if (magic == lz4::legacy_magic) return wait_for(Expect::legacy_size, word);
  if (magic >= lz4::first_skippable_magic && magic <= lz4::last_skippable_magic) {
    return wait_for(Expect::skip_size, word);
  }
  fail("has no frame where one should begin");
}

void Lz4Decoder::read_flags(Bytes unit) {
  std::ranges::copy(unit, descriptor_.begin());
  flags_ = std::to_integer<unsigned>(unit[0]);
  const auto sizes = std::to_integer<unsigned>(unit[1]);
  if ((flags_ & lz4::version_mask) != lz4::version_1) fail("is of an unknown version");
  if ((flags_ & lz4::reserved_flag) != 0 || (sizes & 0x8F) != 0) fail("has reserved bits set");
  const unsigned code = sizes >> 4;
  if (code < 4) fail("has an impossible block size");
  block_limit_ = std::size_t{1} << (8 + 2 * code);  // 4: 64 KiB, 5: 256 KiB, 6: 1 MiB, 7: 4 MiB
  const std::size_t size = (flags_ & lz4::content_size_flag) != 0 ? 8 : 0;
  const std::size_t dictionary = (flags_ & lz4::dictionary_flag) != 0 ? 4 : 0;
  wait_for(Expect::descriptor, size + dictionary + 1);
}

void Lz4Decoder::read_descriptor(Bytes unit) {
  const Bytes fields = unit.first(unit.size() - 1);
  std::ranges::copy(fields, descriptor_.begin() + 2);
  if (std::to_integer<unsigned>(unit.back()) != lz4::descriptor_checksum(Bytes(descriptor_).first(2 + fields.size()))) {
    fail("has a damaged frame header");
  }
  if ((flags_ & lz4::dictionary_flag) != 0)
    fail("needs a preset dictionary, which is not supported", Errc::unsupported);
  if ((flags_ & lz4::content_size_flag) != 0) content_size_ = load_le<std::uint64_t>(fields, 0);
  hash_.reset();
  wait_for(Expect::block_size, word);
}

void Lz4Decoder::read_block_size(std::uint32_t field) {
  if (field == 0) return end_content();
  block_is_raw_ = (field & lz4::stored_raw) != 0;
  const std::size_t bytes = field & ~lz4::stored_raw;
  if (bytes > block_limit_) fail("has a block larger than its header allows");
  const std::size_t unit = bytes + ((flags_ & lz4::block_checksum_flag) != 0 ? word : 0);
  // A stored block of no bytes is legal, if odd.
  if (unit > 0) wait_for(Expect::block, unit);
}

void Lz4Decoder::read_block(Bytes unit) {
  if ((flags_ & lz4::block_checksum_flag) != 0) {
    const Bytes data = unit.first(unit.size() - word);
    if (load_le<std::uint32_t>(unit, data.size()) != lz4::hash_of(data)) {
      fail("has a block that does not match its checksum");
    }
    unit = data;
  }
  if ((flags_ & lz4::independent_flag) == 0) {
    decode_linked(unit, block_is_raw_);
  } else if (block_is_raw_) {
    emit(unit);
  } else {
    decode_alone(unit, block_limit_);
  }
  wait_for(Expect::block_size, word);
}

void Lz4Decoder::read_legacy_size(std::uint32_t field) {
  // Legacy frames have no end mark: the next frame's magic, larger than any block, stands where a size would.
  if (field > legacy_bound) return begin_frame(field);
  if (field == 0) fail("has a block of no bytes");
  wait_for(Expect::legacy_block, field);
}

void Lz4Decoder::decode_alone(Bytes block, std::size_t limit) {
  const MutableBytes room = next_.room(limit);
  if (room.empty() && output_.size() < limit) output_ = AlignedBuffer(limit);
  std::byte* const to = room.empty() ? output_.data() : room.data();
  const int n = LZ4_decompress_safe(reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(to),
                                    static_cast<int>(block.size()), static_cast<int>(limit));
  if (n < 0) fail("has a damaged block");
  const Bytes content(to, static_cast<std::size_t>(n));
  if (content.empty()) return;
  account(content);
  room.empty() ? next_.write(content) : next_.placed(content.size());
}

void Lz4Decoder::decode_linked(Bytes block, bool raw) {
  // Several blocks one after the other: their window lies before them without being moved for each.
  const std::size_t wanted = window_bytes + std::max(block_limit_, std::size_t{1} << 20);
  if (output_.size() < wanted) output_ = AlignedBuffer(wanted);
  const std::size_t window = std::min(linked_end_, window_bytes);
  if (linked_end_ + block_limit_ > output_.size()) {
    std::memmove(output_.data(), output_.data() + linked_end_ - window, window);
    linked_end_ = window;
  }
  std::byte* const to = output_.data() + linked_end_;
  std::size_t bytes = block.size();
  if (raw) {
    std::memcpy(to, block.data(), bytes);
  } else {
    const int n = LZ4_decompress_safe_usingDict(
        reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(to), static_cast<int>(block.size()),
        static_cast<int>(block_limit_), reinterpret_cast<const char*>(to - window), static_cast<int>(window));
    if (n < 0) fail("has a damaged block");
    bytes = static_cast<std::size_t>(n);
  }
  linked_end_ += bytes;
  emit({to, bytes});
}

void Lz4Decoder::emit(Bytes content) {
  if (content.empty()) return;
  account(content);
  next_.write(content);
}

void Lz4Decoder::account(Bytes content) {
  content_bytes_ += content.size();
  if ((flags_ & lz4::content_size_flag) != 0 && content_bytes_ > content_size_)
    fail("has more content than its header says");
  if (hash_content_ && (flags_ & lz4::content_checksum_flag) != 0) hash_.update(content);
}

void Lz4Decoder::end_content() {
  if ((flags_ & lz4::content_size_flag) != 0 && content_bytes_ != content_size_) {
    fail("has less content than its header says");
  }
  if ((flags_ & lz4::content_checksum_flag) != 0) {
    wait_for(Expect::content_checksum, word);
  } else {
    wait_for(Expect::magic, word);
  }
}

}  // namespace

std::unique_ptr<Filter> decode_lz4(const ObjectContext& context, Sink& next) {
  return std::make_unique<Lz4Decoder>(context, next);
}

}  // namespace seawall::codec
