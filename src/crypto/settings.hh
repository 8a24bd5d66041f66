#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/log.hh"
#include "config/setting.hh"
#include "crypto/crypto.hh"

namespace seawall::crypto {

/// Whether and how objects are encrypted on this machine. Names alone tell nothing: what is configured is expected of
/// every object.
struct CryptoSettings : config::Group {
  config::Setting<std::string> pgp_key{
      *this,
      {.name = "WALG_PGP_KEY",
       .secret = true,
       .doc = "OpenPGP key ring as text, armored; its line breaks may be written as \\n. A public key is enough to "
              "write; reading needs the secret one. Objects are encrypted to every key in it."}};
  config::Setting<std::string> pgp_key_path{
      *this,
      {.name = "WALG_PGP_KEY_PATH",
       .doc = "File with an OpenPGP key ring, armored or binary; see WALG_PGP_KEY, which comes first.",
       .kind = "path"}};
  config::Setting<std::string> pgp_key_passphrase{
      *this,
      {.name = "WALG_PGP_KEY_PASSPHRASE",
       .secret = true,
       .doc = "Unlocks the secret keys of WALG_PGP_KEY or WALG_PGP_KEY_PATH; not set: they are not protected. With "
              "WALG_GPG_KEY_ID it is given to gpg; not set: its agent is asked."}};
  config::Setting<std::string> pgp_passphrase_path{
      *this,
      {.name = "SEAWALL_PGP_PASSPHRASE_PATH",
       .doc = "File whose first line is the passphrase; WALG_PGP_KEY_PASSPHRASE comes first.",
       .kind = "path"}};
  config::Setting<std::string> pgp_passphrase_command{
      *this,
      {.name = "SEAWALL_PGP_PASSPHRASE_COMMAND",
       .doc =
           "Shell command whose first line of output is the passphrase; run when a key has to be unlocked, unless the "
           "passphrase is given otherwise."}};
  config::Setting<std::string> gpg_key_id{
      *this,
      {.name = "WALG_GPG_KEY_ID",
       .aliases = {"WALE_GPG_KEY_ID"},
       .doc =
           "Key of this user's GnuPG key ring to encrypt to. Reading asks gpg, and so its agent, for the key of each "
           "object. Used where neither WALG_PGP_KEY nor WALG_PGP_KEY_PATH is set."}};
  config::Setting<bool> pgp_allow_unprotected{
      *this,
      {.name = "SEAWALL_PGP_ALLOW_UNPROTECTED",
       .doc = "Read OpenPGP messages that have no integrity protection, in which a change cannot be noticed. For "
              "archives of programs that wrote such messages."}};
  config::Setting<std::string> libsodium_key{
      *this, {.name = "WALG_LIBSODIUM_KEY", .secret = true, .doc = "Key of 32 bytes for encryption with libsodium."}};
  config::Setting<std::string> libsodium_key_path{
      *this,
      {.name = "WALG_LIBSODIUM_KEY_PATH",
       .doc = "File with the key for encryption with libsodium; WALG_LIBSODIUM_KEY comes first.",
       .kind = "path"}};
  config::Setting<std::string> libsodium_key_transform{
      *this,
      {.name = "WALG_LIBSODIUM_KEY_TRANSFORM",
       .initial = "none",
       .doc = "How the text of the libsodium key becomes its 32 bytes: hex and base64 are decoded; none takes the text "
              "itself, at least 25 characters, cut or filled with zeros.",
       .kind = "none|hex|base64"}};
  config::Setting<std::string> aws_kms_key_id{
      *this,
      {.name = "WALG_CSE_KMS_ID",
       .doc = "Key of the AWS Key Management Service that encrypts the key of each object: its id, ARN or alias."}};
  config::Setting<std::string> aws_kms_region{
      *this, {.name = "WALG_CSE_KMS_REGION", .doc = "AWS region of the key; not set: the region used for S3."}};
  config::Setting<std::string> yandex_kms_key_id{
      *this,
      {.name = "YC_CSE_KMS_KEY_ID",
       .doc = "Key of the Yandex Key Management Service that encrypts the key of each object."}};
  config::Setting<std::string> yandex_service_account{
      *this,
      {.name = "YC_SERVICE_ACCOUNT_KEY_FILE",
       .doc = "Authorized key of the Yandex service account, JSON; not set: the account of the virtual machine.",
       .kind = "path"}};
  config::Setting<std::string> yandex_endpoint{
      *this,
      {.name = "SEAWALL_YC_ENDPOINT",
       .doc = "Address of the Yandex API, which tells where its services are; not set: the public ones. "
              "WALG_ENVELOPE_PGP_YC_ENDPOINT comes first for the OpenPGP key ring."}};
  config::Setting<std::string> envelope_pgp_key{
      *this,
      {.name = "WALG_ENVELOPE_PGP_KEY",
       .secret = true,
       .doc = "OpenPGP key ring encrypted by the Yandex Key Management Service, in base64."}};
  config::Setting<std::string> envelope_pgp_key_path{
      *this,
      {.name = "WALG_ENVELOPE_PGP_KEY_PATH",
       .doc = "File with what WALG_ENVELOPE_PGP_KEY describes; of the two this one comes first.",
       .kind = "path"}};
  config::Setting<std::string> envelope_kms_key_id{
      *this, {.name = "WALG_ENVELOPE_PGP_YC_CSE_KMS_KEY_ID", .doc = "Yandex key that encrypted the OpenPGP key ring."}};
  config::Setting<std::string> envelope_service_account{
      *this,
      {.name = "WALG_ENVELOPE_PGP_YC_SERVICE_ACCOUNT_KEY_FILE",
       .doc = "Authorized key of the Yandex service account that may decrypt the OpenPGP key ring, JSON.",
       .kind = "path"}};
  config::Setting<std::string> envelope_endpoint{
      *this, {.name = "WALG_ENVELOPE_PGP_YC_ENDPOINT", .doc = "Address of the Yandex API; not set: the public one."}};
  config::Setting<std::chrono::nanoseconds> envelope_cache{
      *this,
      {.name = "WALG_ENVELOPE_CACHE_EXPIRATION",
       .doc = "How long a decrypted OpenPGP key ring is used before Yandex is asked again; 0: as long as the process "
              "lives."}};
};

/// How key services are reached; made by whoever knows their protocols. Not set: Errc::unsupported when needed.
struct KeyServices {
  std::function<KeyService(const std::string& key_id, const std::string& region)> aws;
  struct Yandex {
    std::string key_id;
    std::string key_setting;           ///< that gave it, for messages
    std::string service_account_file;  ///< empty: the account of the virtual machine
    std::string account_setting;       ///< that gives it or could, for messages
    std::string endpoint;              ///< of the API, which knows where its services are; empty: the public ones
  };
  std::function<KeyService(const Yandex&)> yandex;
};

/// The crypter that the settings ask for; null: none, objects are stored as they are. The first of these that is set
/// counts, as in WAL-G, and a warning says so if there are more: OpenPGP (key, path, GnuPG), envelope OpenPGP, AWS KMS,
/// Yandex KMS, libsodium. Errc::config: OpenPGP and envelope OpenPGP together, or a setting that another one needs is
/// missing. No key is read yet. `clock` must outlive the crypter and its stages.
std::shared_ptr<const Crypter> make_crypter(const CryptoSettings& settings, const KeyServices& services, Clock& clock,
                                            Log& log);

/// Reads what is encrypted to any key of this user's GnuPG key ring, whatever the settings say of writing.
std::shared_ptr<const Crypter> make_gpg_reader(const CryptoSettings& settings, Clock& clock);

}  // namespace seawall::crypto
