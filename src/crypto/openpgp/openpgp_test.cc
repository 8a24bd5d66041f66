#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "crypto/crypto.hh"
#include "crypto/openpgp/armor.hh"
#include "crypto/test_support.hh"
#include "support/temp_dir.hh"

namespace seawall::crypto {
namespace {

constexpr Time in_time = Time(std::chrono::seconds(1795300000));  // some hours after the keys of testdata were made

struct With {
  std::string passphrase = {};
  bool allow_unprotected = false;
  Time now = in_time;
};

std::shared_ptr<const Crypter> crypter_of(std::string_view key_file, With with = {}) {
  return make_openpgp({.key = {.setting = "WALG_PGP_KEY_PATH", .text = {}, .path = testdata(key_file).string()},
                       .passphrase = {.text = with.passphrase, .path = {}, .command = {}},
                       .gpg_key_id = {},
                       .allow_unprotected = with.allow_unprotected,
                       .now = [with] { return with.now; }});
}

std::shared_ptr<const Crypter> crypter_of_text(std::string text) {
  return make_openpgp({.key = {.setting = "WALG_PGP_KEY", .text = std::move(text), .path = {}}});
}

/// A home of GnuPG with the keys of testdata; what its agent holds ends with it.
class GnuPg {
 public:
  GnuPg() {
    chmod(home_.path().c_str(), 0700);
    // Else the agent measures for seconds how often it can hash.
    std::ofstream(home_ / "gpg-agent.conf") << "s2k-count 65536\n";
    run("--import '" + testdata("rsa.secret.asc").string() + "'", "");
    run("--passphrase 'a phrase' --import '" + testdata("curve.secret.asc").string() + "'", "");
  }
  ~GnuPg() { EXPECT_EQ(std::system(("GNUPGHOME='" + home() + "' gpgconf --kill all").c_str()), 0); }
  GnuPg(const GnuPg&) = delete;
  GnuPg& operator=(const GnuPg&) = delete;

  std::string home() const { return home_.path().string(); }

  std::string run(std::string_view arguments, std::string_view input) const {
    return through(fmt::format("GNUPGHOME='{}' gpg --batch --quiet --no-tty --pinentry-mode loopback --trust-model "
                               "always {}",
                               home(), arguments),
                   input);
  }

  /// Runs a command of the shell (Debian packages gnupg and rnp) over `input`.
  static std::string through(const std::string& command, std::string_view input) {
    const test::TempDir dir;
    std::ofstream(dir / "in", std::ios::binary) << input;
    const std::string whole = fmt::format("{} <'{}' >'{}' 2>'{}'", command, (dir / "in").string(),
                                          (dir / "out").string(), (dir / "messages").string());
    EXPECT_EQ(std::system(whole.c_str()), 0) << whole << "\n" << slurp(dir / "messages");
    return slurp(dir / "out");
  }

 private:
  test::TempDir home_;
};

TEST(OpenPgp, RoundTripsWhateverTheChunks) { expect_round_trips(*crypter_of("rsa.secret.asc")); }

TEST(OpenPgp, EncryptsWithThePublicKeyAlone) {
  for (const auto& [open, secret, passphrase] : {std::tuple("rsa.public.asc", "rsa.secret.asc", ""),
                                                 std::tuple("curve.public.asc", "curve.secret.asc", "a phrase"),
                                                 std::tuple("nist.secret.asc", "nist.secret.asc", "")}) {
    const std::string stored = encrypted(*crypter_of(open), sample_text());
    EXPECT_EQ(decrypted(*crypter_of(secret, {.passphrase = passphrase}), stored), sample_text()) << open;
  }
  expect_refused(*crypter_of("rsa.public.asc"), slurp(testdata("wal-g.pgp")), Errc::config,
                 "WALG_PGP_KEY_PATH holds only a public key");
}

TEST(OpenPgp, ReadsWhatOthersWrote) {
  for (const char* name : {"wal-g.pgp", "gpg-zip.pgp", "gpg-signed-two.pgp", "gpg-hidden.pgp", "rnp-ocb.pgp"}) {
    SCOPED_TRACE(name);
    Random random(test_seed());
    const std::string stored = slurp(testdata(name));
    EXPECT_EQ(decrypted(*crypter_of("rsa.secret.asc"), stored), sample_text());
    for (int i = 0; i < 20; ++i) {
      StringSink out;
      const auto stage = crypter_of("rsa.secret.asc")->decrypt("x", out);
      push(*stage, stored, random);
      stage->finish();
      EXPECT_EQ(out.text(), sample_text());
    }
  }
  EXPECT_EQ(
      decrypted(*crypter_of("curve.secret.asc", {.passphrase = "a phrase"}), slurp(testdata("gpg-signed-two.pgp"))),
      sample_text());
}

TEST(OpenPgp, GnuPgGivesBackIdenticalBytes) {
  const GnuPg gpg;
  Random random(3);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{100}, std::size_t{131066}, std::size_t{131067}, std::size_t{700000}}) {
    const std::string plain = noise(random, size) + "\r\n\r";
    EXPECT_TRUE(gpg.run("-d", encrypted(*crypter_of("rsa.public.asc"), plain)) == plain) << size;
    EXPECT_TRUE(gpg.run("--passphrase 'a phrase' -d", encrypted(*crypter_of("curve.public.asc"), plain)) == plain)
        << size;
    EXPECT_TRUE(decrypted(*crypter_of("rsa.secret.asc"), gpg.run("-r rsa@example.invalid -e", plain)) == plain) << size;
    EXPECT_TRUE(decrypted(*crypter_of("rsa.secret.asc"),
                          gpg.run("--cipher-algo AES192 --compress-algo zlib -r rsa@example.invalid -e", plain)) ==
                plain)
        << size;
  }
}

TEST(OpenPgp, RnpGivesBackIdenticalBytes) {
  Random random(4);
  const std::string plain = noise(random, 600000);
  const test::TempDir dir;
  const auto rnp = [&](std::string_view key, std::string_view arguments, std::string_view input) {
    return GnuPg::through(fmt::format("HOME='{}' rnp --keyfile '{}' --output - {} -", dir.path().string(),
                                      testdata(key).string(), arguments),
                          input);
  };
  EXPECT_TRUE(rnp("rsa.secret.asc", "--decrypt", encrypted(*crypter_of("rsa.public.asc"), plain)) == plain);
  EXPECT_TRUE(rnp("nist.secret.asc", "--decrypt", encrypted(*crypter_of("nist.secret.asc"), plain)) == plain);
  for (const char* aead :
       {"", "--aead=OCB", "--aead=OCB --aead-chunk-bits 0", "--aead=OCB --aead-chunk-bits 10 -z 0"}) {
    EXPECT_TRUE(decrypted(*crypter_of("rsa.secret.asc"),
                          rnp("rsa.public.asc", fmt::format("-r rsa --encrypt {}", aead), plain)) == plain)
        << aead;
  }
}

TEST(OpenPgp, EncryptsForEveryKeyOfTheRing) {
  const auto ring = crypter_of_text(slurp(testdata("rsa.public.asc")) + slurp(testdata("curve.public.asc")));
  const std::string stored = encrypted(*ring, sample_text());
  EXPECT_EQ(decrypted(*crypter_of("rsa.secret.asc"), stored), sample_text());
  EXPECT_EQ(decrypted(*crypter_of("curve.secret.asc", {.passphrase = "a phrase"}), stored), sample_text());
}

TEST(OpenPgp, TakesKeysWithWrittenLineBreaksAndBinaryOnes) {
  std::string escaped;
  for (const char c : slurp(testdata("rsa.secret.asc"))) escaped += c == '\n' ? std::string("\\n") : std::string(1, c);
  EXPECT_EQ(decrypted(*crypter_of_text(escaped), slurp(testdata("wal-g.pgp"))), sample_text());

  const test::TempDir dir;
  const SecretBytes packets = openpgp::dearmor(bytes_of(slurp(testdata("rsa.secret.asc"))));
  std::ofstream(dir / "key", std::ios::binary) << text_of(packets.span());
  const auto binary = make_openpgp({.key = {.setting = "S", .text = {}, .path = (dir / "key").string()}});
  EXPECT_EQ(decrypted(*binary, slurp(testdata("wal-g.pgp"))), sample_text());
}

TEST(OpenPgp, RefusesEveryChangeAndEveryCut) {
  Random random(5);
  const std::string plain = noise(random, 5000);
  // A few bits of the packet for the recipient do not matter: how a number's length is written, for example.
  expect_flips_refused(*crypter_of("rsa.secret.asc"), plain, true);
  expect_cuts_refused(*crypter_of("rsa.secret.asc"), plain);
  const std::string large = noise(random, 400000);
  expect_flips_refused(*crypter_of("rsa.secret.asc"), large, true, 60);
  expect_cuts_refused(*crypter_of("rsa.secret.asc"), large, 30);
}

TEST(OpenPgp, RefusesEveryChangeOfWhatOthersWrote) {
  Random random(test_seed());
  const auto crypter = crypter_of("rsa.secret.asc");
  for (const char* name : {"gpg-zip.pgp", "rnp-ocb.pgp"}) {
    const std::string stored = slurp(testdata(name));
    for (int i = 0; i < 200; ++i) {
      std::string changed = stored;
      const std::size_t at = 272 + below(random, stored.size() - 272);  // behind the session key
      changed[at] = static_cast<char>(changed[at] ^ (1 << below(random, 8)));
      EXPECT_TRUE(failure_of([&] { decrypted(*crypter, changed); })) << name << " byte " << at;
      EXPECT_TRUE(failure_of([&] { decrypted(*crypter, stored.substr(0, at)); })) << name << " cut at " << at;
    }
  }
}

TEST(OpenPgp, RefusesMessagesWithoutProtectionUnlessAllowed) {
  const std::string stored = slurp(testdata("gpg-no-mdc.pgp"));
  expect_refused(*crypter_of("rsa.secret.asc"), stored, Errc::unsupported, "no integrity protection");
  EXPECT_EQ(decrypted(*crypter_of("rsa.secret.asc", {.allow_unprotected = true}), stored), sample_text());
  expect_refused(*crypter_of("rsa.secret.asc", {.allow_unprotected = true}), stored.substr(0, stored.size() - 1),
                 Errc::corrupt, "cut");
}

TEST(OpenPgp, SaysWhatItDoesNotRead) {
  const auto crypter = crypter_of("rsa.secret.asc");
  expect_refused(*crypter, slurp(testdata("gpg-bzip2.pgp")), Errc::unsupported, "bzip2");
  expect_refused(*crypter, slurp(testdata("rnp-eax.pgp")), Errc::unsupported, "only OCB");
  expect_refused(*crypter, slurp(testdata("gpg-password.pgp")), Errc::denied, "encrypted with a passphrase");
}

TEST(OpenPgp, NamesTheKeyThatIsMissing) {
  expect_refused(
      *crypter_of("nist.secret.asc"), slurp(testdata("wal-g.pgp")), Errc::denied,
      "wal_005/x.lz4: object is encrypted for the OpenPGP key 0xB1B768C6CBE4497A, but WALG_PGP_KEY_PATH holds ");
}

TEST(OpenPgp, SaysThatAnObjectIsNotEncrypted) {
  const auto crypter = crypter_of("rsa.secret.asc");
  for (const std::string_view head : {"\x04\x22\x4d\x18", "\x28\xb5\x2f\xfd", "\x1f\x8b\x08", "\x89LZO"}) {
    expect_refused(*crypter, std::string(head) + std::string(1000, 'x'), Errc::config,
                   "wal_005/x.lz4: object is not encrypted");
  }
  expect_refused(*crypter, slurp(testdata("wal-g.sodium")), Errc::corrupt, "wal_005/x.lz4: object cannot be decrypted");
  expect_refused(*crypter, "", Errc::corrupt, "it is empty");
  expect_refused(*crypter, "yckms\x01 and more", Errc::config, "encrypted with Yandex KMS");
}

TEST(OpenPgp, NamesWhatIsWrongWithAPassphrase) {
  const std::string stored = encrypted(*crypter_of("curve.public.asc"), "text");
  expect_refused(*crypter_of("curve.secret.asc"), stored, Errc::config, "WALG_PGP_KEY_PASSPHRASE is not set");
  expect_refused(*crypter_of("curve.secret.asc", {.passphrase = "another"}), stored, Errc::denied,
                 "the passphrase in WALG_PGP_KEY_PASSPHRASE does not unlock it");
  // A key that is not locked takes any.
  EXPECT_EQ(decrypted(*crypter_of("rsa.secret.asc", {.passphrase = "any"}), slurp(testdata("wal-g.pgp"))),
            sample_text());
}

TEST(OpenPgp, TakesThePassphraseFromAFileOrACommand) {
  const std::string stored = encrypted(*crypter_of("curve.public.asc"), "text");
  const auto with = [](PassphraseSource source) {
    return make_openpgp({.key = {.setting = "WALG_PGP_KEY_PATH", .text = {}, .path = testdata("curve.secret.asc")},
                         .passphrase = std::move(source)});
  };
  const std::string path = testing::TempDir() + "passphrase";
  std::ofstream(path) << "a phrase\r\nand more\n";
  EXPECT_EQ(decrypted(*with({.text = {}, .path = path, .command = {}}), stored), "text");
  EXPECT_EQ(decrypted(*with({.text = {}, .path = {}, .command = "echo 'a phrase'"}), stored), "text");
  // Who only writes needs none.
  EXPECT_NE(encrypted(*with({.text = {}, .path = {}, .command = "exit 3"}), "text"), "");
  expect_refused(*with({.text = {}, .path = {}, .command = "echo because >&2; exit 3"}), stored, Errc::config,
                 "exit status 3): because");
  expect_refused(*with({.text = {}, .path = {}, .command = "true"}), stored, Errc::config,
                 "SEAWALL_PGP_PASSPHRASE_COMMAND gives no passphrase");
  expect_refused(*with({.text = {}, .path = {}, .command = "echo wrong"}), stored, Errc::denied,
                 "the passphrase in SEAWALL_PGP_PASSPHRASE_COMMAND does not unlock it");
  expect_refused(*with({.text = {}, .path = path + ".absent", .command = {}}), stored, Errc::config,
                 "SEAWALL_PGP_PASSPHRASE_PATH");
  std::filesystem::remove(path);
}

TEST(OpenPgp, RefusesKeysThatCannotBeUsed) {
  expect_failure([] { encrypted(*crypter_of("revoked.public.asc"), ""); }, Errc::config, "is revoked");
  EXPECT_NE(encrypted(*crypter_of("expiring.public.asc"), ""), "");
  const Time later = in_time + std::chrono::days(3);
  expect_failure([&] { encrypted(*crypter_of("expiring.public.asc", {.now = later}), ""); }, Errc::config,
                 "has expired");
  expect_failure([] { encrypted(*crypter_of("none.asc"), ""); }, Errc::config, "none.asc");
  expect_failure([] { encrypted(*crypter_of("wal-g.sodium"), ""); }, Errc::config,
                 "the OpenPGP key in WALG_PGP_KEY_PATH cannot be used");
  std::string damaged = slurp(testdata("rsa.public.asc"));
  damaged[damaged.size() / 2] = damaged[damaged.size() / 2] == 'a' ? 'b' : 'a';
  expect_failure([&] { encrypted(*crypter_of_text(damaged), ""); }, Errc::config, "checksum");
  expect_failure([&] { encrypted(*crypter_of_text(damaged.substr(0, 500)), ""); }, Errc::config, "was cut");
}

/// A binary key ring with one of its bytes changed; armor would have noticed by itself.
TEST(OpenPgp, DoesNotBelieveWhatItsOwnerDidNotSign) {
  const SecretBytes packets = openpgp::dearmor(bytes_of(slurp(testdata("rsa.public.asc"))));
  const std::string good(text_of(packets.span()));
  Random random(test_seed());
  const test::TempDir dir;
  int used = 0;
  for (int i = 0; i < 300; ++i) {
    std::string changed = good;
    const std::size_t at = below(random, good.size());
    changed[at] = static_cast<char>(changed[at] ^ (1 << below(random, 8)));
    std::ofstream(dir / "key", std::ios::binary | std::ios::trunc) << changed;
    const auto crypter = make_openpgp({.key = {.setting = "S", .text = {}, .path = (dir / "key").string()}});
    std::string stored;
    if (failure_of([&] { stored = encrypted(*crypter, "text"); })) continue;
    // It could be used: then the key is the right one all the same.
    ++used;
    EXPECT_EQ(decrypted(*crypter_of("rsa.secret.asc"), stored), "text") << "byte " << at;
  }
  EXPECT_LT(used, 60);
}

TEST(OpenPgp, WorksWithAKeyOfTheUsersGnuPg) {
  const GnuPg gpg;
  ASSERT_EQ(setenv("GNUPGHOME", gpg.home().c_str(), 1), 0);
  const auto of_ring = [](std::string id, std::string passphrase = {}) {
    return make_openpgp({.key = {.setting = "WALG_GPG_KEY_ID", .text = {}, .path = {}},
                         .passphrase = {.text = std::move(passphrase), .path = {}, .command = {}},
                         .gpg_key_id = std::move(id)});
  };
  const auto crypter = of_ring("rsa@example.invalid");
  const std::string stored = encrypted(*crypter, sample_text());
  EXPECT_EQ(decrypted(*crypter, stored), sample_text());
  EXPECT_EQ(decrypted(*crypter_of("rsa.secret.asc"), stored), sample_text());
  EXPECT_EQ(decrypted(*crypter, slurp(testdata("gpg-hidden.pgp"))), sample_text());
  EXPECT_EQ(decrypted(*crypter, slurp(testdata("rnp-ocb.pgp"))), sample_text());

  const std::string for_curve = encrypted(*of_ring("curve@example.invalid"), sample_text());
  expect_refused(*of_ring("curve@example.invalid", "wrong"), for_curve, Errc::denied, "WALG_GPG_KEY_ID");
  EXPECT_EQ(decrypted(*of_ring("curve@example.invalid", "a phrase"), for_curve), sample_text());

  expect_failure([&] { encrypted(*of_ring("nobody@example.invalid"), ""); }, Errc::config,
                 "gpg gives no public key for 'nobody@example.invalid'");
  expect_failure([&] { encrypted(*of_ring("--version"), ""); }, Errc::config, "gpg gives no public key");
  expect_refused(*crypter, encrypted(*crypter_of("nist.secret.asc"), "text"), Errc::denied,
                 "wal_005/x.lz4: gpg cannot decrypt the object's session key (WALG_GPG_KEY_ID)");
  std::string changed = stored;
  changed[stored.size() - 5] ^= 1;
  expect_refused(*crypter, changed, Errc::corrupt, "damaged");
  ASSERT_EQ(unsetenv("GNUPGHOME"), 0);

  const auto no_program = make_openpgp(
      {.key = {.setting = "S", .text = {}, .path = {}}, .gpg_key_id = "x", .gpg_program = "/nonexistent/gpg"});
  expect_failure([&] { encrypted(*no_program, ""); }, Errc::config, "'/nonexistent/gpg' cannot be started");
}

TEST(OpenPgp, ServesSeveralThreads) {
  const auto shared = crypter_of("curve.secret.asc", {.passphrase = "a phrase"});
  std::array<std::string, 4> results;
  std::vector<std::jthread> threads;
  threads.reserve(4);
  for (std::string& result : results) {
    threads.emplace_back([&shared, &result] {
      for (int i = 0; i < 10; ++i) result = decrypted(*shared, encrypted(*shared, std::string(50000, 'x')));
    });
  }
  threads.clear();
  for (const std::string& result : results) EXPECT_EQ(result, std::string(50000, 'x'));
}

}  // namespace
}  // namespace seawall::crypto
