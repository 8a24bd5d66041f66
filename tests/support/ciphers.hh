#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "crypto/crypto.hh"

namespace seawall::test {

/// A key service of this process: it masks keys, and sees every change of what it gave.
inline crypto::KeyService key_service() {
  constexpr std::size_t blob_bytes = 184;  // as AWS gives them
  const auto sum = [](std::string_view blob) {
    unsigned total = 0;
    for (const char c : blob.substr(0, blob.size() - 1)) total += static_cast<unsigned char>(c);
    return static_cast<char>(total);
  };
  return {.name = "a key service",
          .new_key =
              [sum] {
                const std::string plain(32, 'k');
                std::string blob;
                for (const char c : plain) blob.push_back(static_cast<char>(c ^ 0x5A));
                blob.resize(blob_bytes, 'p');
                blob.back() = sum(blob);
                return crypto::KeyService::DataKey{crypto::SecretBytes::copy_of(bytes_of(plain)), blob};
              },
          .decrypt =
              [sum](Bytes encrypted) {
                const std::string_view blob = text_of(encrypted);
                if (blob.empty() || blob.back() != sum(blob)) throw Error(Errc::denied, "no ciphertext of this key");
                std::string plain;
                for (const char c : blob.substr(0, 32)) plain.push_back(static_cast<char>(c ^ 0x5A));
                return crypto::SecretBytes::copy_of(bytes_of(plain));
              }};
}

struct Cipher {
  std::string_view name;
  std::shared_ptr<const crypto::Crypter> crypter;  ///< null: none
};

/// Each kind of encryption with keys of src/crypto/testdata.
inline std::vector<Cipher> ciphers() {
  crypto::LibsodiumOptions libsodium{.key = {.setting = "WALG_LIBSODIUM_KEY",
                                             .text = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                                             .path = {}},
                                     .transform = "hex"};
  crypto::OpenPgpOptions openpgp{
      .key = {.setting = "WALG_PGP_KEY_PATH", .text = {}, .path = SEAWALL_SOURCE "/src/crypto/testdata/rsa.secret.asc"},
      .passphrase = {},
      .gpg_key_id = {}};
  return {{"none", nullptr},
          {"libsodium", crypto::make_libsodium(std::move(libsodium))},
          {"openpgp", crypto::make_openpgp(std::move(openpgp))},
          {"aws-kms", crypto::make_aws_kms(key_service())},
          {"yandex-kms", crypto::make_yandex_kms(key_service())}};
}

}  // namespace seawall::test
