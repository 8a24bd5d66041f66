// Read only: WAL-G once wrote gzip, and reads it still.
#define ZLIB_CONST
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

#include "codec/makers.hh"
#include "codec/stream_decoder.hh"

namespace seawall::codec {
namespace {

constexpr int gzip_window_bits = 15 + 16;  // the largest window; only the gzip wrapper

class GzipDecoder final : public StreamDecoder {
 public:
  GzipDecoder(const ObjectContext& context, Sink& next) : StreamDecoder(context, "gzip", next) {
    if (inflateInit2(&stream_, gzip_window_bits) != Z_OK) throw std::bad_alloc();
    if (context.digest_is_checked) inflateValidate(&stream_, 0);
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;

 private:
  Progress decode(Bytes in, MutableBytes out) override {
    if (between_members_) {
      if (in.empty()) return {};
      // Members one after the other are the format; anything else fails as a bad header.
      inflateReset(&stream_);
      between_members_ = false;
    }
    const auto in_bytes = static_cast<uInt>(std::min<std::size_t>(in.size(), std::numeric_limits<uInt>::max()));
    const auto out_bytes = static_cast<uInt>(out.size());  // at most a piece
    stream_.next_in = reinterpret_cast<const Bytef*>(in.data());
    stream_.avail_in = in_bytes;
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = out_bytes;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_STREAM_END) {
      between_members_ = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      fail(fmt::format("is damaged ({})", stream_.msg != nullptr ? stream_.msg : "no reason given"));
    }
    return {in_bytes - stream_.avail_in, out_bytes - stream_.avail_out};
  }

  bool is_complete() override { return between_members_; }

  z_stream stream_{};
  bool between_members_ = false;
};

}  // namespace

std::unique_ptr<Filter> decode_gzip(const ObjectContext& context, Sink& next) {
  return std::make_unique<GzipDecoder>(context, next);
}

}  // namespace seawall::codec
