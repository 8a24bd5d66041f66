#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <sstream>
#include <string>

#include "base/error.hh"
#include "crypto/crypto.hh"

/// What the room's tests share.
namespace seawall::crypto {

using Random = std::mt19937_64;

inline std::size_t below(Random& random, std::size_t limit) { return static_cast<std::size_t>(random() % limit); }

/// SEAWALL_TEST_SEED repeats a run; every failure prints the seed.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("SEAWALL_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

inline std::string noise(Random& random, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

/// What every sample in testdata/ holds: lines that a program which takes the content for text would change.
inline std::string sample_text() {
  std::string text;
  for (int i = 0; i < 200; ++i) text += fmt::format("line {} of the sample\r\n", i);
  return text;
}

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::filesystem::path testdata(std::string_view name) {
  return std::filesystem::path(SEAWALL_CRYPTO_TESTDATA) / name;
}

/// Pushes `text` in pieces of random sizes, by write() and by space().
inline void push(Filter& filter, std::string_view text, Random& random) {
  constexpr std::array<std::size_t, 5> largest{1, 100, 5000, 70000, 1 << 20};
  const std::size_t limit = std::max(largest[below(random, largest.size())], text.size() / 3000);
  while (!text.empty()) {
    std::size_t n = std::min(text.size(), 1 + below(random, limit));
    if (random() % 2 == 0) {
      filter.write(bytes_of(text.substr(0, n)));
    } else {
      const MutableBytes room = filter.space();
      ASSERT_FALSE(room.empty());
      n = std::min(n, room.size());
      std::memcpy(room.data(), text.data(), n);
      filter.filled(n);
    }
    text.remove_prefix(n);
  }
}

inline std::string encrypted(const Crypter& crypter, std::string_view plain) {
  StringSink out;
  const auto stage = crypter.encrypt("wal_005/x.lz4", out);
  stage->write(bytes_of(plain));
  stage->finish();
  return out.text();
}

inline std::string decrypted(const Crypter& crypter, std::string_view stored) {
  StringSink out;
  const auto stage = crypter.decrypt("wal_005/x.lz4", out);
  stage->write(bytes_of(stored));
  stage->finish();
  return out.text();
}

/// The error that `work` ends with, or nothing.
inline std::optional<Error> failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

inline void expect_failure(const std::function<void()>& work, Errc code, std::string_view text) {
  const auto failure = failure_of(work);
  ASSERT_TRUE(failure) << "accepted, expected: " << text;
  EXPECT_EQ(info(failure->code()).name, info(code).name) << failure->what();
  EXPECT_NE(std::string_view(failure->what()).find(text), std::string_view::npos) << failure->what();
}

inline void expect_refused(const Crypter& crypter, std::string_view stored, Errc code, std::string_view text) {
  expect_failure([&] { decrypted(crypter, stored); }, code, text);
}

/// Round trips of random content in random pieces, and sizes around every boundary.
inline void expect_round_trips(const Crypter& crypter) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  std::vector<std::size_t> sizes{0,     1,     15,     16,     17,     8191,   8192,   8193,   16384,  65535,
                                 65536, 65537, 131065, 131066, 131067, 131072, 262143, 262144, 262145, 1000000};
  for (int i = 0; i < 30; ++i) sizes.push_back(below(random, std::size_t{1} << (1 + below(random, 20))));
  for (const std::size_t size : sizes) {
    SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} size {}", seed, size));
    const std::string plain = noise(random, size);
    StringSink stored;
    const auto encryptor = crypter.encrypt("x", stored);
    push(*encryptor, plain, random);
    encryptor->finish();
    if (size >= 16) {
      EXPECT_EQ(stored.text().find(plain.substr(0, 16)), std::string::npos);
    }
    StringSink back;
    const auto decryptor = crypter.decrypt("x", back);
    push(*decryptor, stored.text(), random);
    decryptor->finish();
    ASSERT_TRUE(back.text() == plain);
  }
}

/// Changes a bit at `places` places, one at a time. Where the format does not cover a byte (`may_pass`) the content
/// must still be what it was.
inline void expect_flips_refused(const Crypter& crypter, std::string_view plain, bool may_pass, int places = 300) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  const std::string stored = encrypted(crypter, plain);
  int passed = 0;
  for (int i = 0; i < places; ++i) {
    // The headers are few bytes among many, so every second flip is there.
    const std::size_t at = below(random, i % 2 == 0 ? std::min<std::size_t>(stored.size(), 320) : stored.size());
    std::string changed = stored;
    changed[at] = static_cast<char>(changed[at] ^ (1 << below(random, 8)));
    SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} byte {} of {}", seed, at, stored.size()));
    std::string back;
    const auto failure = failure_of([&] { back = decrypted(crypter, changed); });
    if (!failure) {
      ++passed;
      ASSERT_TRUE(may_pass);
      ASSERT_TRUE(back == plain);
    } else {
      EXPECT_NE(std::string_view(failure->what()).find("wal_005/x.lz4"), std::string_view::npos) << failure->what();
    }
  }
  EXPECT_LT(passed, places / 20);
}

/// Cuts at `places` places and at each of the last 100 bytes.
inline void expect_cuts_refused(const Crypter& crypter, std::string_view plain, int places = 200) {
  Random random(test_seed());
  const std::string stored = encrypted(crypter, plain);
  std::vector<std::size_t> lengths;
  lengths.reserve(static_cast<std::size_t>(places) + 100);
  for (int i = 0; i < places; ++i) lengths.push_back(below(random, stored.size()));
  for (std::size_t i = 1; i <= std::min<std::size_t>(100, stored.size()); ++i) lengths.push_back(stored.size() - i);
  for (const std::size_t length : lengths) {
    const auto failure = failure_of([&] { decrypted(crypter, stored.substr(0, length)); });
    ASSERT_TRUE(failure) << "cut to " << length << " of " << stored.size();
    EXPECT_NE(std::string_view(failure->what()).find("wal_005/x.lz4"), std::string_view::npos) << failure->what();
  }
  expect_refused(crypter, stored + "x", Errc::corrupt, "wal_005/x.lz4");
}

}  // namespace seawall::crypto
