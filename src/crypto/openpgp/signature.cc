#include "crypto/openpgp/signature.hh"

#include <openssl/dsa.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include <array>
#include <cstring>

#include "crypto/openpgp/packet.hh"

namespace seawall::crypto::openpgp {
namespace {

/// Subpacket types.
enum class Sub : unsigned {
  created = 2,
  expires = 3,
  key_expires = 9,
  preferred_ciphers = 11,
  issuer = 16,
  primary_user_id = 25,
  key_flags = 27,
  issuer_fingerprint = 33,
};

std::size_t subpacket_length(Reader& from) {
  const unsigned first = from.byte();
  if (first < 192) return first;
  if (first < 255) return ((first - 192) << 8) + from.byte() + 192;
  return static_cast<std::size_t>(from.big_endian(4));
}

void read_issuer(unsigned type, Reader body, Signature& out) {
  if (static_cast<Sub>(type) == Sub::issuer) out.issuer = body.big_endian(8);
  if (static_cast<Sub>(type) == Sub::issuer_fingerprint && body.byte() == 4) {
    body.take(12);
    out.issuer = body.big_endian(8);
  }
}

void read_hashed(unsigned type, Reader body, Signature& out) {
  switch (static_cast<Sub>(type)) {
    case Sub::created:
      out.created = static_cast<std::uint32_t>(body.big_endian(4));
      break;
    case Sub::expires:
      out.expires_after = static_cast<std::uint32_t>(body.big_endian(4));
      break;
    case Sub::key_expires:
      out.key_expires_after = static_cast<std::uint32_t>(body.big_endian(4));
      break;
    case Sub::preferred_ciphers:
      while (!body.empty()) out.preferred_cipher.push_back(body.byte());
      break;
    case Sub::primary_user_id:
      out.primary_user_id = body.byte() != 0;
      break;
    case Sub::key_flags:
      out.flags = body.empty() ? 0 : body.byte();
      break;
    default:
      break;
  }
}

void read_subpackets(Reader area, bool hashed, Signature& out) {
  while (!area.empty()) {
    const std::size_t length = subpacket_length(area);
    if (length == 0) malformed("a signature has an empty subpacket");
    Reader body(area.take(length));
    const unsigned type = body.byte() & 0x7F;
    read_issuer(type, body, out);
    if (hashed) read_hashed(type, body, out);
  }
}

/// r and s as OpenSSL takes them.
template <class Pair, auto make, auto set, auto encode, auto release>
std::vector<unsigned char> der_of(Bytes r, Bytes s) {
  const std::unique_ptr<Pair, ossl::Freed<release>> pair(make());
  ossl::check(pair != nullptr && set(pair.get(), to_number(r).release(), to_number(s).release()) == 1,
              "read a signature");
  unsigned char* der = nullptr;
  const int length = encode(pair.get(), &der);
  ossl::check(length > 0, "read a signature");
  std::vector<unsigned char> out(der, der + length);
  OPENSSL_free(der);
  return out;
}

/// The signature's numbers as OpenSSL takes them; empty: not of a form that can be right.
std::vector<unsigned char> signature_bytes(const Signature& signature, const PublicKey& signer) {
  Reader from(signature.numbers);
  const Bytes first = from.number();
  if (signature.algorithm == Algorithm::rsa || signature.algorithm == Algorithm::rsa_sign_only) {
    // PKCS#1 wants the modulus's full length.
    const std::size_t size = signer.numbers[0].size();
    if (first.size() > size) return {};
    std::vector<unsigned char> out(size);
    std::memcpy(out.data() + size - first.size(), first.data(), first.size());
    return out;
  }
  const Bytes second = from.number();
  if (signature.algorithm == Algorithm::dsa) {
    return der_of<DSA_SIG, DSA_SIG_new, DSA_SIG_set0, i2d_DSA_SIG, DSA_SIG_free>(first, second);
  }
  if (signature.algorithm == Algorithm::ecdsa) {
    return der_of<ECDSA_SIG, ECDSA_SIG_new, ECDSA_SIG_set0, i2d_ECDSA_SIG, ECDSA_SIG_free>(first, second);
  }
  if (first.size() > 32 || second.size() > 32) return {};
  std::vector<unsigned char> out(64);
  std::memcpy(out.data() + 32 - first.size(), first.data(), first.size());
  std::memcpy(out.data() + 64 - second.size(), second.data(), second.size());
  return out;
}

bool verify(const ossl::Key& key, const EVP_MD* hash, const std::vector<unsigned char>& signature, Bytes message) {
  const ossl::DigestContext context(EVP_MD_CTX_new());
  ossl::check(context != nullptr, "verify a signature");
  const bool good = EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key.get()) == 1 &&
                    EVP_DigestVerify(context.get(), signature.data(), signature.size(), ossl::raw(message.data()),
                                     message.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace

std::optional<Signature> read_signature(Bytes packet) {
  Reader from(packet);
  if (from.byte() != 4) return std::nullopt;
  Signature out;
  out.type = static_cast<SignatureType>(from.byte());
  out.algorithm = static_cast<Algorithm>(from.byte());
  out.hash = from.byte();
  const Reader hashed(from.take(static_cast<std::size_t>(from.big_endian(2))));
  out.hashed = packet.first(packet.size() - from.rest().size());
  // The part that anyone may have changed is read first, so that the signed issuer has the last word.
  read_subpackets(Reader(from.take(static_cast<std::size_t>(from.big_endian(2)))), false, out);
  read_subpackets(hashed, true, out);
  from.take(2);  // the first bytes of the hash: a hint only
  out.numbers = from.rest();
  return out;
}

std::string key_prefix(const PublicKey& key) {
  std::string prefix = "\x99";
  append_big_endian(prefix, key.body.size(), 2);
  return prefix;
}

bool verifies(const Signature& signature, const PublicKey& signer, std::initializer_list<Bytes> signed_parts) {
  const EVP_MD* hash = hash_of(signature.hash);
  const bool same_algorithm = signature.algorithm == signer.algorithm ||
                              (signature.algorithm == Algorithm::rsa_sign_only && signer.algorithm == Algorithm::rsa) ||
                              (signature.algorithm == Algorithm::rsa && signer.algorithm == Algorithm::rsa_sign_only);
  if (hash == nullptr || !same_algorithm) return false;
  const ossl::Key key = to_openssl(signer);
  const std::vector<unsigned char> numbers = signature_bytes(signature, signer);
  if (key == nullptr || numbers.empty()) return false;

  std::string message;
  for (const Bytes part : signed_parts) message.append(text_of(part));
  message.append(text_of(signature.hashed));
  message.append("\x04\xFF", 2);
  append_big_endian(message, signature.hashed.size(), 4);
  if (signer.algorithm != Algorithm::eddsa) return verify(key, hash, numbers, bytes_of(message));
  // EdDSA in OpenPGP signs the hash, not the message.
  std::array<std::byte, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  ossl::check(EVP_Digest(message.data(), message.size(), ossl::raw(digest.data()), &length, hash, nullptr) == 1,
              "compute a hash");
  return verify(key, nullptr, numbers, Bytes(digest).first(length));
}

}  // namespace seawall::crypto::openpgp
