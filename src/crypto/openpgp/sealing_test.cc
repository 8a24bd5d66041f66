#include "crypto/openpgp/sealing.hh"

#include "crypto/openpgp/cfb.hh"
#include "crypto/test_support.hh"

namespace seawall::crypto::openpgp {
namespace {

/// What OpenSSL's own CFB and SHA-1 make of it.
std::string expected_of(const std::string& key, const std::string& plain) {
  std::string all = plain + std::string(sha1_bytes, '\0');
  EXPECT_EQ(EVP_Digest(plain.data(), plain.size(), reinterpret_cast<unsigned char*>(all.data() + plain.size()), nullptr,
                       EVP_sha1(), nullptr),
            1);
  const EVP_CIPHER* cipher = key.size() == 16   ? EVP_aes_128_cfb128()
                             : key.size() == 24 ? EVP_aes_192_cfb128()
                                                : EVP_aes_256_cfb128();
  const ossl::CipherContext context(EVP_CIPHER_CTX_new());
  const std::array<unsigned char, 16> zeros{};
  std::string out(all.size(), '\0');
  int length = 0;
  EXPECT_EQ(EVP_EncryptInit_ex(context.get(), cipher, nullptr, reinterpret_cast<const unsigned char*>(key.data()),
                               zeros.data()),
            1);
  EXPECT_EQ(EVP_EncryptUpdate(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length,
                              reinterpret_cast<const unsigned char*>(all.data()), static_cast<int>(all.size())),
            1);
  return out;
}

MutableBytes writable(std::string& text) { return std::as_writable_bytes(std::span(text)); }

/// A random number of whole units, at most `limit` bytes.
std::size_t some_units(Random& random, std::size_t limit) {
  return below(random, limit / Sealing::unit + 1) * Sealing::unit;
}

std::string sealed(Sealing& sealing, const std::string& plain, Random& random) {
  std::string data = plain + std::string(sha1_bytes, '\0');
  std::string out(data.size(), '\0');
  const std::size_t before = some_units(random, plain.size());
  std::size_t at = 0;
  while (at < before) {
    const std::size_t n = some_units(random, before - at);
    sealing.run(bytes_of(data).subspan(at, n), writable(out).data() + at);
    at += n;
  }
  sealing.finish(writable(data).subspan(at), writable(out).data() + at);
  return out;
}

std::pair<std::string, Opening::Digest> opened(Opening& opening, const std::string& stored, Random& random) {
  std::string out(stored.size(), '\0');
  const std::size_t before = stored.size() / Sealing::unit * Sealing::unit;
  std::size_t at = 0;
  while (at < before) {
    // In another place each time, since callers use their buffers again.
    const std::size_t n = some_units(random, before - at);
    std::string part(n, '\0');
    opening.run(bytes_of(stored).subspan(at, n), writable(part).data());
    std::copy_n(part.begin(), n, out.begin() + static_cast<std::ptrdiff_t>(at));
    at += n;
  }
  const Opening::Digest digest = opening.finish(bytes_of(stored).subspan(at), writable(out).data() + at);
  return {out, digest};
}

TEST(Sealing, EveryWayGivesWhatOpenSslGives) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  const bool has_fused = make_fused_sealing(bytes_of(std::string(16, 'k'))) != nullptr;
  std::vector<std::size_t> sizes{0,  1,  19,  20,  43,  44,  45,  55,  56,    63,
                                 64, 65, 107, 108, 109, 119, 120, 128, 16384, 70000};
  for (int i = 0; i < 60; ++i) sizes.push_back(below(random, 40000));
  for (const std::size_t key_bytes : {16U, 24U, 32U}) {
    for (const std::size_t size : sizes) {
      SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} key {} size {}", seed, key_bytes, size));
      const std::string key = noise(random, key_bytes), plain = noise(random, size);
      const std::string expected = expected_of(key, plain);
      ASSERT_TRUE(sealed(*make_portable_sealing(bytes_of(key)), plain, random) == expected);
      const auto portable = opened(*make_portable_opening(bytes_of(key)), expected, random);
      ASSERT_TRUE(portable.first.substr(0, size) == plain);
      ASSERT_TRUE(std::ranges::equal(bytes_of(portable.first).last(sha1_bytes), portable.second));
      if (!has_fused) continue;
      ASSERT_TRUE(sealed(*make_fused_sealing(bytes_of(key)), plain, random) == expected);
      const auto fused = opened(*make_fused_opening(bytes_of(key)), expected, random);
      ASSERT_TRUE(fused == portable);
    }
  }
}

TEST(Cfb, DecryptsFromAnyRegisterInPlace) {
  Random random(1);
  const std::string key = noise(random, 32), plain = noise(random, 1000), start = noise(random, 16);
  const ossl::CipherContext context(EVP_CIPHER_CTX_new());
  std::string stored(plain.size(), '\0');
  int length = 0;
  ASSERT_EQ(EVP_EncryptInit_ex(context.get(), EVP_aes_256_cfb128(), nullptr,
                               reinterpret_cast<const unsigned char*>(key.data()),
                               reinterpret_cast<const unsigned char*>(start.data())),
            1);
  ASSERT_EQ(EVP_EncryptUpdate(context.get(), reinterpret_cast<unsigned char*>(stored.data()), &length,
                              reinterpret_cast<const unsigned char*>(plain.data()), static_cast<int>(plain.size())),
            1);
  Cfb cfb(Cfb::Direction::decrypt, bytes_of(key), bytes_of(start));
  cfb.run(bytes_of(stored).first(160), writable(stored).data());
  cfb.run(bytes_of(stored).subspan(160), writable(stored).data() + 160);
  EXPECT_TRUE(stored == plain);
}

}  // namespace
}  // namespace seawall::crypto::openpgp
