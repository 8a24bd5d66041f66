#include "crypto/settings.hh"

#include <gmock/gmock.h>

#include "config/sources.hh"
#include "crypto/test_support.hh"

namespace seawall::crypto {
namespace {

using testing::HasSubstr;

class MakeCrypter : public testing::Test {
 protected:
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  std::shared_ptr<const Crypter> made(const Pairs& given) {
    CryptoSettings settings;
    std::vector<std::string> lines;
    for (const auto& [name, value] : given) lines.push_back(name + "=" + value);
    std::vector<const char*> environment;
    for (const std::string& line : lines) environment.push_back(line.c_str());
    environment.push_back(nullptr);
    config::Sources sources;
    sources.add_environment(environment.data());
    sources.load(settings);
    return make_crypter(settings, services_, clock_, log_);
  }

  std::string method(const Pairs& given) {
    const auto crypter = made(given);
    return crypter == nullptr ? "none" : std::string(crypter->method());
  }

  KeyServices services_{.aws =
                            [this](const std::string& key, const std::string& region) {
                              asked_ = key + " " + region;
                              return KeyService{};
                            },
                        .yandex =
                            [this](const KeyServices::Yandex& yandex) {
                              asked_ = yandex.key_id + " " + yandex.service_account_file + " " + yandex.endpoint;
                              return KeyService{};
                            }};
  std::string asked_;
  ManualClock clock_{Time(std::chrono::seconds(1795300000))};
  MemoryLog log_;
};

TEST_F(MakeCrypter, ChoosesTheMethodThatIsConfigured) {
  EXPECT_EQ(method({}), "none");
  EXPECT_EQ(method({{"WALG_PGP_KEY", "k"}}), "OpenPGP");
  EXPECT_EQ(method({{"WALG_PGP_KEY_PATH", "k"}}), "OpenPGP");
  EXPECT_EQ(method({{"WALG_GPG_KEY_ID", "k"}}), "OpenPGP");
  EXPECT_EQ(method({{"WALE_GPG_KEY_ID", "k"}}), "OpenPGP");
  EXPECT_EQ(method({{"WALG_LIBSODIUM_KEY", "k"}}), "libsodium");
  EXPECT_EQ(method({{"WALG_LIBSODIUM_KEY_PATH", "k"}}), "libsodium");
  EXPECT_EQ(method({{"WALG_CSE_KMS_ID", "alias/x"}, {"WALG_CSE_KMS_REGION", "eu-west-1"}}), "AWS KMS");
  EXPECT_EQ(asked_, "alias/x eu-west-1");
  EXPECT_EQ(method({{"YC_CSE_KMS_KEY_ID", "abc"}, {"YC_SERVICE_ACCOUNT_KEY_FILE", "/sa.json"}}), "Yandex KMS");
  EXPECT_EQ(asked_, "abc /sa.json ");
  EXPECT_EQ(method({{"WALG_ENVELOPE_PGP_KEY_PATH", "k"},
                    {"WALG_ENVELOPE_PGP_YC_CSE_KMS_KEY_ID", "abc"},
                    {"WALG_ENVELOPE_PGP_YC_SERVICE_ACCOUNT_KEY_FILE", "/sa.json"},
                    {"WALG_ENVELOPE_PGP_YC_ENDPOINT", "kms.example"}}),
            "OpenPGP with a key from Yandex KMS");
  EXPECT_EQ(asked_, "abc /sa.json kms.example");
  // A passphrase or a transform alone ask for nothing.
  EXPECT_EQ(method({{"WALG_PGP_KEY_PASSPHRASE", "p"}, {"WALG_LIBSODIUM_KEY_TRANSFORM", "hex"}}), "none");
  EXPECT_EQ(log_.text(), "");
}

TEST_F(MakeCrypter, TakesTheFirstOfSeveralAndSaysSo) {
  EXPECT_EQ(method({{"WALG_PGP_KEY", "k"}, {"WALG_LIBSODIUM_KEY", "k"}}), "OpenPGP");
  EXPECT_THAT(log_.text(), HasSubstr("WALG_PGP_KEY is used, WALG_LIBSODIUM_KEY is not"));
  EXPECT_EQ(method({{"WALG_CSE_KMS_ID", "k"}, {"YC_CSE_KMS_KEY_ID", "k"}, {"WALG_LIBSODIUM_KEY", "k"}}), "AWS KMS");
  EXPECT_EQ(method({{"YC_CSE_KMS_KEY_ID", "k"}, {"WALG_LIBSODIUM_KEY_PATH", "k"}}), "Yandex KMS");
}

TEST_F(MakeCrypter, RefusesBothKindsOfOpenPgpTogether) {
  expect_failure(
      [&] {
        made({{"WALG_PGP_KEY_PATH", "k"}, {"WALG_ENVELOPE_PGP_KEY", "k"}});
      },
      Errc::config, "WALG_PGP_KEY_PATH and WALG_ENVELOPE_PGP_KEY are both set");
}

TEST_F(MakeCrypter, RefusesAnEnvelopeWithoutItsKey) {
  expect_failure([&] { made({{"WALG_ENVELOPE_PGP_KEY", "k"}}); }, Errc::config, "WALG_ENVELOPE_PGP_YC_CSE_KMS_KEY_ID");
}

TEST_F(MakeCrypter, RefusesServicesThatAreNotThere) {
  services_ = {};
  expect_failure([&] { made({{"WALG_CSE_KMS_ID", "k"}}); }, Errc::unsupported, "AWS KMS");
  expect_failure([&] { made({{"YC_CSE_KMS_KEY_ID", "k"}}); }, Errc::unsupported, "Yandex KMS");
}

TEST_F(MakeCrypter, GivesTheKeyAndItsNameToTheMethod) {
  const auto pgp =
      made({{"WALG_PGP_KEY", slurp(testdata("curve.secret.asc"))}, {"WALG_PGP_KEY_PASSPHRASE", "a phrase"}});
  EXPECT_EQ(decrypted(*pgp, encrypted(*pgp, "text")), "text");
  const auto path = made({{"WALG_PGP_KEY_PATH", testdata("rsa.secret.asc").string()}});
  EXPECT_EQ(decrypted(*path, encrypted(*path, "text")), "text");
  expect_refused(*path, slurp(testdata("gpg-no-mdc.pgp")), Errc::unsupported, "integrity");
  const auto lax =
      made({{"WALG_PGP_KEY_PATH", testdata("rsa.secret.asc").string()}, {"SEAWALL_PGP_ALLOW_UNPROTECTED", "true"}});
  EXPECT_EQ(decrypted(*lax, slurp(testdata("gpg-no-mdc.pgp"))), sample_text());
  const auto none = made({{"WALE_GPG_KEY_ID", "--no-such-key"}});
  expect_failure([&] { encrypted(*none, ""); }, Errc::config, "no-such-key");
  clock_.advance(std::chrono::days(3));
  const auto expired = made({{"WALG_PGP_KEY_PATH", testdata("expiring.public.asc").string()}});
  expect_failure([&] { encrypted(*expired, ""); }, Errc::config, "WALG_PGP_KEY_PATH");

  const auto sodium = made({{"WALG_LIBSODIUM_KEY",
                             "30313233343536373839616263646566"
                             "30313233343536373839616263646566"},
                            {"WALG_LIBSODIUM_KEY_TRANSFORM", "hex"}});
  EXPECT_EQ(decrypted(*sodium, slurp(testdata("wal-g.sodium"))), sample_text());
  expect_failure(
      [&] {
        made({{"WALG_LIBSODIUM_KEY", "x"}, {"WALG_LIBSODIUM_KEY_TRANSFORM", "rot13"}});
      },
      Errc::config, "rot13");
}

TEST_F(MakeCrypter, MarksWhatMustNotBeShown) {
  const CryptoSettings settings;
  std::vector<std::string> secret;
  for (const config::SettingBase* setting : settings.settings()) {
    if (setting->describe().secret) secret.emplace_back(setting->describe().name);
  }
  EXPECT_THAT(secret, testing::ElementsAre("WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE", "WALG_LIBSODIUM_KEY",
                                           "WALG_ENVELOPE_PGP_KEY"));
}

}  // namespace
}  // namespace seawall::crypto
