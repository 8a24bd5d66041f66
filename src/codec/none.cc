#include <algorithm>

#include "codec/makers.hh"

namespace seawall::codec {
namespace {

/// Collects small writes into pieces; large ones go by without a copy.
class NoneEncoder final : public Filter {
 public:
  NoneEncoder(const ObjectContext& context, Sink& next)
      : next_(next), index_(context.block_index), stride_(context.index_stride), buffer_(space_bytes) {}

  MutableBytes space() override { return buffer_.span().subspan(used_); }

  void filled(std::size_t n) override {
    count(n);
    used_ += n;
    if (used_ == buffer_.size()) flush();
  }

  void write(Bytes data) override {
    while (!data.empty()) {
      if (used_ == 0 && data.size() >= piece_bytes) {
        count(data.size());
        next_.write(data);
        return;
      }
      const std::size_t n = std::min(buffer_.size() - used_, data.size());
      std::copy_n(data.begin(), n, buffer_.data() + used_);
      filled(n);
      data = data.subspan(n);
    }
  }

  void finish() override {
    if (used_ > 0) flush();
  }

 private:
  void flush() {
    next_.write(buffer_.span().first(used_));
    used_ = 0;
  }

  void count(std::size_t n) {
    total_ += n;
    if (index_ == nullptr) return;
    for (; next_mark_ < total_; next_mark_ += stride_) index_->push_back(next_mark_);
  }

  Sink& next_;
  std::vector<std::uint64_t>* index_;
  std::uint64_t stride_;
  AlignedBuffer buffer_;
  std::size_t used_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t next_mark_ = 0;
};

/// There is no frame that could be cut: whether an object may be empty is judged by who knows what it is.
class NoneDecoder final : public Filter {
 public:
  explicit NoneDecoder(Sink& next) : next_(next) {}

  MutableBytes space() override {
    if (buffer_.size() == 0) buffer_ = AlignedBuffer(space_bytes);
    return buffer_.span();
  }

  void filled(std::size_t n) override {
    if (n > 0) next_.write(buffer_.span().first(n));
  }

  void write(Bytes data) override {
    if (!data.empty()) next_.write(data);
  }

  void finish() override {}

 private:
  Sink& next_;
  AlignedBuffer buffer_;
};

}  // namespace

std::unique_ptr<Filter> encode_none(const ObjectContext& context, int, Sink& next) {
  check_index(context);
  return std::make_unique<NoneEncoder>(context, next);
}

std::unique_ptr<Filter> decode_none(const ObjectContext&, Sink& next) { return std::make_unique<NoneDecoder>(next); }

}  // namespace seawall::codec
