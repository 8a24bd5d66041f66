#include "crypto/crypto.hh"
#include "crypto/dare.hh"
#include "crypto/test_support.hh"
#include "support/temp_dir.hh"

namespace seawall::crypto {
namespace {

/// A service that "encrypts" by a mask, a check sum and padding to a fixed size, and counts what it is asked.
class FakeService {
 public:
  explicit FakeService(std::size_t blob_bytes) : blob_bytes_(blob_bytes) {}

  std::string wrap(std::string_view plain) const {
    std::string blob;
    for (const char c : plain) blob.push_back(static_cast<char>(c ^ 0x5A));
    blob.push_back(static_cast<char>(plain.size() & 0xFF));
    blob.push_back(static_cast<char>(plain.size() >> 8));
    blob.resize(std::max(blob_bytes_, blob.size() + 1), 'p');
    blob.back() = sum(blob);
    return blob;
  }

  KeyService service(std::string name = "KMS key test") {
    return {.name = std::move(name),
            .new_key =
                [this] {
                  Random random(++keys_);
                  const std::string plain = noise(random, 32);
                  return KeyService::DataKey{SecretBytes::copy_of(bytes_of(plain)), wrap(plain)};
                },
            .decrypt =
                [this](Bytes blob) {
                  ++decryptions_;
                  if (fails_) throw Error(Errc::network, "no route to the service");
                  return unwrap(std::string(text_of(blob)));
                }};
  }

  std::uint64_t keys() const { return keys_; }
  int decryptions() const { return decryptions_; }
  void fail(bool fails) { fails_ = fails; }

 private:
  /// One changed bit always changes it.
  static char sum(std::string_view blob) {
    unsigned total = 0;
    for (std::size_t i = 0; i + 1 < blob.size(); ++i) total += static_cast<unsigned char>(blob[i]);
    return static_cast<char>(total);
  }

  SecretBytes unwrap(const std::string& blob) const {
    if (blob.back() != sum(blob)) throw Error(Errc::denied, "InvalidCiphertextException");
    std::string plain;
    for (const char c : blob.substr(0, plain_bytes(blob))) plain.push_back(static_cast<char>(c ^ 0x5A));
    return SecretBytes::copy_of(bytes_of(plain));
  }

  std::size_t plain_bytes(const std::string& blob) const { return blob.size() <= 200 ? 32 : blob.size() - 3; }

  std::size_t blob_bytes_;
  std::uint64_t keys_ = 0;
  int decryptions_ = 0;
  bool fails_ = false;
};

SecretBytes sio_key() {
  SecretBytes key(32);
  for (std::size_t i = 0; i < 32; ++i) key.data()[i] = static_cast<std::byte>(i);
  return key;
}

std::string opened(std::string_view stored, bool only_aes = false) {
  StringSink out;
  const auto stage = open_dare(sio_key(), {.name = "x", .only_aes = only_aes}, out);
  stage->write(bytes_of(stored));
  stage->finish();
  return out.text();
}

TEST(Dare, ReadsWhatTheReferenceLibraryWrote) {
  for (const char* name : {"sio-aes.dare", "sio-chacha.dare", "sio-v1.dare"}) {
    EXPECT_EQ(opened(slurp(testdata(name))), sample_text()) << name;
  }
  EXPECT_EQ(opened(slurp(testdata("sio-aes.dare")), true), sample_text());
  expect_failure([] { opened(slurp(testdata("sio-chacha.dare")), true); }, Errc::corrupt, "cipher");
  expect_failure([] { opened(slurp(testdata("sio-v1.dare")), true); }, Errc::corrupt, "not in the format");
}

TEST(Dare, MarksOnlyTheLastPackageAndFillsTheOthers) {
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{65536}, std::size_t{65537}, std::size_t{262144}, std::size_t{300000}}) {
    StringSink out;
    const auto stage = seal_dare(sio_key(), out);
    stage->write(bytes_of(std::string(size, 'x')));
    stage->finish();
    const std::string& stored = out.text();
    const std::size_t packages = (size - 1) / 65536 + 1;
    ASSERT_EQ(stored.size(), size + std::size_t{32} * packages);
    for (std::size_t i = 0; i < packages; ++i) {
      const std::string header = stored.substr(i * 65568, 16);
      EXPECT_EQ(header.substr(0, 2), std::string("\x20\0", 2));
      EXPECT_EQ((header[4] & 0x80) != 0, i + 1 == packages);
      EXPECT_EQ(header.substr(5), stored.substr(5, 11));
      const std::size_t length = load_le<std::uint16_t>(bytes_of(header), 2) + std::size_t{1};
      EXPECT_EQ(length, i + 1 == packages ? size - i * 65536 : 65536);
    }
    EXPECT_EQ(opened(stored), std::string(size, 'x'));
  }
}

TEST(Dare, RefusesPackagesThatWereMovedOrTakenFromAnotherObject) {
  const auto sealed = [] {
    StringSink out;
    const auto stage = seal_dare(sio_key(), out);
    stage->write(bytes_of(std::string(196608, 'x')));
    stage->finish();
    return out.text();
  };
  const std::string one = sealed(), other = sealed();
  const auto package = [](const std::string& of, std::size_t i) { return of.substr(i * 65568, 65568); };
  const auto refused = [](const std::string& stored, std::string_view cause) {
    expect_failure([&] { opened(stored); }, Errc::corrupt, cause);
  };
  refused(package(one, 1) + package(one, 0) + package(one, 2), "damaged");
  refused(package(one, 0) + package(one, 2), "damaged");
  refused(package(one, 0) + package(other, 1) + package(one, 2), "another object");
  refused(package(one, 0) + package(one, 1), "was cut");
  refused(one + package(one, 2), "goes on after its last package");
}

TEST(AwsKms, RoundTripsWithAKeyForEachObject) {
  FakeService fake(184);
  const auto crypter = make_aws_kms(fake.service());
  expect_round_trips(*crypter);
  const auto before = fake.keys();
  const std::string stored = encrypted(*crypter, "text");
  EXPECT_EQ(stored.size(), 184 + 16 + 4 + 16U);
  encrypted(*crypter, "text");
  EXPECT_EQ(fake.keys(), before + 2);
}

TEST(AwsKms, RefusesEveryChangeAndCut) {
  FakeService fake(184);
  const auto crypter = make_aws_kms(fake.service());
  expect_flips_refused(*crypter, std::string(70000, 'x'), false);
  expect_cuts_refused(*crypter, std::string(5000, 'x'), 0);
}

TEST(AwsKms, RefusesABlobThatCouldNotBeFoundAgain) {
  FakeService fake(190);
  expect_failure([&] { encrypted(*make_aws_kms(fake.service()), ""); }, Errc::unsupported, "190 bytes");
}

TEST(AwsKms, NamesTheObjectWhenTheServiceFails) {
  FakeService fake(184);
  const auto crypter = make_aws_kms(fake.service());
  const std::string stored = encrypted(*crypter, "text");
  fake.fail(true);
  expect_refused(*crypter, stored, Errc::network, "wal_005/x.lz4: key of the object, by KMS key test: no route");
  fake.fail(false);
  expect_refused(*crypter, "\x04\x22\x4d\x18" + std::string(9000, 'x'), Errc::config, "not encrypted");
}

TEST(YandexKms, RoundTripsAndWritesItsHeader) {
  FakeService fake(100);
  const auto crypter = make_yandex_kms(fake.service());
  expect_round_trips(*crypter);
  const std::string stored = encrypted(*crypter, "text");
  EXPECT_EQ(stored.substr(0, 10), std::string("yckms\x01\x64\0\0\0", 10));
  EXPECT_EQ(stored.size(), 10 + 100 + 32 + 4U);
  EXPECT_EQ(seems_encrypted(bytes_of(stored)), "Yandex KMS");
}

TEST(YandexKms, RefusesEveryChangeAndCut) {
  FakeService fake(100);
  const auto crypter = make_yandex_kms(fake.service());
  expect_flips_refused(*crypter, std::string(70000, 'x'), false);
  expect_cuts_refused(*crypter, std::string(5000, 'x'), 0);
  expect_refused(*crypter, std::string("yckms\x01\x01\x10\0\0", 10) + std::string(5000, 'x'), Errc::corrupt,
                 "damaged header");
  expect_refused(*crypter, std::string(500, 'x'), Errc::corrupt, "not encrypted as YC_CSE_KMS_KEY_ID asks");
}

class EnvelopePgp : public testing::Test {
 protected:
  std::shared_ptr<const Crypter> crypter(std::chrono::nanoseconds cache = {}) {
    return make_envelope_pgp(
        {.key = {.setting = "WALG_ENVELOPE_PGP_KEY", .text = wrapped_, .path = {}}, .cache = cache, .clock = &clock_},
        fake_.service());
  }

  static std::string base64(std::string_view data) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < data.size(); i += 3) {
      unsigned group = 0;
      for (std::size_t k = 0; k < 3; ++k)
        group = group << 8 | (i + k < data.size() ? static_cast<unsigned char>(data[i + k]) : 0U);
      for (std::size_t k = 0; k < 4; ++k) out += i + k > data.size() ? '=' : digits[group >> (18 - 6 * k) & 63];
    }
    return out;
  }

  ManualClock clock_{Time(std::chrono::seconds(1795300000))};
  FakeService fake_{0};
  std::string wrapped_ = base64(fake_.wrap(slurp(testdata("rsa.secret.asc"))));
};

TEST_F(EnvelopePgp, RoundTripsAndPutsTheEncryptedKeyInFront) {
  const auto shared = crypter();
  expect_round_trips(*shared);
  EXPECT_EQ(fake_.decryptions(), 1);
  const std::string stored = encrypted(*shared, "text");
  EXPECT_EQ(stored.substr(0, 36), std::string("envelope-yc-kms\x01\x10\0\0\0", 20) + "D7BA44FB2D42A7C4");
  const auto key_bytes = load_le<std::uint32_t>(bytes_of(stored), 36);
  EXPECT_EQ(stored.substr(40, key_bytes), fake_.wrap(slurp(testdata("rsa.secret.asc"))));
  // What follows is an ordinary message.
  const auto plain_pgp =
      make_openpgp({.key = {.setting = "S", .text = {}, .path = testdata("rsa.secret.asc").string()}});
  EXPECT_EQ(decrypted(*plain_pgp, stored.substr(40 + key_bytes)), "text");
}

TEST_F(EnvelopePgp, RefusesEveryChangeAndCut) {
  const auto shared = crypter();
  expect_cuts_refused(*shared, std::string(5000, 'x'), 50);
  expect_refused(*shared, std::string("envelope-yc-kms\x01\xff\xff\0\0", 20) + std::string(9000, 'x'), Errc::corrupt,
                 "damaged header");
  expect_refused(*shared, std::string(500, 'x'), Errc::corrupt, "not encrypted as WALG_ENVELOPE_PGP_KEY asks");
  expect_refused(*shared, slurp(testdata("wal-g.pgp")), Errc::config, "encrypted with OpenPGP");
}

TEST_F(EnvelopePgp, AsksTheServiceAgainWhenTheTimeIsOver) {
  const auto shared = crypter(std::chrono::minutes(10));
  encrypted(*shared, "text");
  encrypted(*shared, "text");
  EXPECT_EQ(fake_.decryptions(), 1);
  clock_.advance(std::chrono::minutes(11));
  encrypted(*shared, "text");
  EXPECT_EQ(fake_.decryptions(), 2);
  clock_.advance(std::chrono::minutes(11));
  fake_.fail(true);
  EXPECT_NE(encrypted(*shared, "text"), "");  // with the key it has
  expect_failure([&] { encrypted(*crypter(), "text"); }, Errc::network, "OpenPGP key in WALG_ENVELOPE_PGP_KEY");
}

TEST_F(EnvelopePgp, RefusesAKeyThatIsNotBase64) {
  wrapped_ = "not base64!";
  expect_failure([&] { encrypted(*crypter(), ""); }, Errc::config, "not base64");
}

}  // namespace
}  // namespace seawall::crypto
