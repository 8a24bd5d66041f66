#include "crypto/openpgp/sealing.hh"

#include <algorithm>
#include <cstring>

#include "crypto/openpgp/cfb.hh"

namespace seawall::crypto::openpgp {
namespace {

class Sha1 {
 public:
  Sha1() : context_(EVP_MD_CTX_new()) {
    ossl::check(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha1(), nullptr) == 1, "compute SHA-1");
  }
  void update(Bytes data) {
    ossl::check(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1, "compute SHA-1");
  }
  void finish(std::byte* digest) {
    ossl::check(EVP_DigestFinal_ex(context_.get(), ossl::raw(digest), nullptr) == 1, "compute SHA-1");
  }

 private:
  ossl::DigestContext context_;
};

class PortableSealing final : public Sealing {
 public:
  explicit PortableSealing(Bytes key) : cfb_(Cfb::Direction::encrypt, key) {}

  void run(Bytes in, std::byte* out) override {
    for (std::size_t at = 0; at < in.size(); at += stride) {
      const Bytes part = in.subspan(at, std::min(stride, in.size() - at));
      sha1_.update(part);
      cfb_.run(part, out + at);
    }
  }

  void finish(MutableBytes data, std::byte* out) override {
    sha1_.update(data.first(data.size() - sha1_bytes));
    sha1_.finish(data.data() + data.size() - sha1_bytes);
    for (std::size_t at = 0; at < data.size(); at += stride) {
      cfb_.run(data.subspan(at, std::min(stride, data.size() - at)), out + at);
    }
  }

 private:
  Cfb cfb_;
  Sha1 sha1_;
};

class PortableOpening final : public Opening {
 public:
  explicit PortableOpening(Bytes key) : cfb_(Cfb::Direction::decrypt, key) {}

  void run(Bytes in, std::byte* out) override {
    for (std::size_t at = 0; at < in.size(); at += stride) {
      const std::size_t n = std::min(stride, in.size() - at);
      cfb_.run(in.subspan(at, n), out + at);
      sha1_.update(Bytes(late_).first(late_bytes_));
      sha1_.update({out + at, n - late_.size()});
      std::memcpy(late_.data(), out + at + n - late_.size(), late_.size());
      late_bytes_ = late_.size();
    }
  }

  Digest finish(Bytes in, std::byte* out) override {
    cfb_.run(in, out);
    std::array<std::byte, 2 * Sealing::unit> rest{};
    std::memcpy(rest.data(), late_.data(), late_bytes_);
    std::copy_n(out, in.size(), rest.data() + late_bytes_);
    sha1_.update(Bytes(rest).first(late_bytes_ + in.size() - sha1_bytes));
    Digest digest;
    sha1_.finish(digest.data());
    return digest;
  }

 private:
  Cfb cfb_;
  Sha1 sha1_;
  std::array<std::byte, Sealing::unit> late_{};  // the last unit, not hashed yet
  std::size_t late_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Sealing> make_portable_sealing(Bytes aes_key) { return std::make_unique<PortableSealing>(aes_key); }

std::unique_ptr<Opening> make_portable_opening(Bytes aes_key) { return std::make_unique<PortableOpening>(aes_key); }

std::unique_ptr<Sealing> make_sealing(Bytes aes_key) {
  auto fused = make_fused_sealing(aes_key);
  return fused != nullptr ? std::move(fused) : make_portable_sealing(aes_key);
}

std::unique_ptr<Opening> make_opening(Bytes aes_key) {
  auto fused = make_fused_opening(aes_key);
  return fused != nullptr ? std::move(fused) : make_portable_opening(aes_key);
}

}  // namespace seawall::crypto::openpgp
