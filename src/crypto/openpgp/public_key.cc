#include "crypto/openpgp/public_key.hh"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#include <algorithm>
#include <vector>

#include "base/error.hh"
#include "crypto/openpgp/packet.hh"

namespace seawall::crypto::openpgp {
namespace {

constexpr std::array<Curve, 8> curves{{
    {{"\x2B\x06\x01\x04\x01\x97\x55\x01\x05\x01", 10}, "X25519"},
    {{"\x2B\x06\x01\x04\x01\xDA\x47\x0F\x01", 9}, "ED25519"},
    {{"\x2A\x86\x48\xCE\x3D\x03\x01\x07", 8}, "P-256"},
    {{"\x2B\x81\x04\x00\x22", 5}, "P-384"},
    {{"\x2B\x81\x04\x00\x23", 5}, "P-521"},
    {{"\x2B\x24\x03\x03\x02\x08\x01\x01\x07", 9}, "brainpoolP256r1"},
    {{"\x2B\x24\x03\x03\x02\x08\x01\x01\x0B", 9}, "brainpoolP384r1"},
    {{"\x2B\x24\x03\x03\x02\x08\x01\x01\x0D", 9}, "brainpoolP512r1"},
}};

void read_fingerprint(PublicKey& key) {
  std::string hashed = "\x99";
  append_big_endian(hashed, key.body.size(), 2);
  hashed.append(text_of(key.body));
  unsigned length = 0;
  ossl::check(
      EVP_Digest(hashed.data(), hashed.size(), ossl::raw(key.fingerprint.data()), &length, EVP_sha1(), nullptr) == 1,
      "compute SHA-1");
  key.id = Reader(Bytes(key.fingerprint).subspan(12)).big_endian(8);
}

void read_curve(Reader& from, PublicKey& key) {
  const unsigned oid_bytes = from.byte();
  if (oid_bytes == 0 || oid_bytes == 0xFF) malformed("an OpenPGP key names no curve");
  key.curve_oid = from.take(oid_bytes);
  key.curve = find_curve(key.curve_oid);
  key.numbers[0] = from.number();
  if (key.algorithm != Algorithm::ecdh) return;
  const unsigned length = from.byte();
  Reader parameters(from.take(length));
  if (length != 3 || parameters.byte() != 1) malformed("an OpenPGP key has ECDH parameters that are not known");
  key.kdf_hash = parameters.byte();
  key.kdf_cipher = parameters.byte();
}

}  // namespace

const Curve* find_curve(Bytes oid) noexcept {
  const auto found = std::ranges::find(curves, text_of(oid), &Curve::oid);
  return found == curves.end() ? nullptr : &*found;
}

bool PublicKey::can_encrypt() const noexcept {
  switch (algorithm) {
    case Algorithm::rsa:
    case Algorithm::rsa_encrypt_only:
      return true;
    case Algorithm::ecdh:
      return curve != nullptr && curve->name != "ED25519" && hash_of(kdf_hash) != nullptr &&
             aes_key_bytes(kdf_cipher) != 0;
    default:
      return false;
  }
}

PublicKey read_public_key(Bytes packet, Bytes& rest) {
  Reader from(packet);
  PublicKey key;
  const unsigned version = from.byte();
  if (version != 4) {
    throw Error(Errc::unsupported,
                fmt::format("OpenPGP keys of version {} are not supported, only those of version 4", version));
  }
  key.created = static_cast<std::uint32_t>(from.big_endian(4));
  key.algorithm = static_cast<Algorithm>(from.byte());
  std::size_t numbers = 0;
  switch (key.algorithm) {
    case Algorithm::rsa:
    case Algorithm::rsa_encrypt_only:
    case Algorithm::rsa_sign_only:
      numbers = 2;
      break;
    case Algorithm::elgamal:
      numbers = 3;
      break;
    case Algorithm::dsa:
      numbers = 4;
      break;
    case Algorithm::ecdh:
    case Algorithm::ecdsa:
    case Algorithm::eddsa:
      read_curve(from, key);
      break;
    default:
      throw Error(Errc::unsupported,
                  fmt::format("OpenPGP keys of algorithm {} are not supported", static_cast<unsigned>(key.algorithm)));
  }
  for (std::size_t i = 0; i < numbers; ++i) key.numbers.at(i) = from.number();
  rest = from.rest();
  key.body = packet.first(packet.size() - rest.size());
  read_fingerprint(key);
  return key;
}

std::string id_text(std::uint64_t id) { return fmt::format("0x{:016X}", id); }

ossl::Number to_number(Bytes big_endian) {
  ossl::Number number(BN_bin2bn(ossl::raw(big_endian.data()), static_cast<int>(big_endian.size()), nullptr));
  ossl::check(number != nullptr, "read a number");
  return number;
}

ossl::Key key_from(const char* type, int selection, OSSL_PARAM_BLD* parameters) {
  const ossl::Params params(OSSL_PARAM_BLD_to_param(parameters));
  const ossl::KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  ossl::check(params != nullptr && context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1, "make a key");
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata(context.get(), &key, selection, params.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  return ossl::Key(key);
}

ossl::Key to_openssl(const PublicKey& key) {
  const ossl::ParamsBuilder builder(OSSL_PARAM_BLD_new());
  ossl::check(builder != nullptr, "make a key");
  std::vector<ossl::Number> numbers;
  const auto number = [&](const char* name, std::size_t i) {
    numbers.push_back(to_number(key.numbers.at(i)));
    ossl::check(OSSL_PARAM_BLD_push_BN(builder.get(), name, numbers.back().get()) == 1, "make a key");
  };
  const Bytes point = key.numbers[0];
  switch (key.algorithm) {
    case Algorithm::rsa:
    case Algorithm::rsa_encrypt_only:
    case Algorithm::rsa_sign_only:
      number(OSSL_PKEY_PARAM_RSA_N, 0);
      number(OSSL_PKEY_PARAM_RSA_E, 1);
      return key_from("RSA", EVP_PKEY_PUBLIC_KEY, builder.get());
    case Algorithm::dsa:
      number(OSSL_PKEY_PARAM_FFC_P, 0);
      number(OSSL_PKEY_PARAM_FFC_Q, 1);
      number(OSSL_PKEY_PARAM_FFC_G, 2);
      number(OSSL_PKEY_PARAM_PUB_KEY, 3);
      return key_from("DSA", EVP_PKEY_PUBLIC_KEY, builder.get());
    case Algorithm::elgamal:
      return nullptr;
    default:
      break;
  }
  if (key.curve == nullptr) return nullptr;
  const std::string name(key.curve->name);
  if (name == "X25519" || name == "ED25519") {
    // The native form of a point: the byte 0x40, then the 32 bytes.
    if (point.size() != 33 || point.front() != std::byte{0x40}) return nullptr;
    return ossl::Key(EVP_PKEY_new_raw_public_key_ex(nullptr, name.c_str(), nullptr, ossl::raw(point.data() + 1), 32));
  }
  ossl::check(
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, name.c_str(), 0) == 1 &&
          OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 1,
      "make a key");
  return key_from("EC", EVP_PKEY_PUBLIC_KEY, builder.get());
}

const EVP_MD* hash_of(unsigned number) noexcept {
  switch (number) {
    case 2:
      return EVP_sha1();
    case 8:
      return EVP_sha256();
    case 9:
      return EVP_sha384();
    case 10:
      return EVP_sha512();
    case 11:
      return EVP_sha224();
    default:
      return nullptr;
  }
}

std::size_t aes_key_bytes(unsigned cipher) noexcept {
  switch (cipher) {
    case 7:
      return 16;
    case 8:
      return 24;
    case 9:
      return 32;
    default:
      return 0;
  }
}

std::string_view cipher_name(unsigned cipher) noexcept {
  constexpr std::array<std::string_view, 14> names{
      "none",    "IDEA",    "3DES",    "CAST5",        "Blowfish",     "5",           "6", "AES-128",
      "AES-192", "AES-256", "Twofish", "Camellia-128", "Camellia-192", "Camellia-256"};
  return cipher < names.size() ? names.at(cipher) : std::string_view("an unknown cipher");
}

}  // namespace seawall::crypto::openpgp
