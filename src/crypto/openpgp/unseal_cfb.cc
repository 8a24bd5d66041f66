#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "crypto/openpgp/cfb.hh"
#include "crypto/openpgp/sealing.hh"
#include "crypto/openpgp/unseal.hh"

namespace seawall::crypto::openpgp {
namespace {

constexpr std::size_t unit = 64 << 10;  // decrypted before it is handed on
constexpr std::size_t prefix_bytes = aes_block + 2;
constexpr std::array<std::byte, 2> digest_header{std::byte{0xD3}, std::byte{0x14}};
constexpr std::size_t trailer_bytes = digest_header.size() + sha1_bytes;

void check_prefix(Bytes prefix) {
  // Two bytes are there twice. The session key itself has a check sum, so it is not the key that is wrong.
  if (prefix[aes_block - 2] != prefix[aes_block] || prefix[aes_block - 1] != prefix[aes_block + 1]) {
    malformed("the beginning of its encrypted data is damaged");
  }
}

/// Brings pieces to units of whole blocks, which are not copied when they lie in one piece.
class UnitUnsealer : public Unsealer {
 public:
  void write(Bytes data) final {
    while (!data.empty()) {
      if (collected_ == 0 && data.size() >= unit) {
        unseal(data.first(unit));
        data = data.subspan(unit);
        continue;
      }
      if (collector_.size() == 0) collector_ = AlignedBuffer(unit);
      const std::size_t n = std::min(unit - collected_, data.size());
      std::memcpy(collector_.data() + collected_, data.data(), n);
      data = data.subspan(n);
      collected_ += n;
      if (collected_ < unit) continue;
      collected_ = 0;
      unseal(collector_.span());
    }
  }

 protected:
  /// `unit` bytes; in finish() the rest, fewer.
  virtual void unseal(Bytes data) = 0;
  Bytes rest() const noexcept { return collector_.span().first(collected_); }

 private:
  AlignedBuffer collector_;
  std::size_t collected_ = 0;
};

class ProtectedUnsealer final : public UnitUnsealer {
 public:
  ProtectedUnsealer(const SessionKey& session, Sink& next)
      : opening_(make_opening(session.key.span())), next_(next), plain_(trailer_bytes + unit) {}

  void finish() override {
    const Bytes last = rest();
    if (!begun_ && last.size() < prefix_bytes + trailer_bytes) malformed("it was cut");
    const std::size_t whole = last.size() / Sealing::unit * Sealing::unit;
    std::byte* const out = plain_.data() + held_;
    opening_->run(last.first(whole), out);
    const Opening::Digest digest = opening_->finish(last.subspan(whole), out + whole);
    hand_on(last.size());
    const Bytes trailer = plain_.span().first(trailer_bytes);
    if (!std::ranges::equal(trailer.first(digest_header.size()), digest_header) ||
        !equal_secretly(trailer.last(sha1_bytes), digest)) {
      malformed("it was damaged or cut: its modification check does not match");
    }
  }

 private:
  void unseal(Bytes data) override {
    opening_->run(data, plain_.data() + held_);
    hand_on(data.size());
  }

  /// `bytes` were decrypted behind those held back: what may be the trailer.
  void hand_on(std::size_t bytes) {
    const std::size_t total = held_ + bytes;
    Bytes content = plain_.span().first(total - trailer_bytes);
    if (!begun_) {
      check_prefix(content.first(prefix_bytes));
      content = content.subspan(prefix_bytes);
      begun_ = true;
    }
    if (!content.empty()) next_.write(content);
    std::memmove(plain_.data(), plain_.data() + total - trailer_bytes, trailer_bytes);
    held_ = trailer_bytes;
  }

  const std::unique_ptr<Opening> opening_;
  Sink& next_;
  AlignedBuffer plain_;
  std::size_t held_ = 0;
  bool begun_ = false;
};

/// CFB and nothing else.
class BareUnsealer final : public UnitUnsealer {
 public:
  BareUnsealer(Bytes key, Bytes start, Sink& next)
      : cfb_(Cfb::Direction::decrypt, key, start), next_(next), plain_(unit) {}
  void finish() override { unseal(rest()); }

 private:
  void unseal(Bytes data) override {
    for (std::size_t at = 0; at < data.size(); at += stride) {
      cfb_.run(data.subspan(at, std::min(stride, data.size() - at)), plain_.data() + at);
    }
    if (!data.empty()) next_.write(plain_.span().first(data.size()));
  }

  Cfb cfb_;
  Sink& next_;
  AlignedBuffer plain_;
};

class UnprotectedUnsealer final : public Unsealer {
 public:
  UnprotectedUnsealer(const SessionKey& session, Sink& next)
      : key_(SecretBytes::copy_of(session.key.span())), next_(next) {}

  void write(Bytes data) override {
    const std::size_t n = std::min(prefix_bytes - collected_, data.size());
    std::copy_n(data.begin(), n, prefix_.begin() + static_cast<std::ptrdiff_t>(collected_));
    collected_ += n;
    if (collected_ < prefix_bytes) return;
    if (!content_) begin();
    content_->write(data.subspan(n));
  }

  void finish() override {
    if (!content_) malformed("it was cut");
    content_->finish();
  }

 private:
  void begin() {
    std::array<std::byte, prefix_bytes> plain{};
    Cfb(Cfb::Direction::decrypt, key_.span()).run(prefix_, plain.data());
    check_prefix(plain);
    // This older format starts CFB again behind the prefix.
    content_.emplace(key_.span(), Bytes(prefix_).subspan(2, aes_block), next_);
  }

  const SecretBytes key_;
  Sink& next_;
  std::array<std::byte, prefix_bytes> prefix_{};
  std::size_t collected_ = 0;
  std::optional<BareUnsealer> content_;
};

}  // namespace

std::unique_ptr<Unsealer> unseal_protected(const SessionKey& session, Sink& next) {
  return std::make_unique<ProtectedUnsealer>(session, next);
}

std::unique_ptr<Unsealer> unseal_unprotected(const SessionKey& session, Sink& next) {
  return std::make_unique<UnprotectedUnsealer>(session, next);
}

}  // namespace seawall::crypto::openpgp
