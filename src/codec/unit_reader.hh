#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/bytes.hh"

namespace seawall::codec {

/// Cuts an input that comes in any pieces into units of known size: headers, blocks, checksums.
class UnitReader {
 public:
  /// Says how large the unit after this one is; at least 1 byte.
  void expect(std::size_t bytes) noexcept { need_ = bytes; }

  /// The next unit: in `data` itself if it lies there whole, else collected. Empty until it is complete. What was used
  /// is cut off `data`.
  Bytes take(Bytes& data) {
    if (collected_ == 0 && data.size() >= need_) {
      const Bytes unit = data.first(need_);
      data = data.subspan(need_);
      offset_ += need_;
      return unit;
    }
    if (collected_ == 0 && collector_.size() < need_) collector_ = AlignedBuffer(need_);
    const std::size_t n = std::min(need_ - collected_, data.size());
    std::memcpy(collector_.data() + collected_, data.data(), n);
    collected_ += n;
    offset_ += n;
    data = data.subspan(n);
    if (collected_ < need_) return {};
    collected_ = 0;
    return collector_.span().first(need_);
  }

  /// Passes over bytes of the unit without collecting them; true when all of it has passed.
  bool skip(Bytes& data) {
    const std::size_t n = std::min(need_, data.size());
    data = data.subspan(n);
    offset_ += n;
    need_ -= n;
    return need_ == 0;
  }

  bool inside_unit() const noexcept { return collected_ > 0; }
  std::uint64_t offset() const noexcept { return offset_; }  ///< bytes taken so far

 private:
  AlignedBuffer collector_;
  std::size_t need_ = 0;
  std::size_t collected_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace seawall::codec
