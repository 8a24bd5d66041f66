#include "crypto/dare.hh"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.hh"
#include "crypto/ossl.hh"

namespace seawall::crypto {
namespace {

constexpr std::size_t header_bytes = 16;
constexpr std::size_t tag_bytes = 16;
constexpr std::size_t payload_bytes = 64 << 10;
constexpr std::size_t package_bytes = header_bytes + payload_bytes + tag_bytes;
constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t nonce_offset = 4;
constexpr std::size_t batch = 4;  // packages handed over together
constexpr std::byte version_1{0x10};
constexpr std::byte version_2{0x20};
constexpr std::byte last_mark{0x80};

using Nonce = std::array<std::byte, nonce_bytes>;

/// The nonce of a package's cipher: that of its header with the number of the package in the last four bytes.
Nonce numbered(Bytes header, std::uint32_t number) {
  Nonce nonce;
  std::ranges::copy(header.subspan(nonce_offset, nonce_bytes), nonce.begin());
  store_le(nonce, 8, load_le<std::uint32_t>(nonce, 8) ^ number);
  return nonce;
}

/// One AEAD cipher under one key; each package has a nonce of its own.
class Aead {
 public:
  Aead(const EVP_CIPHER* cipher, Bytes key, bool encrypt) : context_(EVP_CIPHER_CTX_new()) {
    ossl::check(context_ != nullptr && EVP_CipherInit_ex(context_.get(), cipher, nullptr, ossl::raw(key.data()),
                                                         nullptr, encrypt ? 1 : 0) == 1,
                "use an AEAD cipher");
  }

  void begin(const Nonce& nonce, Bytes associated) {
    int length = 0;
    ossl::check(EVP_CipherInit_ex(context_.get(), nullptr, nullptr, nullptr, ossl::raw(nonce.data()), -1) == 1 &&
                    EVP_CipherUpdate(context_.get(), nullptr, &length, ossl::raw(associated.data()),
                                     static_cast<int>(associated.size())) == 1,
                "use an AEAD cipher");
  }

  void update(Bytes in, std::byte* out) {
    int length = 0;
    ossl::check(EVP_CipherUpdate(context_.get(), ossl::raw(out), &length, ossl::raw(in.data()),
                                 static_cast<int>(in.size())) == 1 &&
                    static_cast<std::size_t>(length) == in.size(),
                "use an AEAD cipher");
  }

  void finish_with_tag(std::byte* tag) {
    int length = 0;
    std::array<unsigned char, tag_bytes> none{};
    ossl::check(EVP_CipherFinal_ex(context_.get(), none.data(), &length) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, tag_bytes, tag) == 1,
                "use an AEAD cipher");
  }

  bool matches_tag(Bytes tag) {
    std::array<std::byte, tag_bytes> expected{};
    std::ranges::copy(tag, expected.begin());
    std::array<unsigned char, tag_bytes> none{};
    int length = 0;
    ossl::check(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, expected.data()) == 1,
                "use an AEAD cipher");
    const bool good = EVP_CipherFinal_ex(context_.get(), none.data(), &length) == 1;
    ERR_clear_error();
    return good;
  }

 private:
  ossl::CipherContext context_;
};

class Sealer final : public Filter {
 public:
  Sealer(SecretBytes key, Sink& next)
      : next_(next),
        aead_(EVP_aes_256_gcm(), key.span(), true),
        input_(batch * payload_bytes),
        output_(batch * package_bytes) {
    ossl::fill_random(MutableBytes(header_).subspan(nonce_offset, nonce_bytes));
    header_[0] = version_2;
    header_[nonce_offset] &= ~last_mark;
  }

  MutableBytes space() override {
    // Only when more is coming is a full buffer sealed: the last package must be marked.
    if (filled_ == input_.size()) drain();
    return input_.span().subspan(filled_);
  }
  void filled(std::size_t n) override { filled_ += n; }

  void finish() override {
    if (filled_ == 0) return;
    const std::size_t last = (filled_ - 1) / payload_bytes * payload_bytes;
    for (std::size_t at = 0; at < last; at += payload_bytes) seal(input_.span().subspan(at, payload_bytes));
    header_[nonce_offset] |= last_mark;
    seal(input_.span().subspan(last, filled_ - last));
    flush();
  }

 private:
  void drain() {
    for (std::size_t at = 0; at < filled_; at += payload_bytes) seal(input_.span().subspan(at, payload_bytes));
    filled_ = 0;
    flush();
  }

  void seal(Bytes payload) {
    store_le(header_, 2, static_cast<std::uint16_t>(payload.size() - 1));
    std::byte* const out = output_.data() + written_;
    std::ranges::copy(header_, out);
    aead_.begin(numbered(header_, number_++), Bytes(header_).first(nonce_offset));
    aead_.update(payload, out + header_bytes);
    aead_.finish_with_tag(out + header_bytes + payload.size());
    written_ += header_bytes + payload.size() + tag_bytes;
  }

  void flush() {
    next_.write(output_.span().first(written_));
    written_ = 0;
  }

  Sink& next_;
  Aead aead_;
  std::array<std::byte, header_bytes> header_{};
  std::uint32_t number_ = 0;
  AlignedBuffer input_;
  std::size_t filled_ = 0;
  AlignedBuffer output_;
  std::size_t written_ = 0;
};

class Opener final : public Filter {
 public:
  Opener(SecretBytes key, DareOptions options, Sink& next)
      : key_(std::move(key)), options_(std::move(options)), next_(next), collector_(package_bytes) {}

  MutableBytes space() override {
    if (input_.size() == 0) input_ = AlignedBuffer(batch * package_bytes);
    return input_.span();
  }
  void filled(std::size_t n) override { write(input_.span().first(n)); }

  void write(Bytes data) override {
    while (!data.empty()) {
      if (ended_) fail("goes on after its last package");
      if (collected_ == 0 && payload_ == 0 && data.size() >= header_bytes) read_header(data.first(header_bytes));
      const std::size_t wanted = package_size();
      if (collected_ == 0 && payload_ != 0 && data.size() >= wanted) {
        open(data.first(wanted));
        data = data.subspan(wanted);
        continue;
      }
      const std::size_t n = std::min(wanted - collected_, data.size());
      std::memcpy(collector_.data() + collected_, data.data(), n);
      collected_ += n;
      data = data.subspan(n);
      if (collected_ < wanted) continue;
      if (payload_ == 0) {
        read_header(collector_.span().first(header_bytes));
      } else {
        open(collector_.span().first(wanted));
      }
    }
    flush();
  }

  void finish() override {
    // Version 1.0 does not mark its last package, and an empty object has none.
    const bool whole = collected_ == 0 && payload_ == 0 && (ended_ || number_ == 0 || old_);
    if (!whole) fail("was cut: its last package is missing");
  }

 private:
  [[noreturn]] void fail(std::string_view cause) const {
    throw Error(Errc::corrupt, fmt::format("{}: encrypted object {} (package {})", options_.name, cause, number_));
  }

  /// Of the package that is coming; the header's while that is not known.
  std::size_t package_size() const { return payload_ == 0 ? header_bytes : header_bytes + payload_ + tag_bytes; }

  void read_header(Bytes header);
  void open(Bytes package);
  void flush();

  const SecretBytes key_;
  const DareOptions options_;
  Sink& next_;
  std::unique_ptr<Aead> aead_;
  std::array<std::byte, header_bytes> first_{};  // the first package's header, which the others must resemble
  std::uint32_t number_ = 0;
  std::size_t payload_ = 0;  // of the package that is coming; 0: its header is not read
  bool old_ = false;         // version 1.0
  bool short_ = false;       // version 1.0: the package before was not full, so it was the last one
  bool ended_ = false;
  AlignedBuffer input_;      // space()
  AlignedBuffer collector_;  // a package that came in pieces
  std::size_t collected_ = 0;
  AlignedBuffer output_;
  std::size_t opened_ = 0;
};

void Opener::read_header(Bytes header) {
  if (number_ == 0) {
    std::ranges::copy(header, first_.begin());
    old_ = header[0] == version_1;
    if (header[0] != version_2 && (header[0] != version_1 || options_.only_aes)) fail("is not in the format DARE");
    const bool chacha = header[1] == std::byte{1};
    if ((!chacha && header[1] != std::byte{0}) || (chacha && options_.only_aes)) fail("has an unknown cipher");
    aead_ = std::make_unique<Aead>(chacha ? EVP_chacha20_poly1305() : EVP_aes_256_gcm(), key_.span(), false);
  }
  if (header[0] != first_[0] || header[1] != first_[1]) fail("has a package of another kind");
  payload_ = std::size_t{load_le<std::uint16_t>(header, 2)} + 1;
  if (old_) {
    if (short_) fail("goes on after its last package");
    if (load_le<std::uint32_t>(header, nonce_offset) != number_) fail("has packages out of order");
    short_ = payload_ < payload_bytes;
    return;
  }
  const bool last = (header[nonce_offset] & last_mark) != std::byte{0};
  if (!last && payload_ != payload_bytes) fail("has a package that is too short");
  const bool same_nonce = ((header[nonce_offset] ^ first_[nonce_offset]) & ~last_mark) == std::byte{0} &&
                          std::ranges::equal(header.subspan(nonce_offset + 1), Bytes(first_).subspan(nonce_offset + 1));
  if (!same_nonce) fail("has a package of another object");
}

void Opener::open(Bytes package) {
  if (output_.size() == 0) output_ = AlignedBuffer(batch * payload_bytes);
  if (output_.size() - opened_ < payload_) flush();
  const Bytes header = package.first(header_bytes);
  Nonce nonce = numbered(header, number_);
  if (old_) std::ranges::copy(header.subspan(nonce_offset, nonce_bytes), nonce.begin());
  aead_->begin(nonce, header.first(nonce_offset));
  aead_->update(package.subspan(header_bytes, payload_), output_.data() + opened_);
  if (!aead_->matches_tag(package.last(tag_bytes))) fail("has a damaged package");
  opened_ += payload_;
  ended_ = !old_ && (header[nonce_offset] & last_mark) != std::byte{0};
  ++number_;
  payload_ = 0;
  collected_ = 0;
}

void Opener::flush() {
  if (opened_ == 0) return;
  next_.write(output_.span().first(opened_));
  opened_ = 0;
}

}  // namespace

std::unique_ptr<Filter> seal_dare(SecretBytes key, Sink& next) {
  return std::make_unique<Sealer>(std::move(key), next);
}

std::unique_ptr<Filter> open_dare(SecretBytes key, DareOptions options, Sink& next) {
  return std::make_unique<Opener>(std::move(key), std::move(options), next);
}

}  // namespace seawall::crypto
