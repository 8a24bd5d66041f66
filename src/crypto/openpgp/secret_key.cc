#include "crypto/openpgp/secret_key.hh"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.hh"
#include "crypto/openpgp/packet.hh"

namespace seawall::crypto::openpgp {
namespace {

constexpr std::size_t sha1_bytes = 20;

/// How a passphrase becomes a key (RFC 4880 §3.7).
struct StringToKey {
  const EVP_MD* hash = nullptr;
  Bytes salt;             // empty: none
  std::size_t bytes = 0;  // of salt and passphrase, repeated, that are hashed; 0: once
};

[[noreturn]] void unsupported(std::string_view what) {
  throw Error(
      Errc::unsupported,
      fmt::format("it is protected in a way that is not supported ({}); set its passphrase again with a current "
                  "GnuPG: gpg --s2k-cipher-algo AES256 --s2k-digest-algo SHA256 --change-passphrase",
                  what));
}

StringToKey read_string_to_key(Reader& from) {
  const unsigned kind = from.byte();
  const unsigned hash = from.byte();
  if (kind == 101) {
    throw Error(Errc::config,
                "its secret part is not there, only a stub of GnuPG: it is on a smart card, or only its "
                "subkeys were exported");
  }
  if (kind != 0 && kind != 1 && kind != 3) unsupported(fmt::format("string-to-key method {}", kind));
  StringToKey out;
  out.hash = hash_of(hash);
  if (out.hash == nullptr) unsupported(fmt::format("hash {}", hash));
  if (kind != 0) out.salt = from.take(8);
  if (kind == 3) {
    const unsigned count = from.byte();
    out.bytes = static_cast<std::size_t>(16 + (count & 15)) << ((count >> 4) + 6);
  }
  return out;
}

SecretBytes derive(const StringToKey& how, Bytes passphrase, std::size_t key_bytes) {
  // The repeated text in a buffer of several copies: hashing it in single copies would be slow.
  const std::size_t once = how.salt.size() + passphrase.size();
  const std::size_t total = std::max(how.bytes, once);
  const std::size_t copies = once == 0 ? 0 : std::clamp<std::size_t>(65536 / once, 1, total / once + 1);
  SecretBytes text(once * copies);
  for (std::size_t i = 0; i < copies; ++i) {
    std::byte* at = text.data() + i * once;
    if (!how.salt.empty()) std::memcpy(at, how.salt.data(), how.salt.size());
    if (!passphrase.empty()) std::memcpy(at + how.salt.size(), passphrase.data(), passphrase.size());
  }
  SecretBytes key(key_bytes);
  SecretBytes digest(EVP_MAX_MD_SIZE);
  const ossl::DigestContext context(EVP_MD_CTX_new());
  ossl::check(context != nullptr, "compute a hash");
  std::size_t made = 0;
  for (std::size_t zeros = 0; made < key_bytes; ++zeros) {
    bool good = EVP_DigestInit_ex(context.get(), how.hash, nullptr) == 1;
    for (std::size_t i = 0; i < zeros; ++i) good = good && EVP_DigestUpdate(context.get(), "", 1) == 1;
    for (std::size_t left = once == 0 ? 0 : total; left > 0;) {
      const std::size_t n = std::min(left, text.size());
      good = good && EVP_DigestUpdate(context.get(), text.data(), n) == 1;
      left -= n;
    }
    unsigned length = 0;
    good = good && EVP_DigestFinal_ex(context.get(), ossl::raw(digest.data()), &length) == 1;
    ossl::check(good, "compute a hash");
    const std::size_t n = std::min<std::size_t>(length, key_bytes - made);
    std::memcpy(key.data() + made, digest.data(), n);
    made += n;
  }
  return key;
}

struct Protection {
  const EVP_CIPHER* cipher = nullptr;
  std::size_t key_bytes = 0;
  std::size_t block = 0;
};

Protection protection_of(unsigned cipher) {
  switch (cipher) {
    case 2:
      return {EVP_des_ede3_cfb64(), 24, 8};
    case 7:
      return {EVP_aes_128_cfb128(), 16, 16};
    case 8:
      return {EVP_aes_192_cfb128(), 24, 16};
    case 9:
      return {EVP_aes_256_cfb128(), 32, 16};
    case 11:
      return {EVP_camellia_128_cfb128(), 16, 16};
    case 12:
      return {EVP_camellia_192_cfb128(), 24, 16};
    case 13:
      return {EVP_camellia_256_cfb128(), 32, 16};
    default:
      unsupported(cipher_name(cipher));
  }
}

SecretBytes decipher(const Protection& with, Bytes key, Bytes start, Bytes data) {
  SecretBytes out(data.size());
  const ossl::CipherContext context(EVP_CIPHER_CTX_new());
  int length = 0;
  ossl::check(context != nullptr &&
                  EVP_DecryptInit_ex(context.get(), with.cipher, nullptr, ossl::raw(key.data()),
                                     ossl::raw(start.data())) == 1 &&
                  EVP_DecryptUpdate(context.get(), ossl::raw(out.data()), &length, ossl::raw(data.data()),
                                    static_cast<int>(data.size())) == 1,
              "decrypt a secret key");
  return out;
}

bool sum_matches(Bytes numbers, Bytes sum) {
  const unsigned total = std::accumulate(numbers.begin(), numbers.end(), 0U, [](unsigned value, std::byte byte) {
    return value + std::to_integer<unsigned>(byte);
  });
  return Reader(sum).big_endian(2) == (total & 0xFFFF);
}

bool sha1_matches(Bytes numbers, Bytes sum) {
  std::array<std::byte, sha1_bytes> digest{};
  unsigned length = 0;
  ossl::check(EVP_Digest(numbers.data(), numbers.size(), ossl::raw(digest.data()), &length, EVP_sha1(), nullptr) == 1,
              "compute SHA-1");
  return equal_secretly(digest, sum);
}

/// The plain secret part with its check sum at the end, of which `check_bytes` are taken off and compared.
SecretNumbers read_numbers(SecretBytes memory, bool sha1, Algorithm algorithm, const auto& refuse) {
  const std::size_t check_bytes = sha1 ? sha1_bytes : 2;
  if (memory.size() < check_bytes) malformed("the secret part of an OpenPGP key is cut");
  const Bytes all = memory.span();
  const Bytes fields = all.first(all.size() - check_bytes);
  const Bytes sum = all.last(check_bytes);
  if (!(sha1 ? sha1_matches(fields, sum) : sum_matches(fields, sum))) refuse();
  SecretNumbers out;
  Reader from(fields);
  const std::size_t count = algorithm == Algorithm::ecdh ? 1 : 4;
  for (std::size_t i = 0; i < count; ++i) out.numbers.at(i) = from.number();
  out.memory = std::move(memory);
  return out;
}

}  // namespace

SecretNumbers unlock(const RingKey& key, Bytes passphrase, std::string_view setting) {
  Reader from(key.secret);
  const unsigned usage = from.byte();
  const Algorithm algorithm = key.open.algorithm;
  if (usage == 0) {
    return read_numbers(SecretBytes::copy_of(from.rest()), false, algorithm,
                        [] { malformed("the secret part of an OpenPGP key does not match its check sum"); });
  }
  if (usage != 254 && usage != 255) unsupported(fmt::format("method {}", usage));
  const unsigned cipher = from.byte();
  const StringToKey how = read_string_to_key(from);
  if (passphrase.empty()) {
    const bool ours = setting == "WALG_PGP_KEY_PASSPHRASE";
    throw Error(Errc::config, fmt::format("it is protected by a passphrase, and {} is not set{}", setting,
                                          ours ? "; a file (SEAWALL_PGP_PASSPHRASE_PATH) or a command "
                                                 "(SEAWALL_PGP_PASSPHRASE_COMMAND) can give it as well"
                                               : ""));
  }
  const Protection protection = protection_of(cipher);
  const Bytes start = from.take(protection.block);
  const SecretBytes derived = derive(how, passphrase, protection.key_bytes);
  return read_numbers(decipher(protection, derived.span(), start, from.rest()), usage == 254, algorithm, [&] {
    throw Error(Errc::denied, fmt::format("the passphrase in {} does not unlock it", setting));
  });
}

}  // namespace seawall::crypto::openpgp
