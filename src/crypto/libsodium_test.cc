#include <sodium.h>

#include <thread>

#include "crypto/crypto.hh"
#include "crypto/test_support.hh"
#include "support/temp_dir.hh"

namespace seawall::crypto {
namespace {

constexpr std::string_view key_text = "0123456789abcdef0123456789abcdef";

KeySource inline_key(std::string text) {
  return {.setting = "WALG_LIBSODIUM_KEY", .text = std::move(text), .path = {}};
}

std::shared_ptr<const Crypter> crypter_with(std::string text, std::string transform = "none") {
  return make_libsodium({.key = inline_key(std::move(text)), .transform = std::move(transform)});
}

std::shared_ptr<const Crypter> crypter() { return crypter_with(std::string(key_text)); }

unsigned char* raw(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* raw(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

/// What the library makes of `chunks`, the last one final.
std::string made_by_library(const std::vector<std::string>& chunks) {
  crypto_secretstream_xchacha20poly1305_state state;
  std::string out(crypto_secretstream_xchacha20poly1305_HEADERBYTES, '\0');
  EXPECT_EQ(crypto_secretstream_xchacha20poly1305_init_push(&state, raw(out), raw(std::string(key_text))), 0);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    std::string sealed(chunks[i].size() + crypto_secretstream_xchacha20poly1305_ABYTES, '\0');
    const auto tag = i + 1 == chunks.size() ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0;
    EXPECT_EQ(crypto_secretstream_xchacha20poly1305_push(&state, raw(sealed), nullptr, raw(chunks[i]), chunks[i].size(),
                                                         nullptr, 0, static_cast<unsigned char>(tag)),
              0);
    out += sealed;
  }
  return out;
}

TEST(Libsodium, RoundTripsWhateverTheChunks) { expect_round_trips(*crypter()); }

TEST(Libsodium, WritesChunksOf8192BytesWithAShorterFinalOne) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{8191}, std::size_t{8192}, std::size_t{20000}}) {
    const std::string stored = encrypted(*crypter(), std::string(size, 'x'));
    ASSERT_EQ(stored.size(), 24 + size + 17 * (size / 8192 + 1)) << size;
    crypto_secretstream_xchacha20poly1305_state state;
    ASSERT_EQ(crypto_secretstream_xchacha20poly1305_init_pull(&state, raw(stored), raw(std::string(key_text))), 0);
    std::size_t at = 24;
    std::string plain;
    for (std::size_t chunk = 0; chunk <= size / 8192; ++chunk) {
      const std::size_t length = std::min<std::size_t>(8209, stored.size() - at);
      std::string opened(length - 17, '\0');
      unsigned char tag = 99;
      ASSERT_EQ(crypto_secretstream_xchacha20poly1305_pull(&state, raw(opened), nullptr, &tag, raw(stored) + at, length,
                                                           nullptr, 0),
                0);
      EXPECT_EQ(tag, chunk == size / 8192 ? 3 : 0);
      plain += opened;
      at += length;
    }
    EXPECT_EQ(plain, std::string(size, 'x'));
  }
}

TEST(Libsodium, ReadsWhatTheLibraryWrites) {
  Random random(1);
  const std::string a = noise(random, 8192), b = noise(random, 8192), c = noise(random, 77);
  EXPECT_EQ(decrypted(*crypter(), made_by_library({a, b, c})), a + b + c);
  EXPECT_EQ(decrypted(*crypter(), made_by_library({a, ""})), a);
}

TEST(Libsodium, ReadsWhatWalgWrote) {
  EXPECT_EQ(decrypted(*crypter(), slurp(testdata("wal-g.sodium"))), sample_text());
}

TEST(Libsodium, ReadsBothFormsOfNoBytes) {
  EXPECT_EQ(encrypted(*crypter(), "").size(), 41U);
  EXPECT_EQ(decrypted(*crypter(), encrypted(*crypter(), "")), "");
  const std::string headless("\x9c\x08\xf2\x76\xd1\xf4\xbc\x1e\x88\xfd\x63\x0d\x9f\xf1\x4d\x74\xbf", 17);
  EXPECT_EQ(decrypted(*crypter(), headless), "");
  std::string other = headless;
  other[3] ^= 1;
  expect_refused(*crypter(), other, Errc::corrupt, "too short");
  expect_refused(*crypter(), "", Errc::corrupt, "is empty");
}

TEST(Libsodium, RefusesEveryChangeAndEveryCut) {
  Random random(2);
  const std::string plain = noise(random, 3 * 8192 + 100);
  expect_flips_refused(*crypter(), plain, false);
  expect_cuts_refused(*crypter(), plain);
}

TEST(Libsodium, RefusesAnObjectCutBetweenTwoChunks) {
  const std::string stored = encrypted(*crypter(), std::string(24576, 'x'));
  for (const std::size_t chunks : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    expect_refused(*crypter(), stored.substr(0, 24 + chunks * 8209), Errc::corrupt,
                   "wal_005/x.lz4: encrypted object was cut: its last chunk is missing");
  }
}

TEST(Libsodium, RefusesAFinalChunkOfFullSize) {
  expect_refused(*crypter(), made_by_library({std::string(8192, 'x')}), Errc::corrupt, "last chunk too early");
}

TEST(Libsodium, RefusesSwappedChunks) {
  std::string stored = encrypted(*crypter(), std::string(8192, 'a') + std::string(8192, 'b'));
  stored =
      stored.substr(0, 24) + stored.substr(24 + 8209, 8209) + stored.substr(24, 8209) + stored.substr(24 + 2 * 8209);
  expect_refused(*crypter(), stored, Errc::denied, "damaged");
}

TEST(Libsodium, NamesAWrongKeyAndTheSettingThatGaveIt) {
  const std::string stored = encrypted(*crypter(), "text");
  const auto other = crypter_with("another key of enough length");
  expect_refused(*other, stored + std::string(9000, 'x'), Errc::denied,
                 "wal_005/x.lz4: object cannot be decrypted with the key in WALG_LIBSODIUM_KEY");
  expect_refused(*other, stored, Errc::denied, "with another key");
}

TEST(Libsodium, SaysThatAnObjectIsNotEncrypted) {
  expect_refused(*crypter(), "\x04\x22\x4d\x18" + std::string(9000, 'x'), Errc::config,
                 "wal_005/x.lz4: object is not encrypted (it looks like lz4), but WALG_LIBSODIUM_KEY asks");
  expect_refused(*crypter(), "\x04\x22\x4d\x18x", Errc::config, "not encrypted");
  expect_refused(*crypter(), slurp(testdata("wal-g.pgp")), Errc::config, "encrypted with OpenPGP");
}

TEST(Libsodium, TransformsKeysAsWalgDoes) {
  const std::string stored = encrypted(*crypter(), "text");
  // Text is cut to 32 bytes or filled with zeros.
  EXPECT_EQ(decrypted(*crypter_with(std::string(key_text) + "more"), stored), "text");
  const std::string short_key(25, 'k');
  std::string hex;
  for (int i = 0; i < 25; ++i) hex += "6B";
  for (int i = 0; i < 7; ++i) hex += "00";
  EXPECT_EQ(decrypted(*crypter_with(hex, "hex"), encrypted(*crypter_with(short_key), "text")), "text");
  EXPECT_EQ(decrypted(*crypter_with("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "base64"), stored), "text");
}

TEST(Libsodium, RefusesKeysThatAreNone) {
  const auto refused = [](std::string text, std::string transform, std::string_view cause) {
    expect_failure([&] { encrypted(*crypter_with(text, transform), ""); }, Errc::config, cause);
    expect_failure([&] { decrypted(*crypter_with(text, transform), ""); }, Errc::config, "WALG_LIBSODIUM_KEY");
  };
  refused(std::string(24, 'k'), "none", "24 characters");
  refused("6B6B", "hex", "not hex of 32 bytes");
  refused(std::string(64, 'g'), "hex", "not hex");
  refused("MDEy", "base64", "not base64 of 32 bytes");
  refused("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", "base64", "not base64");
  expect_failure([] { crypter_with("x", "rot13"); }, Errc::config, "none, hex or base64");
}

TEST(Libsodium, ReadsKeysFromFilesWithoutTheSpaceAroundThem) {
  const test::TempDir dir;
  const auto from_file = [&](std::string_view content) {
    std::ofstream(dir / "key", std::ios::binary) << content;
    return make_libsodium({.key = {.setting = "WALG_LIBSODIUM_KEY_PATH", .text = {}, .path = (dir / "key").string()}});
  };
  const std::string stored = encrypted(*crypter(), "text");
  EXPECT_EQ(decrypted(*from_file(" \t" + std::string(key_text) + "\r\n\n"), stored), "text");
  expect_failure([&] { decrypted(*from_file(""), stored); }, Errc::config, "is empty");
  std::filesystem::remove(dir / "key");
  const auto gone =
      make_libsodium({.key = {.setting = "WALG_LIBSODIUM_KEY_PATH", .text = {}, .path = (dir / "key").string()}});
  expect_failure([&] { decrypted(*gone, stored); }, Errc::config, "WALG_LIBSODIUM_KEY_PATH");
  // It is read at the first use and only then.
  std::ofstream(dir / "key") << key_text;
  EXPECT_EQ(decrypted(*gone, stored), "text");
  std::filesystem::remove(dir / "key");
  EXPECT_EQ(decrypted(*gone, stored), "text");
}

TEST(Libsodium, ServesSeveralThreadsAndOutlivesItsCrypter) {
  const auto shared = crypter();
  std::vector<std::jthread> threads;
  threads.reserve(4);
  std::array<std::string, 4> results;
  for (std::string& result : results) {
    threads.emplace_back([&shared, &result] {
      for (int i = 0; i < 20; ++i) result = decrypted(*shared, encrypted(*shared, std::string(50000, 'x')));
    });
  }
  threads.clear();
  for (const std::string& result : results) EXPECT_EQ(result, std::string(50000, 'x'));

  StringSink out;
  auto temporary = crypter();
  const auto stage = temporary->decrypt("x", out);
  temporary.reset();
  stage->write(bytes_of(encrypted(*shared, "text")));
  stage->finish();
  EXPECT_EQ(out.text(), "text");
}

}  // namespace
}  // namespace seawall::crypto
