// The encoder: own frame around liblz4's block functions. LZ4F's streaming costs a third of the speed (its XXH32, and
// a copy of every block); blocks of 64 KiB let lz4 use its small 16-bit table, which is faster and stores less than
// 4 MiB blocks do, and being independent they can be compressed at the same time and read from the middle.
#define LZ4_STATIC_LINKING_ONLY
#include <lz4.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "codec/batch_ring.hh"
#include "codec/lz4_frame.hh"
#include "codec/makers.hh"

namespace seawall::codec {
namespace {

constexpr std::size_t block_bytes = 64 << 10;
constexpr std::size_t block_bound = block_bytes + block_bytes / 255 + 16;  // LZ4_compressBound
constexpr std::size_t encoded_bound = sizeof(std::uint32_t) + block_bound;
constexpr std::uint64_t parallel_from_bytes = 1 << 20;

/// One block with its size field into `out`, which has room for encoded_bound bytes. Returns the bytes written.
std::size_t encode_block(LZ4_stream_t& state, int acceleration, Bytes raw, std::byte* out) {
  const int fitted = LZ4_compress_fast_extState_fastReset(
      &state, reinterpret_cast<const char*>(raw.data()), reinterpret_cast<char*>(out + sizeof(std::uint32_t)),
      static_cast<int>(raw.size()), static_cast<int>(block_bound), acceleration);
  auto field = static_cast<std::uint32_t>(fitted);
  auto bytes = static_cast<std::size_t>(fitted);
  if (fitted <= 0 || bytes >= raw.size()) {
    bytes = raw.size();
    field = static_cast<std::uint32_t>(bytes) | lz4::stored_raw;
    std::memcpy(out + sizeof field, raw.data(), bytes);
  }
  std::memcpy(out, &field, sizeof field);
  return sizeof field + bytes;
}

/// The frame's bytes on their way to `next`, collected to pieces, and the index of its blocks.
class FrameWriter {
 public:
  FrameWriter(const ObjectContext& context, Sink& next)
      : next_(next), index_(context.block_index), stride_(context.index_stride), buffer_(piece_bytes + encoded_bound) {
    std::array<std::byte, 7> header{};
    store_le(header, 0, lz4::frame_magic);
    header[4] = static_cast<std::byte>(lz4::version_1 | lz4::independent_flag | lz4::content_checksum_flag);
    header[5] = std::byte{0x40};  // blocks of at most 64 KiB
    header[6] = static_cast<std::byte>(lz4::descriptor_checksum(Bytes(header).subspan(4, 2)));
    put(header);
  }

  /// Where the next block may be encoded: encoded_bound bytes.
  std::byte* room() noexcept { return buffer_.data() + used_; }

  /// The first `bytes` of room() are a block.
  void add_block(std::size_t raw_bytes, std::size_t bytes) {
    if (index_ != nullptr && raw_ % stride_ == 0) index_->push_back(written_ + used_);
    raw_ += raw_bytes;
    used_ += bytes;
    if (used_ >= piece_bytes) flush();
  }

  void end(std::uint32_t content_hash) {
    std::array<std::byte, 8> trailer{};
    store_le(trailer, 4, content_hash);
    put(trailer);
    flush();
  }

 private:
  void put(Bytes bytes) {
    std::memcpy(room(), bytes.data(), bytes.size());
    used_ += bytes.size();
  }

  void flush() {
    next_.write(buffer_.span().first(used_));
    written_ += used_;
    used_ = 0;
  }

  Sink& next_;
  std::vector<std::uint64_t>* index_;
  std::uint64_t stride_;
  AlignedBuffer buffer_;
  std::size_t used_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t raw_ = 0;
};

/// Everything on the calling thread.
class InlineEncoder final : public Filter {
 public:
  InlineEncoder(const ObjectContext& context, int acceleration, Sink& next)
      : acceleration_(acceleration), out_(context, next), raw_(space_bytes) {
    LZ4_initStream(&state_, sizeof state_);
  }

  MutableBytes space() override { return raw_.span().subspan(fill_); }

  void filled(std::size_t n) override {
    fill_ += n;
    for (; fill_ - begin_ >= block_bytes; begin_ += block_bytes) encode(raw_.span().subspan(begin_, block_bytes));
    if (begin_ == fill_) begin_ = fill_ = 0;
  }

  void write(Bytes data) override {
    while (!data.empty()) {
      const std::size_t pending = fill_ - begin_;
      const std::size_t n = std::min(block_bytes - pending, data.size());
      if (n == block_bytes) {
        encode(data.first(n));
      } else {
        std::memcpy(raw_.data() + fill_, data.data(), n);
        filled(n);
      }
      data = data.subspan(n);
    }
  }

  void finish() override {
    if (fill_ > begin_) encode(raw_.span().subspan(begin_, fill_ - begin_));
    out_.end(hash_.value());
  }

 private:
  void encode(Bytes raw) {
    const std::size_t bytes = encode_block(state_, acceleration_, raw, out_.room());
    hash_.update(raw);
    out_.add_block(raw.size(), bytes);
  }

  const int acceleration_;
  LZ4_stream_t state_;
  lz4::ContentHash hash_;
  FrameWriter out_;
  AlignedBuffer raw_;
  std::size_t begin_ = 0;  // of the bytes not yet encoded: a multiple of the block size
  std::size_t fill_ = 0;
};

/// A run of blocks that one thread compresses.
struct Batch {
  static constexpr std::size_t blocks = space_bytes / block_bytes;

  AlignedBuffer raw;
  std::size_t raw_bytes = 0;
  AlignedBuffer out;
  std::array<std::size_t, blocks> encoded{};  // bytes of each block in `out`, one after the other
  LZ4_stream_t state;
  int acceleration = 1;

  void prepare() {
    if (raw.size() > 0) return;
    raw = AlignedBuffer(space_bytes);
    out = AlignedBuffer(space_bytes + blocks * sizeof(std::uint32_t) + encoded_bound);
    LZ4_initStream(&state, sizeof state);
  }

  void encode() noexcept {
    Bytes rest = raw.span().first(raw_bytes);
    std::byte* to = out.data();
    for (std::size_t i = 0; !rest.empty(); ++i) {
      const Bytes block = rest.first(std::min(block_bytes, rest.size()));
      encoded[i] = encode_block(state, acceleration, block, to);
      to += encoded[i];
      rest = rest.subspan(block.size());
    }
  }
};

/// The calling thread fills the next batch and computes the content checksum while the pool compresses. About 0.5 MiB
/// for each thread and two more.
class ParallelEncoder final : public Filter {
 public:
  ParallelEncoder(const ObjectContext& context, int acceleration, Sink& next)
      : acceleration_(acceleration), out_(context, next), ring_(*context.pool) {}

  MutableBytes space() override {
    Batch& batch = ring_.filling();
    batch.prepare();
    return batch.raw.span().subspan(fill_);
  }

  void filled(std::size_t n) override {
    fill_ += n;
    if (fill_ == space_bytes) submit();
  }

  void finish() override {
    if (fill_ > 0) submit();
    ring_.collect_all([&](const Batch& batch) { take(batch); });
    out_.end(hash_.value());
  }

 private:
  void submit() {
    Batch& batch = ring_.filling();
    batch.raw_bytes = fill_;
    batch.acceleration = acceleration_;
    ring_.submit();
    fill_ = 0;
    hash_.update(batch.raw.span().first(batch.raw_bytes));
    ring_.collect([&](const Batch& done) { take(done); });
  }

  void take(const Batch& batch) {
    const std::byte* from = batch.out.data();
    for (std::size_t i = 0, raw = 0; raw < batch.raw_bytes; ++i, raw += block_bytes) {
      std::memcpy(out_.room(), from, batch.encoded[i]);
      out_.add_block(std::min(block_bytes, batch.raw_bytes - raw), batch.encoded[i]);
      from += batch.encoded[i];
    }
  }

  const int acceleration_;
  lz4::ContentHash hash_;
  FrameWriter out_;
  BatchRing<Batch> ring_;
  std::size_t fill_ = 0;
};

}  // namespace

std::unique_ptr<Filter> encode_lz4(const ObjectContext& context, int level, Sink& next) {
  check_index(context);
  // As in LZ4F: below zero is faster and weaker. There is nothing above: the high-compression mode is not built in.
  const int acceleration = level < 0 ? 1 - level : 1;
  if (context.pool != nullptr && context.size_hint.value_or(0) >= parallel_from_bytes) {
    return std::make_unique<ParallelEncoder>(context, acceleration, next);
  }
  return std::make_unique<InlineEncoder>(context, acceleration, next);
}

}  // namespace seawall::codec
