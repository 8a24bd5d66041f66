#include "storage/s3/object_source.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/crc32c.hh"
#include "base/error.hh"
#include "storage/s3/checksums.hh"
#include "storage/s3/http_time.hh"

namespace seawall::storage::s3 {
namespace {

class ObjectSource final : public Source {
 public:
  ObjectSource(std::unique_ptr<http::Download> download, std::uint64_t bytes, std::string checksum, std::string label,
               std::stop_token stop)
      : download_(std::move(download)),
        rest_(bytes),
        checksum_(std::move(checksum)),
        label_(std::move(label)),
        stop_(std::move(stop)) {}

  std::size_t read(MutableBytes into) override {
    check_stop(stop_, "read", label_);
    if (!download_) return 0;
    const std::size_t n = some(into);
    if (n > rest_) throw Error(Errc::corrupt, fmt::format("{}: more bytes came than were asked for", label_));
    rest_ -= n;
    if (!checksum_.empty()) sum_ = crc32c(into.first(n), sum_);
    if (n == 0) end();
    return n;
  }

 private:
  std::size_t some(MutableBytes into) {
    try {
      return download_->read(into);
    } catch (Error& error) {
      // A body that ends early is a connection that broke: what is missing can be had.
      if (error.code() == Errc::corrupt) throw Error(Errc::network, fmt::format("{}: {}", label_, error.what()));
      throw error.during(label_);
    }
  }

  void end() {
    if (rest_ > 0) {
      throw Error(Errc::network, fmt::format("{}: the connection ended {} bytes too early", label_, rest_));
    }
    // Its connection can be used again.
    download_.reset();
    if (!checksum_.empty() && crc32c_text(sum_) != checksum_) {
      throw Error(Errc::corrupt, fmt::format("{}: the bytes have the CRC-32C {}, the store has {} for them", label_,
                                             crc32c_text(sum_), checksum_));
    }
  }

  std::unique_ptr<http::Download> download_;
  std::uint64_t rest_;
  std::string checksum_;
  std::string label_;
  std::stop_token stop_;
  std::uint32_t sum_ = 0;
};

}  // namespace

std::unique_ptr<Source> make_object_source(std::unique_ptr<http::Download> download, Extent extent, bool partial,
                                           std::string label, std::stop_token stop) {
  const http::Answer& answer = download->answer();
  if (partial) {
    const auto range = parse_content_range(answer.header("content-range"));
    if (answer.status != 206 || !range || range->first != extent.offset ||
        range->last - range->first + 1 != extent.length) {
      throw Error(Errc::corrupt,
                  fmt::format("{}: {} bytes from {} on were asked for, the answer is {} '{}'", label, extent.length,
                              extent.offset, answer.status, answer.header("content-range")));
    }
  } else if (answer.status != 200) {
    throw Error(Errc::corrupt,
                fmt::format("{}: the whole object was asked for, the answer is {}", label, answer.status));
  }
  // "…-3" is the sum of three parts' sums.
  std::string checksum(answer.header("x-amz-checksum-crc32c"));
  if (partial || checksum.find('-') != std::string::npos) checksum.clear();
  return std::make_unique<ObjectSource>(std::move(download), extent.length, std::move(checksum), std::move(label),
                                        std::move(stop));
}

}  // namespace seawall::storage::s3
