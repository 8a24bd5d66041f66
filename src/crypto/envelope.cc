#include "crypto/envelope.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hh"
#include "crypto/plain.hh"

namespace seawall::crypto {
namespace {

constexpr std::size_t space_bytes = 256 << 10;

class Opener final : public Filter {
 public:
  Opener(EnvelopeReader how, Sink& next) : how_(std::move(how)), next_(next) {}

  MutableBytes space() override {
    if (content_ != nullptr) return content_->space();
    if (input_.size() == 0) input_ = AlignedBuffer(space_bytes);
    return input_.span();
  }

  void filled(std::size_t n) override {
    if (content_ != nullptr) return content_->filled(n);
    write(input_.span().first(n));
  }

  void write(Bytes data) override {
    while (content_ == nullptr) {
      const std::size_t wanted = how_.header_bytes(bytes_of(header_));
      if (wanted == header_.size()) {
        content_ = how_.open(bytes_of(header_), next_);
        break;
      }
      if (data.empty()) return;
      const std::size_t n = std::min(wanted - header_.size(), data.size());
      header_.append(text_of(data.first(n)));
      data = data.subspan(n);
    }
    if (!data.empty()) content_->write(data);
  }

  void finish() override {
    if (content_ != nullptr) return content_->finish();
    refuse_unencrypted(how_.name, how_.setting, bytes_of(header_));
    throw Error(Errc::corrupt, fmt::format("{}: encrypted object was cut: it ends in its header", how_.name));
  }

 private:
  const EnvelopeReader how_;
  Sink& next_;
  AlignedBuffer input_;  // space() while the header is read
  std::string header_;
  std::unique_ptr<Filter> content_;
};

}  // namespace

std::unique_ptr<Filter> read_envelope(EnvelopeReader how, Sink& next) {
  return std::make_unique<Opener>(std::move(how), next);
}

}  // namespace seawall::crypto
