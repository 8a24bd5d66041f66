#include "support/ciphers.hh"
#include "support/codec_streams.hh"

namespace seawall::pipeline {
namespace {

using codec::Random;

/// What stands between a file and a store, put together as the pipeline does it.
struct Encoding {
  const codec::Codec& codec;
  const crypto::Crypter* crypter;  // null: none

  std::string stored(std::string_view raw, Random& random, CpuPool* pool) const {
    codec::PieceSink out;
    const auto cipher = crypter != nullptr ? crypter->encrypt("object", out) : nullptr;
    Sink& behind = cipher ? static_cast<Sink&>(*cipher) : out;
    const auto encoder = codec.encode({.key = "object", .size_hint = raw.size(), .pool = pool}, 0, behind);
    codec::push(*encoder, raw, random);
    encoder->finish();
    if (cipher) cipher->finish();
    return std::move(out.text);
  }

  std::string read(std::string_view stored, Random& random) const {
    codec::PieceSink out;
    const auto decoder = codec.decode({.key = "object", .size_hint = {}}, out);
    const auto cipher = crypter != nullptr ? crypter->decrypt("object", *decoder) : nullptr;
    codec::push(cipher ? *cipher : *decoder, stored, random);
    if (cipher) cipher->finish();
    decoder->finish();
    return std::move(out.text);
  }
};

TEST(RoundTrip, AnyBytesComeBackWithAnyCodecAndCipherInAnyPieces) {
  const std::uint64_t seed = codec::test_seed();
  Random random(seed);
  CpuPool pool(2);
  const std::vector<test::Cipher> ciphers = test::ciphers();
  for (int round = 0; round < 6; ++round) {
    for (const codec::Codec& codec : codec::all_codecs()) {
      if (codec.encode == nullptr) continue;
      for (const test::Cipher& cipher : ciphers) {
        SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} round {} {} with {}", seed, round, codec.name, cipher.name));
        const std::string raw =
            codec::some_content(random, codec::below(random, std::size_t{1} << (1 + codec::below(random, 21))));
        const Encoding encoding{codec, cipher.crypter.get()};
        const std::string stored = encoding.stored(raw, random, random() % 2 == 0 ? &pool : nullptr);
        ASSERT_TRUE(encoding.read(stored, random) == raw) << raw.size() << " bytes";
      }
    }
  }
}

/// Not even the name of a codec can be told from what is encrypted, and two objects never look the same.
TEST(RoundTrip, WhatIsEncryptedLooksLikeNothing) {
  Random random(1);
  const std::string raw = codec::some_content(random, 100000);
  for (const test::Cipher& cipher : test::ciphers()) {
    if (cipher.crypter == nullptr) continue;
    const Encoding encoding{*codec::find_codec("none"), cipher.crypter.get()};
    const std::string first = encoding.stored(raw, random, nullptr);
    const std::string second = encoding.stored(raw, random, nullptr);
    EXPECT_TRUE(first != second) << cipher.name;
    for (std::size_t at = 0; at + 64 < raw.size(); at += 997) {
      if (raw.substr(at, 64) == std::string(64, '\0')) continue;
      ASSERT_EQ(first.find(raw.substr(at, 64)), std::string::npos) << cipher.name;
    }
  }
}

}  // namespace
}  // namespace seawall::pipeline
