#include "crypto/settings.hh"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "base/error.hh"

namespace seawall::crypto {
namespace {

using TextSetting = config::Setting<std::string>;

std::string name_of(const TextSetting& setting) {
  // The spelling that was used is the one that the operator knows.
  if (setting.origin().kind == config::Origin::Kind::environment) return setting.origin().detail;
  return std::string(setting.describe().name);
}

/// The first of the settings that is set.
const TextSetting* first_set(std::initializer_list<const TextSetting*> settings) {
  for (const TextSetting* setting : settings) {
    if (!(*setting)().empty()) return setting;
  }
  return nullptr;
}

OpenPgpOptions common_openpgp(const CryptoSettings& settings, Clock& clock) {
  OpenPgpOptions options;
  options.passphrase = {.text = settings.pgp_key_passphrase(),
                        .path = settings.pgp_passphrase_path(),
                        .command = settings.pgp_passphrase_command()};
  options.allow_unprotected = settings.pgp_allow_unprotected();
  options.now = [&clock] { return clock.wall(); };
  return options;
}

std::shared_ptr<const Crypter> openpgp_of(const CryptoSettings& settings, Clock& clock) {
  const TextSetting* chosen = first_set({&settings.pgp_key, &settings.pgp_key_path, &settings.gpg_key_id});
  OpenPgpOptions options = common_openpgp(settings, clock);
  options.key.setting = name_of(*chosen);
  if (chosen == &settings.pgp_key) options.key.text = settings.pgp_key();
  if (chosen == &settings.pgp_key_path) options.key.path = settings.pgp_key_path();
  if (chosen == &settings.gpg_key_id) options.gpg_key_id = settings.gpg_key_id();
  return make_openpgp(std::move(options));
}

std::shared_ptr<const Crypter> envelope_of(const CryptoSettings& settings, const KeyServices& services, Clock& clock) {
  if (settings.envelope_kms_key_id().empty()) {
    throw Error(Errc::config,
                fmt::format("{} is set, but WALG_ENVELOPE_PGP_YC_CSE_KMS_KEY_ID, which names the key "
                            "that decrypts it, is not",
                            name_of(*first_set({&settings.envelope_pgp_key_path, &settings.envelope_pgp_key}))));
  }
  if (!services.yandex) throw Error(Errc::unsupported, "Yandex KMS is not part of this build");
  const TextSetting* chosen = first_set({&settings.envelope_pgp_key_path, &settings.envelope_pgp_key});
  EnvelopePgpOptions options{.key = {.setting = name_of(*chosen), .text = {}, .path = {}},
                             .cache = settings.envelope_cache(),
                             .clock = &clock};
  (chosen == &settings.envelope_pgp_key ? options.key.text : options.key.path) = (*chosen)();
  return make_envelope_pgp(
      std::move(options),
      services.yandex({.key_id = settings.envelope_kms_key_id(),
                       .key_setting = name_of(settings.envelope_kms_key_id),
                       .service_account_file = settings.envelope_service_account(),
                       .account_setting = name_of(settings.envelope_service_account),
                       .endpoint = settings.envelope_endpoint().empty() ? settings.yandex_endpoint()
                                                                        : settings.envelope_endpoint()}));
}

std::shared_ptr<const Crypter> aws_of(const CryptoSettings& settings, const KeyServices& services) {
  if (!services.aws) throw Error(Errc::unsupported, "AWS KMS is not part of this build");
  return make_aws_kms(services.aws(settings.aws_kms_key_id(), settings.aws_kms_region()));
}

std::shared_ptr<const Crypter> yandex_of(const CryptoSettings& settings, const KeyServices& services) {
  if (!services.yandex) throw Error(Errc::unsupported, "Yandex KMS is not part of this build");
  return make_yandex_kms(services.yandex({.key_id = settings.yandex_kms_key_id(),
                                          .key_setting = name_of(settings.yandex_kms_key_id),
                                          .service_account_file = settings.yandex_service_account(),
                                          .account_setting = name_of(settings.yandex_service_account),
                                          .endpoint = settings.yandex_endpoint()}));
}

std::shared_ptr<const Crypter> libsodium_of(const CryptoSettings& settings) {
  const TextSetting* chosen = first_set({&settings.libsodium_key, &settings.libsodium_key_path});
  LibsodiumOptions options{.key = {.setting = name_of(*chosen), .text = {}, .path = {}},
                           .transform = settings.libsodium_key_transform()};
  (chosen == &settings.libsodium_key ? options.key.text : options.key.path) = (*chosen)();
  return make_libsodium(std::move(options));
}

}  // namespace

std::shared_ptr<const Crypter> make_crypter(const CryptoSettings& settings, const KeyServices& services, Clock& clock,
                                            Log& log) {
  const std::array<const TextSetting*, 5> methods{
      first_set({&settings.pgp_key, &settings.pgp_key_path, &settings.gpg_key_id}),
      first_set({&settings.envelope_pgp_key_path, &settings.envelope_pgp_key}),
      first_set({&settings.aws_kms_key_id}),
      first_set({&settings.yandex_kms_key_id}),
      first_set({&settings.libsodium_key, &settings.libsodium_key_path}),
  };
  if (methods[0] != nullptr && methods[1] != nullptr) {
    throw Error(Errc::config,
                fmt::format("{} and {} are both set: choose one of them", name_of(*methods[0]), name_of(*methods[1])));
  }
  const TextSetting* chosen = nullptr;
  for (const TextSetting* method : methods) {
    if (method == nullptr) continue;
    if (chosen == nullptr) {
      chosen = method;
    } else {
      log.warning("Several methods of encryption are configured: {} is used, {} is not", name_of(*chosen),
                  name_of(*method));
    }
  }
  if (chosen == nullptr) return nullptr;
  if (chosen == methods[0]) return openpgp_of(settings, clock);
  if (chosen == methods[1]) return envelope_of(settings, services, clock);
  if (chosen == methods[2]) return aws_of(settings, services);
  if (chosen == methods[3]) return yandex_of(settings, services);
  return libsodium_of(settings);
}

std::shared_ptr<const Crypter> make_gpg_reader(const CryptoSettings& settings, Clock& clock) {
  OpenPgpOptions options = common_openpgp(settings, clock);
  options.key.setting = "the GnuPG key ring";
  options.gpg_key_id = "any";  // reading does not name one
  return make_openpgp(std::move(options));
}

}  // namespace seawall::crypto
