// GnuPG's AEAD packet (draft-koch-librepgp): chunks that are sealed one by one, and a last tag over their number.
#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "crypto/openpgp/packet.hh"
#include "crypto/openpgp/public_key.hh"
#include "crypto/openpgp/unseal.hh"

namespace seawall::crypto::openpgp {
namespace {

constexpr std::size_t tag_bytes = 16;
constexpr std::size_t nonce_bytes = 15;
constexpr std::size_t trailer_bytes = 2 * tag_bytes;  // of the last chunk, and of the whole
constexpr std::size_t unit = 64 << 10;
constexpr unsigned mode_ocb = 2;
constexpr unsigned largest_chunk_code = 56;  // chunks of 2^62 bytes

const EVP_CIPHER* cipher_of(std::size_t key_bytes) {
  return key_bytes == 16 ? EVP_aes_128_ocb() : key_bytes == 24 ? EVP_aes_192_ocb() : EVP_aes_256_ocb();
}

class OcbUnsealer final : public Unsealer {
 public:
  OcbUnsealer(const SessionKey& session, Bytes header, Sink& next)
      : next_(next),
        key_(SecretBytes::copy_of(session.key.span())),
        context_(EVP_CIPHER_CTX_new()),
        chunk_bytes_(std::uint64_t{1} << (std::to_integer<unsigned>(header[3]) + 6)),
        waiting_(unit + trailer_bytes),
        plain_(unit + trailer_bytes + tag_bytes) {
    ossl::check(context_ != nullptr, "begin to decrypt");
    associated_[0] = static_cast<std::byte>(0xC0U | static_cast<unsigned>(Tag::aead));
    std::ranges::copy(header.first(4), associated_.begin() + 1);
    std::ranges::copy(header.subspan(4, nonce_bytes), start_.begin());
    left_ = chunk_bytes_;
    begin_chunk(0);
  }

  void write(Bytes data) override {
    while (!data.empty()) {
      const std::size_t n = std::min(waiting_.size() - waiting_bytes_, data.size());
      std::memcpy(waiting_.data() + waiting_bytes_, data.data(), n);
      waiting_bytes_ += n;
      data = data.subspan(n);
      if (waiting_bytes_ == waiting_.size()) drain();
    }
  }

  void finish() override {
    drain();
    if (waiting_bytes_ < trailer_bytes) malformed("it was cut");
    end_chunk(waiting_.span().first(tag_bytes));
    const std::uint64_t last = index_ + 1;
    begin_chunk(last);
    std::array<std::byte, 8> total{};
    for (std::size_t i = 0; i < total.size(); ++i) total.at(i) = static_cast<std::byte>(total_ >> (56 - 8 * i) & 0xFF);
    associate(total);
    end_chunk(waiting_.span().subspan(tag_bytes, tag_bytes));
  }

 private:
  /// Decrypts what is waiting, except for what may be the end.
  void drain() {
    Bytes data = waiting_.span().first(std::max(waiting_bytes_, trailer_bytes) - trailer_bytes);
    while (!data.empty()) {
      if (left_ == 0) {
        if (data.size() < tag_bytes) break;
        end_chunk(data.first(tag_bytes));
        data = data.subspan(tag_bytes);
        left_ = chunk_bytes_;
        begin_chunk(index_ + 1);
        continue;
      }
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, data.size()));
      decrypt(data.first(n));
      data = data.subspan(n);
    }
    const auto used = static_cast<std::size_t>(data.data() - waiting_.data());
    waiting_bytes_ -= used;
    std::memmove(waiting_.data(), waiting_.data() + used, waiting_bytes_);
  }

  void begin_chunk(std::uint64_t index) {
    index_ = index;
    std::array<std::byte, nonce_bytes> nonce = start_;
    std::array<std::byte, 8> number{};
    for (std::size_t i = 0; i < number.size(); ++i) {
      number.at(i) = static_cast<std::byte>(index >> (56 - 8 * i) & 0xFF);
      nonce.at(nonce_bytes - 8 + i) ^= number.at(i);
    }
    ossl::check(
        EVP_DecryptInit_ex(context_.get(), cipher_of(key_.size()), nullptr, nullptr, nullptr) == 1 &&
            EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_IVLEN, nonce_bytes, nullptr) == 1 &&
            EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, nullptr) == 1 &&
            EVP_DecryptInit_ex(context_.get(), nullptr, nullptr, ossl::raw(key_.data()), ossl::raw(nonce.data())) == 1,
        "use AES-OCB");
    associate(associated_);
    associate(number);
  }

  void associate(Bytes data) {
    int length = 0;
    ossl::check(
        EVP_DecryptUpdate(context_.get(), nullptr, &length, ossl::raw(data.data()), static_cast<int>(data.size())) == 1,
        "use AES-OCB");
  }

  void decrypt(Bytes data) {
    int length = 0;
    ossl::check(EVP_DecryptUpdate(context_.get(), ossl::raw(plain_.data()), &length, ossl::raw(data.data()),
                                  static_cast<int>(data.size())) == 1,
                "decrypt with AES-OCB");
    left_ -= data.size();
    hand_on(length);
  }

  void end_chunk(Bytes tag) {
    std::array<std::byte, tag_bytes> expected{};
    std::ranges::copy(tag, expected.begin());
    int length = 0;
    ossl::check(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, expected.data()) == 1,
                "use AES-OCB");
    if (EVP_DecryptFinal_ex(context_.get(), ossl::raw(plain_.data()), &length) != 1) {
      ERR_clear_error();
      malformed("it was damaged or cut: a chunk does not match its tag");
    }
    hand_on(length);
  }

  void hand_on(int length) {
    const auto n = static_cast<std::size_t>(length);
    total_ += n;
    if (n > 0) next_.write(plain_.span().first(n));
  }

  Sink& next_;
  const SecretBytes key_;
  ossl::CipherContext context_;
  const std::uint64_t chunk_bytes_;
  std::array<std::byte, 5> associated_{};  // the packet's tag, version, cipher, mode and chunk size
  std::array<std::byte, nonce_bytes> start_{};
  std::uint64_t index_ = 0;
  std::uint64_t left_ = 0;   // encrypted bytes of this chunk
  std::uint64_t total_ = 0;  // plain bytes
  AlignedBuffer waiting_;
  std::size_t waiting_bytes_ = 0;
  AlignedBuffer plain_;
};

}  // namespace

std::unique_ptr<Unsealer> unseal_ocb(const SessionKey& session, Bytes header, Sink& next) {
  Reader from(header);
  const unsigned version = from.byte(), cipher = from.byte(), mode = from.byte(), chunk = from.byte();
  if (version != 1) malformed(fmt::format("its AEAD packet has the unknown version {}", version));
  if (mode != mode_ocb) refuse(Errc::unsupported, fmt::format("its AEAD mode {} is not supported, only OCB", mode));
  if (chunk > largest_chunk_code) malformed("its chunks have an impossible size");
  if (cipher != session.cipher) malformed("its cipher is not that of its session key");
  return std::make_unique<OcbUnsealer>(session, header, next);
}

}  // namespace seawall::crypto::openpgp
