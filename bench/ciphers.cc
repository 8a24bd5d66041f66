// ciphers: each cipher's stage beside its library alone.
//
//   ciphers [MIB] [ROUNDS]            256 MiB, the best of 3 rounds
//
// One thread, memory to memory. "library" is libsodium's secretstream over chunks of 8192 bytes as WAL-G cuts them, and
// for OpenPGP OpenSSL's AES-128-CFB and SHA-1, one after the other over pieces of 64 KiB: the two that every message
// with MDC needs. Prints a JSON object per line: cipher, what, how, bytes, cpu seconds.
#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "crypto/crypto.hh"
#include "stage.hh"

namespace {

using namespace seawall;
using namespace seawall::bench;

constexpr std::size_t piece_bytes = 512 << 10;  // as objects are read and written
constexpr std::size_t chunk_bytes = 8192;
constexpr std::size_t sealed_bytes = chunk_bytes + crypto_secretstream_xchacha20poly1305_ABYTES;
constexpr std::size_t openssl_piece_bytes = 64 << 10;  // stays in the cache between the two passes

constexpr std::array<std::uint8_t, 32> key{1, 2, 3};

std::size_t sodium_encrypt(std::string_view in, std::string& out) {
  crypto_secretstream_xchacha20poly1305_state state;
  std::size_t used = crypto_secretstream_xchacha20poly1305_HEADERBYTES;
  crypto_secretstream_xchacha20poly1305_init_push(&state, out_of(out, 0), key.data());
  for (; !in.empty(); in.remove_prefix(std::min(chunk_bytes, in.size()))) {
    const std::string_view chunk = in.substr(0, chunk_bytes);
    unsigned long long n = 0;
    crypto_secretstream_xchacha20poly1305_push(&state, out_of(out, used), &n, in_of(chunk), chunk.size(), nullptr, 0,
                                               0);
    used += n;
  }
  return used;
}

std::size_t sodium_decrypt(std::string_view in, std::string& out) {
  crypto_secretstream_xchacha20poly1305_state state;
  std::size_t used = 0;
  crypto_secretstream_xchacha20poly1305_init_pull(&state, in_of(in), key.data());
  in.remove_prefix(crypto_secretstream_xchacha20poly1305_HEADERBYTES);
  for (; !in.empty(); in.remove_prefix(std::min(sealed_bytes, in.size()))) {
    const std::string_view chunk = in.substr(0, sealed_bytes);
    unsigned long long n = 0;
    unsigned char tag = 0;
    require(crypto_secretstream_xchacha20poly1305_pull(&state, out_of(out, used), &n, &tag, in_of(chunk), chunk.size(),
                                                       nullptr, 0) == 0,
            "secretstream");
    used += n;
  }
  return used;
}

std::size_t openssl_run(bool encrypt, std::string_view in, std::string& out) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> cipher(EVP_CIPHER_CTX_new(),
                                                                               EVP_CIPHER_CTX_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const std::array<std::uint8_t, 16> iv{};
  EVP_CipherInit_ex(cipher.get(), EVP_aes_128_cfb128(), nullptr, key.data(), iv.data(), encrypt ? 1 : 0);
  EVP_DigestInit_ex(hash.get(), EVP_sha1(), nullptr);
  std::size_t used = 0;
  for (; !in.empty(); in.remove_prefix(std::min(openssl_piece_bytes, in.size()))) {
    const std::string_view piece = in.substr(0, openssl_piece_bytes);
    if (encrypt) EVP_DigestUpdate(hash.get(), piece.data(), piece.size());
    int n = 0;
    EVP_CipherUpdate(cipher.get(), out_of(out, used), &n, in_of(piece), static_cast<int>(piece.size()));
    if (!encrypt) EVP_DigestUpdate(hash.get(), out_of(out, used), static_cast<std::size_t>(n));
    used += static_cast<std::size_t>(n);
  }
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> sum{};
  EVP_DigestFinal_ex(hash.get(), sum.data(), nullptr);
  return used;
}

class Bench {
 public:
  Bench(std::size_t bytes, int rounds)
      : raw_(bytes, '\0'),
        stored_(bytes + bytes / 100 + (1 << 20), '\0'),
        back_(bytes + (1 << 20), '\0'),
        rounds_(rounds) {
    std::uint32_t state = 1;
    for (char& c : raw_) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24);
  }

  void run(const char* cipher, const crypto::Crypter& crypter, const Work& encrypt, const Work& decrypt) {
    both(cipher, "library", encrypt, decrypt);
    both(
        cipher, "stage",
        [&](std::string_view in, std::string& out) {
          Memory memory(out);
          return through(*crypter.encrypt("bench", memory), memory, in, piece_bytes);
        },
        [&](std::string_view in, std::string& out) {
          Memory memory(out);
          return through(*crypter.decrypt("bench", memory), memory, in, piece_bytes);
        });
  }

 private:
  void both(const char* cipher, const char* how, const Work& encrypt, const Work& decrypt) {
    measure(cipher, "encrypt", how, [&] { stored_bytes_ = encrypt(raw_, stored_); });
    std::size_t n = 0;
    measure(cipher, "decrypt", how, [&] { n = decrypt(std::string_view(stored_).substr(0, stored_bytes_), back_); });
    require(n == raw_.size() && std::equal(raw_.begin(), raw_.end(), back_.begin()), "what came back differs");
  }

  template <class Run>
  void measure(const char* cipher, const char* what, const char* how, Run&& work) {
    const double best = best_cpu(rounds_, work);
    std::printf(
        "{\"cipher\": \"%s\", \"what\": \"%s\", \"how\": \"%s\", \"bytes\": %zu, \"cpu\": %.6f, \"mb_per_second\": "
        "%.0f}\n",
        cipher, what, how, raw_.size(), best, mb_per_second(raw_.size(), best));
    std::fflush(stdout);
  }

  std::string raw_;
  std::string stored_;
  std::string back_;
  std::size_t stored_bytes_ = 0;
  int rounds_;
};

}  // namespace

int main(int count, char** arguments) {
  try {
    require(sodium_init() >= 0, "libsodium");
    const std::size_t mib = count > 1 ? static_cast<std::size_t>(std::atoi(arguments[1])) : 256;
    Bench bench(mib << 20, count > 2 ? std::atoi(arguments[2]) : 3);
    bench.run("libsodium",
              *crypto::make_libsodium(
                  {.key = {.setting = "key", .text = std::string(32, 'k'), .path = {}}, .transform = "none"}),
              sodium_encrypt, sodium_decrypt);
    bench.run(
        "openpgp",
        *crypto::make_openpgp(
            {.key = {.setting = "key", .text = {}, .path = SEAWALL_SOURCE "/src/crypto/testdata/rsa.secret.asc"},
             .passphrase = {},
             .gpg_key_id = {}}),
        [](std::string_view in, std::string& out) { return openssl_run(true, in, out); },
        [](std::string_view in, std::string& out) { return openssl_run(false, in, out); });
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ciphers: %s\n", error.what());
    return 1;
  }
  return 0;
}
