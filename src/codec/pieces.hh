#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/io.hh"
#include "codec/makers.hh"

namespace seawall::codec {

/// Collects what an encoder writes, so that the next stage is not called per block.
class PieceWriter {
 public:
  /// `reserve`: the least that room() must have.
  PieceWriter(Sink& next, std::size_t reserve) : next_(next), buffer_(piece_bytes + reserve) {}

  /// Where the next bytes may be placed: at least `reserve`.
  MutableBytes room() const noexcept { return buffer_.span().subspan(used_); }

  /// The first `n` bytes of room() are written.
  void placed(std::size_t n) {
    used_ += n;
    if (used_ >= piece_bytes) flush();
  }

  void put(Bytes data) {
    while (!data.empty()) {
      if (used_ == 0 && data.size() >= piece_bytes) {
        passed_ += data.size();
        next_.write(data);
        return;
      }
      const std::size_t n = std::min(buffer_.size() - used_, data.size());
      std::memcpy(buffer_.data() + used_, data.data(), n);
      placed(n);
      data = data.subspan(n);
    }
  }

  void flush() {
    if (used_ == 0) return;
    next_.write(buffer_.span().first(used_));
    passed_ += used_;
    used_ = 0;
  }

  /// Bytes written so far, collected ones included.
  std::uint64_t total() const noexcept { return passed_ + used_; }

 private:
  Sink& next_;
  AlignedBuffer buffer_;
  std::size_t used_ = 0;
  std::uint64_t passed_ = 0;
};

}  // namespace seawall::codec
