#include "codec/block_encoder.hh"

#include <algorithm>
#include <exception>
#include <numeric>

#include "codec/batch_ring.hh"
#include "codec/pieces.hh"

namespace seawall::codec {
namespace {

constexpr std::uint64_t parallel_from_bytes = 1 << 20;

/// Encoded blocks on their way to `next`, and the index of them.
class BlockWriter {
 public:
  BlockWriter(const ObjectContext& context, const BlockFormat& format, Sink& next)
      : index_(context.block_index),
        stride_(context.index_stride),
        trailer_(format.trailer),
        out_(next, format.encoded_bound) {
    out_.put(format.header);
  }

  MutableBytes room() const noexcept { return out_.room(); }

  /// The first `encoded` bytes of room() are a block of `raw` bytes.
  void placed(std::size_t raw, std::size_t encoded) {
    count(raw);
    out_.placed(encoded);
  }

  void put(std::size_t raw, Bytes encoded) {
    count(raw);
    out_.put(encoded);
  }

  bool is_empty() const noexcept { return raw_ == 0; }

  void end() {
    out_.put(bytes_of(trailer_(raw_)));
    out_.flush();
  }

 private:
  void count(std::size_t raw) {
    if (index_ != nullptr && raw > 0 && raw_ % stride_ == 0) index_->push_back(out_.total());
    raw_ += raw;
  }

  std::vector<std::uint64_t>* index_;
  std::uint64_t stride_;
  std::string (*trailer_)(std::uint64_t);
  PieceWriter out_;
  std::uint64_t raw_ = 0;
};

/// Everything on the calling thread.
class InlineEncoder final : public Filter {
 public:
  InlineEncoder(const ObjectContext& context, const BlockFormat& format, Sink& next)
      : block_bytes_(format.block_bytes),
        empty_object_has_one_block_(format.empty_object_has_one_block),
        coder_(format.make_coder()),
        out_(context, format, next) {}

  MutableBytes space() override {
    if (raw_.size() == 0) raw_ = AlignedBuffer(block_bytes_);
    return raw_.span().subspan(fill_, std::min(space_bytes, block_bytes_ - fill_));
  }

  void filled(std::size_t n) override {
    fill_ += n;
    if (fill_ < block_bytes_) return;
    encode(raw_.span());
    fill_ = 0;
  }

  void write(Bytes data) override {
    while (!data.empty()) {
      if (fill_ == 0 && data.size() >= block_bytes_) {
        encode(data.first(block_bytes_));
        data = data.subspan(block_bytes_);
        continue;
      }
      const MutableBytes room = space();
      const std::size_t n = std::min(room.size(), data.size());
      std::memcpy(room.data(), data.data(), n);
      filled(n);
      data = data.subspan(n);
    }
  }

  void finish() override {
    if (fill_ > 0 || (out_.is_empty() && empty_object_has_one_block_)) encode(raw_.span().first(fill_));
    out_.end();
  }

 private:
  void encode(Bytes raw) { out_.placed(raw.size(), coder_->encode(raw, out_.room())); }

  const std::size_t block_bytes_;
  const bool empty_object_has_one_block_;
  std::unique_ptr<BlockCoder> coder_;
  BlockWriter out_;
  AlignedBuffer raw_;  // for what does not come as whole blocks
  std::size_t fill_ = 0;
};

/// One block that a thread of the pool encodes.
struct Batch {
  std::unique_ptr<BlockCoder> coder;
  AlignedBuffer raw;
  std::size_t raw_bytes = 0;
  AlignedBuffer out;
  std::size_t encoded_bytes = 0;
  std::exception_ptr failure;

  void prepare(const BlockFormat& format) {
    if (coder) return;
    raw = AlignedBuffer(format.block_bytes);
    out = AlignedBuffer(format.encoded_bound);
    coder = format.make_coder();
  }

  void encode() noexcept {
    try {
      encoded_bytes = coder->encode(raw.span().first(raw_bytes), out.span());
    } catch (...) {
      failure = std::current_exception();
    }
  }
};

/// The calling thread fills the next block while the pool encodes those before it.
class ParallelEncoder final : public Filter {
 public:
  ParallelEncoder(const ObjectContext& context, BlockFormat format, Sink& next)
      : format_(std::move(format)), out_(context, format_, next), ring_(*context.pool) {}

  MutableBytes space() override {
    Batch& batch = ring_.filling();
    batch.prepare(format_);
    return batch.raw.span().subspan(fill_, std::min(space_bytes, format_.block_bytes - fill_));
  }

  void filled(std::size_t n) override {
    fill_ += n;
    if (fill_ == format_.block_bytes) submit();
  }

  void finish() override {
    if (fill_ > 0) submit();
    ring_.collect_all([&](const Batch& batch) { take(batch); });
    if (out_.is_empty() && format_.empty_object_has_one_block) {
      out_.placed(0, format_.make_coder()->encode({}, out_.room()));
    }
    out_.end();
  }

 private:
  void submit() {
    ring_.filling().raw_bytes = fill_;
    ring_.submit();
    fill_ = 0;
    ring_.collect([&](const Batch& batch) { take(batch); });
  }

  void take(const Batch& batch) {
    if (batch.failure) std::rethrow_exception(batch.failure);
    out_.put(batch.raw_bytes, batch.out.span().first(batch.encoded_bytes));
  }

  const BlockFormat format_;
  BlockWriter out_;
  BatchRing<Batch> ring_;
  std::size_t fill_ = 0;
};

}  // namespace

std::unique_ptr<Filter> encode_blocks(const ObjectContext& context, BlockFormat format, Sink& next) {
  check_index(context);
  if (context.block_index != nullptr) {
    format.block_bytes = std::gcd(format.block_bytes, static_cast<std::size_t>(context.index_stride));
  }
  if (context.pool != nullptr && context.size_hint.value_or(0) >= parallel_from_bytes) {
    return std::make_unique<ParallelEncoder>(context, std::move(format), next);
  }
  return std::make_unique<InlineEncoder>(context, format, next);
}

}  // namespace seawall::codec
