// libsodium's secretstream as WAL-G uses it: a header, chunks of 8192 bytes, and a last one that is marked and shorter.
#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/error.hh"
#include "crypto/crypto.hh"
#include "crypto/lazy.hh"
#include "crypto/plain.hh"

namespace seawall::crypto {
namespace {

constexpr std::size_t chunk_bytes = 8192;
constexpr std::size_t overhead = crypto_secretstream_xchacha20poly1305_ABYTES;
constexpr std::size_t sealed_bytes = chunk_bytes + overhead;
constexpr std::size_t header_bytes = crypto_secretstream_xchacha20poly1305_HEADERBYTES;
constexpr std::size_t key_bytes = crypto_secretstream_xchacha20poly1305_KEYBYTES;
constexpr std::size_t shortest_text = 25;  // of a key that is used as it is
constexpr std::size_t batch = 32;          // chunks handed over together

/// What WAL-G stores for no bytes at all: a last chunk without a header, made with a state that was never set. It holds
/// for any key, so it says nothing but "empty".
constexpr std::array<unsigned char, overhead> headless_empty{0x9c, 0x08, 0xf2, 0x76, 0xd1, 0xf4, 0xbc, 0x1e, 0x88,
                                                             0xfd, 0x63, 0x0d, 0x9f, 0xf1, 0x4d, 0x74, 0xbf};

unsigned char* raw(std::byte* bytes) noexcept { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* raw(const std::byte* bytes) noexcept { return reinterpret_cast<const unsigned char*>(bytes); }

/// The stream's running key, wiped at the end. It lives as long as one object, so it is not given a page of its own.
class State {
 public:
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { sodium_memzero(&state_, sizeof state_); }
  crypto_secretstream_xchacha20poly1305_state* get() noexcept { return &state_; }

 private:
  crypto_secretstream_xchacha20poly1305_state state_{};
};

class Encryptor final : public Filter {
 public:
  Encryptor(Bytes key, Sink& next) : next_(next), input_(batch * chunk_bytes), output_(batch * sealed_bytes) {
    std::array<unsigned char, header_bytes> header{};
    if (crypto_secretstream_xchacha20poly1305_init_push(state_.get(), header.data(), raw(key.data())) != 0) {
      throw Error(Errc::bug, "libsodium cannot begin a stream");
    }
    std::memcpy(output_.data(), header.data(), header.size());
    written_ = header.size();
  }

  MutableBytes space() override { return input_.span().subspan(filled_); }

  void filled(std::size_t n) override {
    filled_ += n;
    if (filled_ < input_.size()) return;
    seal_chunks(input_.span());
    filled_ = 0;
  }

  void write(Bytes data) override {
    // A chunk that began in the buffer is filled up there; the chunks after it are sealed where they lie.
    const std::size_t begun = filled_ % chunk_bytes;
    const std::size_t to_boundary = begun == 0 ? 0 : chunk_bytes - begun;
    if (data.size() < to_boundary + chunk_bytes) return Filter::write(data);
    Filter::write(data.first(to_boundary));
    data = data.subspan(to_boundary);
    seal_chunks(input_.span().first(filled_));
    filled_ = 0;
    const std::size_t whole = data.size() / chunk_bytes * chunk_bytes;
    seal_chunks(data.first(whole));
    Filter::write(data.subspan(whole));
  }

  void finish() override {
    const std::size_t whole = filled_ / chunk_bytes * chunk_bytes;
    seal_chunks(input_.span().first(whole));
    seal(input_.span().subspan(whole, filled_ - whole), crypto_secretstream_xchacha20poly1305_TAG_FINAL);
    flush();
  }

 private:
  void seal_chunks(Bytes chunks) {
    for (std::size_t at = 0; at < chunks.size(); at += chunk_bytes) {
      seal(chunks.subspan(at, chunk_bytes), crypto_secretstream_xchacha20poly1305_TAG_MESSAGE);
    }
  }

  void seal(Bytes chunk, unsigned char tag) {
    if (output_.size() - written_ < chunk.size() + overhead) flush();
    unsigned long long n = 0;
    if (crypto_secretstream_xchacha20poly1305_push(state_.get(), raw(output_.data() + written_), &n, raw(chunk.data()),
                                                   chunk.size(), nullptr, 0, tag) != 0) {
      throw Error(Errc::bug, "libsodium cannot encrypt a chunk");
    }
    written_ += n;
  }

  void flush() {
    next_.write(output_.span().first(written_));
    written_ = 0;
  }

  State state_;
  Sink& next_;
  AlignedBuffer input_;
  std::size_t filled_ = 0;
  AlignedBuffer output_;
  std::size_t written_ = 0;
};

class Decryptor final : public Filter {
 public:
  Decryptor(std::shared_ptr<const SecretBytes> key, std::string_view name, std::string setting, Sink& next)
      : key_(std::move(key)), name_(name), setting_(std::move(setting)), next_(next), collector_(sealed_bytes) {}

  MutableBytes space() override {
    if (input_.size() == 0) input_ = AlignedBuffer(batch * sealed_bytes);
    return input_.span();
  }
  void filled(std::size_t n) override { write(input_.span().first(n)); }

  void write(Bytes data) override {
    while (!data.empty()) {
      const std::size_t wanted = begun_ ? sealed_bytes : header_bytes;
      if (collected_ == 0 && data.size() >= wanted) {
        take(data.first(wanted));
        data = data.subspan(wanted);
        continue;
      }
      const std::size_t n = std::min(wanted - collected_, data.size());
      std::memcpy(collector_.data() + collected_, data.data(), n);
      data = data.subspan(n);
      collected_ += n;
      if (collected_ < wanted) continue;
      collected_ = 0;
      take(collector_.span().first(wanted));
    }
    flush();
  }

  void finish() override {
    const Bytes rest = collector_.span().first(collected_);
    if (!begun_) {
      if (std::ranges::equal(rest, std::as_bytes(std::span(headless_empty)))) return;
      refuse_start(rest, rest.empty() ? "is empty" : "is too short for what libsodium encrypts");
    }
    if (rest.size() < overhead) fail("was cut: its last chunk is missing");
    if (open(rest) != crypto_secretstream_xchacha20poly1305_TAG_FINAL) fail("was cut: its last chunk is missing");
    flush();
  }

 private:
  [[noreturn]] void fail(std::string_view cause) const {
    throw Error(Errc::corrupt, fmt::format("{}: encrypted object {} (near byte {})", name_, cause, offset_));
  }

  [[noreturn]] void refuse_start(Bytes head, std::string_view otherwise) const {
    refuse_plain(name_, setting_, head);
    throw Error(Errc::corrupt, fmt::format("{}: object {}", name_, otherwise));
  }

  void take(Bytes unit) {
    if (begun_) {
      if (open(unit) == crypto_secretstream_xchacha20poly1305_TAG_FINAL) fail("has its last chunk too early");
    } else {
      begin(unit);
    }
    offset_ += unit.size();
  }

  void begin(Bytes header) {
    std::memcpy(head_.data(), header.data(), header.size());
    if (crypto_secretstream_xchacha20poly1305_init_pull(state_.get(), raw(header.data()), raw(key_->data())) != 0) {
      fail("has a damaged header");
    }
    begun_ = true;
  }

  /// Decrypts one chunk and returns its tag.
  unsigned char open(Bytes chunk) {
    if (output_.size() == 0) output_ = AlignedBuffer(batch * chunk_bytes);
    if (output_.size() - opened_ < chunk_bytes) flush();
    unsigned long long n = 0;
    unsigned char tag = 0;
    if (crypto_secretstream_xchacha20poly1305_pull(state_.get(), raw(output_.data() + opened_), &n, &tag,
                                                   raw(chunk.data()), chunk.size(), nullptr, 0) != 0) {
      refuse_chunk(chunk);
    }
    opened_ += n;
    return tag;
  }

  [[noreturn]] void refuse_chunk(Bytes chunk) const {
    if (offset_ > header_bytes) fail("has a damaged chunk");
    const std::string beginning = std::string(text_of(head_)).append(text_of(chunk));
    refuse_plain(name_, setting_, bytes_of(beginning));
    throw Error(Errc::denied, fmt::format("{}: object cannot be decrypted with the key in {}: it was encrypted with "
                                          "another key (or another WALG_LIBSODIUM_KEY_TRANSFORM), or its beginning is "
                                          "damaged",
                                          name_, setting_));
  }

  void flush() {
    if (opened_ == 0) return;
    next_.write(output_.span().first(opened_));
    opened_ = 0;
  }

  const std::shared_ptr<const SecretBytes> key_;
  const std::string name_;
  const std::string setting_;
  Sink& next_;
  State state_;
  bool begun_ = false;
  std::array<std::byte, header_bytes> head_{};
  std::uint64_t offset_ = 0;  // of the chunk that comes next
  AlignedBuffer input_;       // space()
  AlignedBuffer collector_;   // a header or a chunk that came in pieces
  std::size_t collected_ = 0;
  AlignedBuffer output_;
  std::size_t opened_ = 0;
};

SecretBytes key_of(const LibsodiumOptions& options) {
  const SecretBytes text = read_key(options.key);
  // A text in a setting counts as it stands, a file may end with a line break.
  const Bytes inner = options.key.text.empty() ? trim(text.span()) : text.span();
  if (options.transform == "none") {
    if (inner.size() < shortest_text) {
      throw Error(Errc::config, fmt::format("{}: the key has {} characters, fewer than {}", options.key.setting,
                                            inner.size(), shortest_text));
    }
    SecretBytes key(key_bytes);
    std::memcpy(key.data(), inner.data(), std::min(inner.size(), key_bytes));
    return key;
  }
  auto key = options.transform == "hex" ? decode_hex(inner) : decode_base64(inner);
  if (!key || key->size() != key_bytes) {
    throw Error(Errc::config, fmt::format("{}: the key is not {} of {} bytes (WALG_LIBSODIUM_KEY_TRANSFORM)",
                                          options.key.setting, options.transform, key_bytes));
  }
  return std::move(*key);
}

class Libsodium final : public Crypter {
 public:
  explicit Libsodium(LibsodiumOptions options) : options_(std::move(options)) {}
  ~Libsodium() override { wipe(std::as_writable_bytes(std::span(options_.key.text))); }

  std::unique_ptr<Filter> encrypt(std::string_view, Sink& next) const override {
    return std::make_unique<Encryptor>(key()->span(), next);
  }
  std::unique_ptr<Filter> decrypt(std::string_view name, Sink& next) const override {
    return std::make_unique<Decryptor>(key(), name, options_.key.setting, next);
  }
  std::string_view method() const override { return "libsodium"; }

 private:
  std::shared_ptr<const SecretBytes> key() const {
    return key_.get([this] {
      if (sodium_init() < 0) throw Error(Errc::bug, "libsodium cannot be initialised");
      return std::make_shared<const SecretBytes>(key_of(options_));
    });
  }

  LibsodiumOptions options_;
  Lazy<std::shared_ptr<const SecretBytes>> key_;  // owned by this and by the decrypting stages
};

}  // namespace

std::shared_ptr<const Crypter> make_libsodium(LibsodiumOptions options) {
  if (options.transform != "none" && options.transform != "hex" && options.transform != "base64") {
    throw Error(Errc::config, fmt::format("WALG_LIBSODIUM_KEY_TRANSFORM is '{}': none, hex or base64 is possible",
                                          options.transform));
  }
  return std::make_shared<Libsodium>(std::move(options));
}

}  // namespace seawall::crypto
