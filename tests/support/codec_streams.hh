#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.hh"
#include "codec/codec.hh"
#include "support/temp_dir.hh"

/// What the tests of the codecs share.
namespace seawall::codec {

using Random = std::mt19937_64;

inline std::size_t below(Random& random, std::size_t limit) { return static_cast<std::size_t>(random() % limit); }

/// SEAWALL_TEST_SEED repeats a run; every failure prints the seed.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("SEAWALL_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

/// Runs of blanks, of noise and of repeated text, as in tables.
inline std::string some_content(Random& random, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) {
    const std::size_t run = 1 + below(random, 40000);
    switch (random() % 3) {
      case 0:
        text.append(run, '\0');
        break;
      case 1:
        for (std::size_t i = 0; i < run; ++i) text.push_back(static_cast<char>(random()));
        break;
      default:
        for (const std::size_t end = text.size() + run; text.size() < end;)
          text += fmt::format("row {} of account {};", random() % 5000, random() % 50);
        text.push_back('\n');
    }
  }
  text.resize(bytes);
  return text;
}

class PieceSink final : public Sink {
 public:
  void write(Bytes data) override {
    pieces.push_back(data.size());
    text.append(text_of(data));
  }
  std::string text;
  std::vector<std::size_t> pieces;
};

/// Pushes `text` in pieces of random sizes, by write() and by space().
inline void push(Filter& filter, std::string_view text, Random& random) {
  constexpr std::array<std::size_t, 5> largest{1, 100, 5000, 70000, 1 << 20};
  // Large contents in single bytes would take minutes under the sanitizers.
  const std::size_t limit = std::max(largest[below(random, largest.size())], text.size() / 5000);
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

inline std::string decode(std::string_view stored, std::string_view codec) {
  StringSink out;
  const auto filter = find_codec(codec)->decode({.key = "wal_005/x", .size_hint = {}}, out);
  filter->write(bytes_of(stored));
  filter->finish();
  return out.text();
}

inline std::string encode(std::string_view raw, std::string_view codec, int level = 0) {
  StringSink out;
  const auto filter = find_codec(codec)->encode({.key = "x", .size_hint = raw.size()}, level, out);
  filter->write(bytes_of(raw));
  filter->finish();
  return out.text();
}

/// The error that decoding ends with, or nothing.
inline std::optional<Error> failure_of(std::string_view stored, std::string_view codec) {
  try {
    decode(stored, codec);
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

inline void expect_refused(std::string_view stored, std::string_view codec, Errc code, std::string_view cause) {
  const auto failure = failure_of(stored, codec);
  ASSERT_TRUE(failure) << "accepted, expected: " << cause;
  EXPECT_EQ(failure->code(), code) << failure->what();
  EXPECT_THAT(failure->what(), testing::HasSubstr(std::string(cause)));
  EXPECT_THAT(failure->what(), testing::StartsWith("wal_005/x: "));
}

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// `text` through a command, which reads its standard input and must end with status 0.
inline std::string through(std::string_view text, std::string_view command) {
  const test::TempDir dir;
  std::ofstream(dir / "in", std::ios::binary) << text;
  const std::string line = fmt::format("{} <'{}' >'{}'", command, (dir / "in").string(), (dir / "out").string());
  EXPECT_EQ(std::system(line.c_str()), 0) << line;
  return slurp(dir / "out");
}

}  // namespace seawall::codec
