#include "storage/http/body.hh"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.hh"

namespace seawall::storage::http {
namespace {

/// One recv() of libcurl's fits in twice; a libcurl that goes on reading in the same step is held back.
constexpr std::size_t most_spilt = std::size_t{256} << 10;

}  // namespace

bool WholeBody::take(const Transfer& transfer, Bytes piece) {
  const std::size_t announced = text_.empty() ? static_cast<std::size_t>(transfer.announced().value_or(0)) : 0;
  if (std::max(announced, text_.size() + piece.size()) > limit_) {
    throw Error(Errc::corrupt,
                fmt::format("{}: the answer is larger than the {} bytes that are read of it", transfer.peer(), limit_));
  }
  if (announced > 0) text_.reserve(announced);
  text_.append(text_of(piece));
  return true;
}

bool StreamedBody::take(const Transfer& /*transfer*/, Bytes piece) {
  const std::size_t bytes = std::min(piece.size(), room());
  if (bytes < piece.size() && spill_.size() >= most_spilt) return false;
  if (bytes > 0) std::memcpy(into_.data() + placed_, piece.data(), bytes);
  placed_ += bytes;
  spill_.insert(spill_.end(), piece.begin() + static_cast<std::ptrdiff_t>(bytes), piece.end());
  return true;
}

void StreamedBody::forget() {
  spill_.clear();
  spill_start_ = 0;
}

void StreamedBody::aim(MutableBytes into) noexcept {
  into_ = into;
  placed_ = 0;
}

std::size_t StreamedBody::take_spilt(MutableBytes into) noexcept {
  const std::size_t bytes = std::min(into.size(), spill_.size() - spill_start_);
  if (bytes == 0) return 0;
  std::memcpy(into.data(), spill_.data() + spill_start_, bytes);
  spill_start_ += bytes;
  if (spill_start_ == spill_.size()) forget();
  return bytes;
}

StreamedDownload::StreamedDownload(LanePool& pool, const Request& request, std::stop_token stop)
    : borrowed_(pool),
      body_(borrowed_.lane().spill()),
      transfer_(pool, borrowed_.lane(), request, std::move(stop), body_) {
  while (!transfer_.has_head() && transfer_.step(true)) {
  }
  answer_ = std::move(transfer_.answer());
}

std::size_t StreamedDownload::read(MutableBytes into) {
  if (const std::size_t spilt = body_.take_spilt(into); spilt > 0) return spilt;
  body_.aim(into);
  std::size_t last = 0;
  // Never waits for more than the first bytes. Goes on while what comes next, if it is like what came last, has room:
  // over TLS a step brings one record of 16 KiB.
  while (body_.placed() == 0 || (last > 0 && body_.room() >= last)) {
    const std::size_t before = body_.placed();
    if (!transfer_.step(before == 0)) break;
    last = body_.placed() - before;
  }
  const std::size_t placed = body_.placed();
  body_.aim({});
  return placed;
}

}  // namespace seawall::storage::http
