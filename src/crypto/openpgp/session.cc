#include "crypto/openpgp/session.hh"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.hh"
#include "crypto/openpgp/packet.hh"

namespace seawall::crypto::openpgp {
namespace {

/// What is encrypted for a recipient: the cipher, the key, the sum of the key's bytes.
SecretBytes payload_of(const SessionKey& session) {
  SecretBytes out(session.key.size() + 3);
  out.data()[0] = static_cast<std::byte>(session.cipher);
  std::memcpy(out.data() + 1, session.key.data(), session.key.size());
  const unsigned sum =
      std::accumulate(session.key.span().begin(), session.key.span().end(), 0U,
                      [](unsigned value, std::byte byte) { return value + std::to_integer<unsigned>(byte); });
  out.data()[out.size() - 2] = static_cast<std::byte>(sum >> 8 & 0xFF);
  out.data()[out.size() - 1] = static_cast<std::byte>(sum & 0xFF);
  return out;
}

std::optional<SessionKey> session_of(Bytes payload) {
  if (payload.size() < 4) return std::nullopt;
  const Bytes key = payload.subspan(1, payload.size() - 3);
  const unsigned cipher = std::to_integer<unsigned>(payload.front());
  const std::size_t expected = aes_key_bytes(cipher);
  if (expected != 0 && key.size() != expected) return std::nullopt;
  SessionKey session{cipher, SecretBytes::copy_of(key)};
  const SecretBytes again = payload_of(session);
  if (!equal_secretly(again.span(), payload)) return std::nullopt;
  return session;
}

// ---- RSA

std::string encrypt_rsa(Bytes payload, const PublicKey& recipient) {
  const ossl::Key key = to_openssl(recipient);
  ossl::check(key != nullptr, "use the RSA key");
  const ossl::KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  std::string out(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())), '\0');
  std::size_t length = out.size();
  ossl::check(context != nullptr && EVP_PKEY_encrypt_init(context.get()) == 1 &&
                  EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1 &&
                  EVP_PKEY_encrypt(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length,
                                   ossl::raw(payload.data()), payload.size()) == 1,
              "encrypt with RSA");
  out.resize(length);
  std::string fields;
  append_number(fields, bytes_of(out));
  return fields;
}

/// A number that OpenSSL overwrites wherever it copies it to.
ossl::Number to_secret_number(Bytes big_endian) {
  ossl::Number number(BN_secure_new());
  ossl::check(number != nullptr &&
                  BN_bin2bn(ossl::raw(big_endian.data()), static_cast<int>(big_endian.size()), number.get()) != nullptr,
              "read a number");
  return number;
}

ossl::Key secret_rsa(const PublicKey& open, const SecretNumbers& secret) {
  const auto [d, p, q, u] = secret.numbers;
  const ossl::NumberContext scratch(BN_CTX_secure_new());
  const ossl::ParamsBuilder builder(OSSL_PARAM_BLD_new());
  ossl::check(scratch != nullptr && builder != nullptr, "make a key");
  const ossl::Number n = to_number(open.numbers[0]), e = to_number(open.numbers[1]);
  const ossl::Number exponent = to_secret_number(d);
  // OpenPGP's u is p⁻¹ mod q, OpenSSL's is q⁻¹ mod p: the two primes change places.
  const ossl::Number first = to_secret_number(q), second = to_secret_number(p), inverse = to_secret_number(u);
  const auto reduced = [&](const ossl::Number& prime) {
    ossl::Number less(BN_dup(prime.get())), out(BN_secure_new());
    const bool good = less != nullptr && out != nullptr && !BN_is_zero(prime.get()) && !BN_is_one(prime.get()) &&
                      BN_sub_word(less.get(), 1) == 1 &&
                      BN_mod(out.get(), exponent.get(), less.get(), scratch.get()) == 1;
    return good ? std::move(out) : ossl::Number();
  };
  const ossl::Number first_exponent = reduced(first), second_exponent = reduced(second);
  if (first_exponent == nullptr || second_exponent == nullptr) return nullptr;
  const std::array<std::pair<const char*, const BIGNUM*>, 8> parameters{{
      {OSSL_PKEY_PARAM_RSA_N, n.get()},
      {OSSL_PKEY_PARAM_RSA_E, e.get()},
      {OSSL_PKEY_PARAM_RSA_D, exponent.get()},
      {OSSL_PKEY_PARAM_RSA_FACTOR1, first.get()},
      {OSSL_PKEY_PARAM_RSA_FACTOR2, second.get()},
      {OSSL_PKEY_PARAM_RSA_EXPONENT1, first_exponent.get()},
      {OSSL_PKEY_PARAM_RSA_EXPONENT2, second_exponent.get()},
      {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, inverse.get()},
  }};
  for (const auto& [name, number] : parameters) {
    ossl::check(OSSL_PARAM_BLD_push_BN(builder.get(), name, number) == 1, "make a key");
  }
  return key_from("RSA", EVP_PKEY_KEYPAIR, builder.get());
}

std::optional<SessionKey> decrypt_rsa(Bytes fields, const PublicKey& open, const SecretNumbers& secret) {
  const Bytes number = Reader(fields).number();
  const ossl::Key key = secret_rsa(open, secret);
  if (key == nullptr) return std::nullopt;
  const auto size = static_cast<std::size_t>(EVP_PKEY_get_size(key.get()));
  if (number.size() > size) return std::nullopt;
  std::string padded(size - number.size(), '\0');
  padded.append(text_of(number));
  const ossl::KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  ossl::check(context != nullptr && EVP_PKEY_decrypt_init(context.get()) == 1 &&
                  EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1,
              "decrypt with RSA");
  SecretBytes payload(size);
  std::size_t length = payload.size();
  if (EVP_PKEY_decrypt(context.get(), ossl::raw(payload.data()), &length,
                       reinterpret_cast<const unsigned char*>(padded.data()), padded.size()) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  return session_of(Bytes(payload.span()).first(length));
}

// ---- ECDH (RFC 6637)

bool is_x25519(const PublicKey& key) { return key.curve->name == "X25519"; }

SecretBytes shared_secret(const ossl::Key& mine, const ossl::Key& theirs) {
  const ossl::KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, mine.get(), nullptr));
  std::size_t length = 0;
  const bool ready = context != nullptr && EVP_PKEY_derive_init(context.get()) == 1 &&
                     EVP_PKEY_derive_set_peer(context.get(), theirs.get()) == 1 &&
                     EVP_PKEY_derive(context.get(), nullptr, &length) == 1;
  SecretBytes out(ready ? length : 0);
  if (!ready || EVP_PKEY_derive(context.get(), ossl::raw(out.data()), &length) != 1) {
    ERR_clear_error();
    return {};
  }
  out.shrink(length);
  return out;
}

/// The key that wraps the session key.
SecretBytes wrapping_key(Bytes shared, const PublicKey& recipient) {
  std::string parameters;
  parameters.push_back(static_cast<char>(recipient.curve_oid.size()));
  parameters.append(text_of(recipient.curve_oid));
  parameters.append({static_cast<char>(Algorithm::ecdh), 3, 1, static_cast<char>(recipient.kdf_hash),
                     static_cast<char>(recipient.kdf_cipher)});
  parameters.append("Anonymous Sender    ");
  parameters.append(text_of(recipient.fingerprint));
  SecretBytes digest(EVP_MAX_MD_SIZE);
  const ossl::DigestContext context(EVP_MD_CTX_new());
  unsigned length = 0;
  ossl::check(context != nullptr && EVP_DigestInit_ex(context.get(), hash_of(recipient.kdf_hash), nullptr) == 1 &&
                  EVP_DigestUpdate(context.get(), "\0\0\0\x01", 4) == 1 &&
                  EVP_DigestUpdate(context.get(), shared.data(), shared.size()) == 1 &&
                  EVP_DigestUpdate(context.get(), parameters.data(), parameters.size()) == 1 &&
                  EVP_DigestFinal_ex(context.get(), ossl::raw(digest.data()), &length) == 1,
              "compute a hash");
  const std::size_t wanted = aes_key_bytes(recipient.kdf_cipher);
  if (length < wanted) throw Error(Errc::unsupported, "an ECDH key uses a hash that is too short for its cipher");
  digest.shrink(wanted);
  return digest;
}

/// AES key wrapping (RFC 3394) in either direction; empty when what is unwrapped is not intact.
SecretBytes wrap(bool forward, Bytes key, Bytes data) {
  const EVP_CIPHER* cipher = key.size() == 16   ? EVP_aes_128_wrap()
                             : key.size() == 24 ? EVP_aes_192_wrap()
                                                : EVP_aes_256_wrap();
  const ossl::CipherContext context(EVP_CIPHER_CTX_new());
  ossl::check(context != nullptr, "wrap a key");
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  ossl::check(EVP_CipherInit_ex(context.get(), cipher, nullptr, ossl::raw(key.data()), nullptr, forward ? 1 : 0) == 1,
              "wrap a key");
  SecretBytes out(data.size() + 16);
  int length = 0;
  if (EVP_CipherUpdate(context.get(), ossl::raw(out.data()), &length, ossl::raw(data.data()),
                       static_cast<int>(data.size())) != 1 ||
      length <= 0) {
    ERR_clear_error();
    return {};
  }
  out.shrink(static_cast<std::size_t>(length));
  return out;
}

ossl::Key ephemeral_key(const PublicKey& recipient) {
  const std::string name(recipient.curve->name);
  ossl::Key key(is_x25519(recipient) ? EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519")
                                     : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", name.c_str()));
  ossl::check(key != nullptr, "make an ephemeral key");
  return key;
}

/// The public point of `key` as OpenPGP writes it.
std::string point_of(const ossl::Key& key, const PublicKey& like) {
  unsigned char* encoded = nullptr;
  const std::size_t length = EVP_PKEY_get1_encoded_public_key(key.get(), &encoded);
  ossl::check(length > 0, "write a public key");
  std::string point(is_x25519(like) ? "\x40" : "");
  point.append(reinterpret_cast<const char*>(encoded), length);
  OPENSSL_free(encoded);
  return point;
}

std::string encrypt_ecdh(Bytes payload, const PublicKey& recipient) {
  const ossl::Key theirs = to_openssl(recipient);
  if (theirs == nullptr) throw Error(Errc::config, "the public point of an ECDH key is not valid");
  const ossl::Key mine = ephemeral_key(recipient);
  const SecretBytes shared = shared_secret(mine, theirs);
  ossl::check(!shared.empty(), "agree on a key");
  // Always 40 bytes, so that the length of the session key does not show.
  SecretBytes padded(40);
  std::memcpy(padded.data(), payload.data(), payload.size());
  const std::size_t padding = padded.size() - payload.size();
  std::fill_n(padded.data() + payload.size(), padding, static_cast<std::byte>(padding));
  const SecretBytes key = wrapping_key(shared.span(), recipient);
  const SecretBytes wrapped = wrap(true, key.span(), padded.span());
  ossl::check(!wrapped.empty(), "wrap a key");
  std::string fields;
  append_number(fields, bytes_of(point_of(mine, recipient)));
  fields.push_back(static_cast<char>(wrapped.size()));
  fields.append(text_of(wrapped.span()));
  return fields;
}

ossl::Key secret_ecdh(const PublicKey& open, Bytes scalar) {
  if (!is_x25519(open)) {
    const ossl::ParamsBuilder builder(OSSL_PARAM_BLD_new());
    const ossl::Number number = to_secret_number(scalar);
    const std::string name(open.curve->name);
    ossl::check(builder != nullptr &&
                    OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, name.c_str(), 0) == 1 &&
                    OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, open.numbers[0].data(),
                                                     open.numbers[0].size()) == 1 &&
                    OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, number.get()) == 1,
                "make a key");
    return key_from("EC", EVP_PKEY_KEYPAIR, builder.get());
  }
  // OpenPGP writes the scalar as a number, the other way round than X25519 takes it.
  if (scalar.size() > 32) return nullptr;
  SecretBytes reversed(32);
  std::reverse_copy(scalar.begin(), scalar.end(), reversed.data());
  return ossl::Key(
      EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, ossl::raw(reversed.data()), reversed.size()));
}

std::optional<SessionKey> decrypt_ecdh(Bytes fields, const PublicKey& open, const SecretNumbers& secret) {
  Reader from(fields);
  PublicKey sender = open;
  sender.numbers[0] = from.number();
  const Bytes wrapped = from.take(from.byte());
  const ossl::Key theirs = to_openssl(sender);
  const ossl::Key mine = secret_ecdh(open, secret.numbers[0]);
  if (theirs == nullptr || mine == nullptr) return std::nullopt;
  const SecretBytes shared = shared_secret(mine, theirs);
  if (shared.empty()) return std::nullopt;
  const SecretBytes key = wrapping_key(shared.span(), open);
  const SecretBytes padded = wrap(false, key.span(), wrapped);
  if (padded.empty()) return std::nullopt;
  const auto padding = std::to_integer<std::size_t>(padded.span().back());
  if (padding == 0 || padding > padded.size()) return std::nullopt;
  const Bytes tail = padded.span().last(padding);
  if (!std::ranges::all_of(tail, [&](std::byte byte) { return byte == tail.front(); })) return std::nullopt;
  return session_of(padded.span().first(padded.size() - padding));
}

}  // namespace

SessionKey new_session_key(unsigned cipher) {
  SessionKey session{cipher, SecretBytes(aes_key_bytes(cipher))};
  ossl::fill_random(session.key.span());
  return session;
}

std::optional<EncryptedSession> read_encrypted_session(Bytes packet) {
  Reader from(packet);
  if (from.byte() != 3) return std::nullopt;
  EncryptedSession out;
  out.recipient = from.big_endian(8);
  out.algorithm = static_cast<Algorithm>(from.byte());
  out.fields = from.rest();
  return out;
}

std::string encrypt_session(const SessionKey& session, const PublicKey& recipient) {
  const SecretBytes payload = payload_of(session);
  std::string body = "\x03";
  append_big_endian(body, recipient.id, 8);
  body.push_back(static_cast<char>(recipient.algorithm));
  body += recipient.algorithm == Algorithm::ecdh ? encrypt_ecdh(payload.span(), recipient)
                                                 : encrypt_rsa(payload.span(), recipient);
  return packet_header(Tag::public_key_session, body.size()) + body;
}

std::optional<SessionKey> decrypt_session(const EncryptedSession& encrypted, const PublicKey& key,
                                          const SecretNumbers& secret) {
  const bool is_rsa = key.algorithm == Algorithm::rsa || key.algorithm == Algorithm::rsa_encrypt_only;
  const bool for_rsa = encrypted.algorithm == Algorithm::rsa || encrypted.algorithm == Algorithm::rsa_encrypt_only;
  if (is_rsa != for_rsa || (!is_rsa && encrypted.algorithm != key.algorithm)) return std::nullopt;
  return is_rsa ? decrypt_rsa(encrypted.fields, key, secret) : decrypt_ecdh(encrypted.fields, key, secret);
}

}  // namespace seawall::crypto::openpgp
