#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hh"
#include "base/filter.hh"
#include "crypto/key_text.hh"
#include "crypto/passphrase.hh"
#include "crypto/secret.hh"

namespace seawall::crypto {

/// Encrypts and decrypts the objects of one repository. Immutable and thread-safe; shared by the copies of a
/// Repository and the stages made from it, which keep what they need, so that it may end before them. Keys are read
/// once, at the first use, kept in locked memory and wiped.
///
/// Making a stage throws, besides what reading the key throws: Errc::config (no usable key, no secret key to decrypt
/// with). Decrypting stages throw, each message naming the object and the setting that gave the key:
///   Errc::corrupt      damaged, or cut: then from finish() at the latest
///   Errc::denied       encrypted with another key, or the passphrase is wrong
///   Errc::config       the object is not encrypted, or not by this method
///   Errc::unsupported  an algorithm that this build does not read; a message without integrity protection
/// What comes before the error has been given to `next` and must not be trusted: OpenPGP checks a message as a whole.
class Crypter {
 public:
  virtual ~Crypter() = default;
  /// `key`: the object's name, for messages; copied. `next` must outlive the stage.
  virtual std::unique_ptr<Filter> encrypt(std::string_view key, Sink& next) const = 0;
  virtual std::unique_ptr<Filter> decrypt(std::string_view key, Sink& next) const = 0;
  /// For people: "OpenPGP", "libsodium", "AWS KMS", "Yandex KMS", "OpenPGP with a key from Yandex KMS".
  virtual std::string_view method() const = 0;
};

struct LibsodiumOptions {
  KeySource key;
  std::string transform = "none";  ///< how the text becomes 32 bytes: none, hex, base64
};
/// Errc::config if `transform` is none of the three.
std::shared_ptr<const Crypter> make_libsodium(LibsodiumOptions options);

struct OpenPgpOptions {
  KeySource key;  ///< one or several armored or binary key rings; in `text` "\n" may be written as two characters
  PassphraseSource passphrase;  ///< unlocks secret keys; empty: they are not protected, or GnuPG's agent asks for it
  std::string gpg_key_id;       ///< instead of `key`: a key of the user's GnuPG key ring; reading takes any that fits
  std::string gpg_program = "gpg";
  bool allow_unprotected = false;  ///< read messages without MDC, in which a change cannot be noticed
  /// For the expiry of keys; asked when the key is read.
  std::function<Time()> now = {};
};
std::shared_ptr<const Crypter> make_openpgp(OpenPgpOptions options);

/// A key service as far as envelopes need it; who makes one knows the service's protocol. Called from any thread,
/// blocking; throws what the service answers (Errc::denied, network, …).
struct KeyService {
  std::string name;  ///< for messages: "AWS KMS key alias/x"
  struct DataKey {
    SecretBytes plain;      ///< 32 bytes
    std::string encrypted;  ///< as the service gave it
  };
  /// A fresh data key, made here and encrypted there, or made there.
  std::function<DataKey()> new_key;
  std::function<SecretBytes(Bytes encrypted)> decrypt;
};

/// Both call the service once per object.
std::shared_ptr<const Crypter> make_aws_kms(KeyService service);
std::shared_ptr<const Crypter> make_yandex_kms(KeyService service);

struct EnvelopePgpOptions {
  KeySource key;  ///< base64 of an OpenPGP key ring that the service encrypted
  /// How long a decrypted key ring is used before the service is asked again, 0: for ever. When the service fails
  /// then, the old one is used.
  std::chrono::nanoseconds cache = {};
  Clock* clock = nullptr;  ///< must outlive the crypter and its stages
};
/// Only `service.decrypt` is used.
std::shared_ptr<const Crypter> make_envelope_pgp(EnvelopePgpOptions options, KeyService service);

/// What an object that begins with `head` (its first 16 bytes or more) seems to be encrypted with: "OpenPGP",
/// "Yandex KMS", …; empty if it shows no sign. For the message when a codec fails where no encryption is configured:
/// libsodium and AWS KMS leave no sign.
std::string_view seems_encrypted(Bytes head) noexcept;

/// What a plain object that begins with `head` seems to be: "lz4", "zstd", "a tar archive" (of which `head` must have
/// 262 bytes), …; empty if it shows no sign.
std::string_view seems_plain(Bytes head) noexcept;

}  // namespace seawall::crypto
