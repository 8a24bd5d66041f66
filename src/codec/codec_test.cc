#include "codec/codec.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "base/error.hh"
#include "codec/lz4_frame.hh"
#include "support/temp_dir.hh"

namespace seawall::codec {
namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t limit) { return static_cast<std::size_t>(random() % limit); }

/// SEAWALL_TEST_SEED repeats a run; every failure prints the seed.
std::uint64_t test_seed() {
  const char* given = std::getenv("SEAWALL_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

/// Runs of blanks, of noise and of repeated text, as in tables.
std::string some_content(Random& random, std::size_t bytes) {
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
        while (text.size() % 40000 < run) text += fmt::format("row {} of account {};", random() % 5000, random() % 50);
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
void push(Filter& filter, std::string_view text, Random& random) {
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

std::string decode(std::string_view stored, const Codec& codec = *find_codec("lz4")) {
  StringSink out;
  const auto filter = codec.decode({.key = "wal_005/x.lz4", .size_hint = {}}, out);
  filter->write(bytes_of(stored));
  filter->finish();
  return out.text();
}

std::string encode(std::string_view raw, const Codec& codec = *find_codec("lz4")) {
  StringSink out;
  const auto filter = codec.encode({.key = "x", .size_hint = raw.size()}, 0, out);
  filter->write(bytes_of(raw));
  filter->finish();
  return out.text();
}

/// The error that decoding ends with, or nothing.
std::optional<Error> failure_of(std::string_view stored) {
  try {
    decode(stored);
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

void expect_corrupt(std::string_view stored, std::string_view cause) {
  const auto failure = failure_of(stored);
  ASSERT_TRUE(failure) << "accepted, expected: " << cause;
  EXPECT_EQ(failure->code(), Errc::corrupt) << failure->what();
  EXPECT_THAT(failure->what(), testing::HasSubstr(std::string(cause)));
  EXPECT_THAT(failure->what(), testing::StartsWith("wal_005/x.lz4: "));
}

std::string le32(std::uint32_t value) {
  std::string text(4, '\0');
  store_le(std::as_writable_bytes(std::span(text)), 0, value);
  return text;
}

/// A frame header with its checksum; `fields` follow FLG and BD.
std::string frame_header(unsigned flags, unsigned sizes, std::string_view fields = {}) {
  std::string descriptor{static_cast<char>(flags), static_cast<char>(sizes)};
  descriptor += fields;
  const auto check = static_cast<char>(lz4::descriptor_checksum(bytes_of(descriptor)));
  return le32(lz4::frame_magic) + descriptor + check;
}

std::string skippable(std::string_view data) {
  return le32(lz4::first_skippable_magic + 3) + le32(static_cast<std::uint32_t>(data.size())) + std::string(data);
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// `text` through the lz4 command.
std::string through_lz4(std::string_view text, std::string_view options) {
  const test::TempDir dir;
  std::ofstream(dir / "in", std::ios::binary) << text;
  const std::string command =
      fmt::format("lz4 -q -c {} <'{}' >'{}'", options, (dir / "in").string(), (dir / "out").string());
  EXPECT_EQ(std::system(command.c_str()), 0) << command << " (Debian package lz4)";
  return slurp(dir / "out");
}

TEST(Codecs, AreFoundByNameAndSuffix) {
  ASSERT_EQ(all_codecs().size(), 2U);
  EXPECT_EQ(all_codecs()[0].name, "lz4");
  EXPECT_EQ(find_codec("none")->suffix, "");
  EXPECT_EQ(find_codec_by_suffix("lz4")->name, "lz4");
  EXPECT_EQ(find_codec_by_suffix("")->name, "none");
  EXPECT_EQ(find_codec("zip"), nullptr);
  EXPECT_EQ(find_codec_by_suffix("zst"), nullptr);
}

TEST(Codecs, ReturnWhatWasPutInWhateverTheChunks) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  CpuPool pool(3);
  for (int round = 0; round < 60; ++round) {
    for (const Codec& codec : all_codecs()) {
      SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} round {} codec {}", seed, round, codec.name));
      const std::string raw = some_content(random, below(random, std::size_t{1} << (1 + below(random, 22))));
      const bool parallel = random() % 2 == 0;
      PieceSink stored;
      const auto encoder = codec.encode(
          {.key = "x", .size_hint = parallel ? 4 << 20 : 1, .pool = parallel ? &pool : nullptr}, 0, stored);
      push(*encoder, raw, random);
      encoder->finish();
      EXPECT_EQ(stored.text, encode(raw, codec));

      StringSink back;
      const auto decoder = codec.decode({.key = "x", .size_hint = {}}, back);
      push(*decoder, stored.text, random);
      decoder->finish();
      ASSERT_TRUE(back.text() == raw);
    }
  }
}

TEST(Codecs, HandOverPiecesOfAtLeast256KiB) {
  Random random(1);
  const std::string raw = some_content(random, 8 << 20);
  CpuPool pool(2);
  for (const Codec& codec : all_codecs()) {
    for (CpuPool* use : {static_cast<CpuPool*>(nullptr), &pool}) {
      PieceSink stored;
      const auto encoder = codec.encode({.key = "x", .size_hint = raw.size(), .pool = use}, 0, stored);
      for (std::size_t at = 0; at < raw.size(); at += 8192) encoder->write(bytes_of(raw).subspan(at, 8192));
      encoder->finish();
      ASSERT_GT(stored.pieces.size(), 4U);
      stored.pieces.pop_back();
      EXPECT_THAT(stored.pieces, testing::Each(testing::Ge(256U << 10))) << codec.name;
    }
  }
}

TEST(Codecs, IndexLeadsToTheBlocks) {
  Random random(2);
  const std::string raw = some_content(random, (5 << 20) + 12345);
  constexpr std::size_t stride = 256 << 10;
  CpuPool pool(2);
  for (CpuPool* use : {static_cast<CpuPool*>(nullptr), &pool}) {
    std::vector<std::uint64_t> index;
    StringSink stored;
    const auto encoder = find_codec("lz4")->encode(
        {.key = "x", .size_hint = raw.size(), .pool = use, .block_index = &index, .index_stride = stride}, 0, stored);
    encoder->write(bytes_of(raw));
    encoder->finish();
    ASSERT_EQ(index.size(), 21U);
    EXPECT_EQ(index.front(), 7U);
    for (std::size_t i = 0; i < index.size(); ++i) {
      const std::size_t end = i + 1 < index.size() ? index[i + 1] : stored.text().size() - 8;
      const std::string blocks = stored.text().substr(index[i], end - index[i]);
      EXPECT_TRUE(decode(frame_header(0x60, 0x40) + blocks + le32(0)) == raw.substr(i * stride, stride)) << i;
    }
  }
  std::vector<std::uint64_t> index;
  StringSink stored;
  const auto plain = find_codec("none")->encode(
      {.key = "x", .size_hint = {}, .block_index = &index, .index_stride = 1 << 20}, 0, stored);
  push(*plain, raw, random);
  plain->finish();
  EXPECT_THAT(index, testing::ElementsAre(0U, 1U << 20, 2U << 20, 3U << 20, 4U << 20, 5U << 20));
}

TEST(Codecs, IndexNeedsAUsableStride) {
  std::vector<std::uint64_t> index;
  StringSink out;
  EXPECT_THROW(
      find_codec("lz4")->encode({.key = "x", .size_hint = {}, .block_index = &index, .index_stride = 1000}, 0, out),
      Error);
}

TEST(None, PassesEverythingOn) {
  const Codec& none = *find_codec("none");
  EXPECT_EQ(encode("", none), "");
  EXPECT_EQ(decode("", none), "");
  EXPECT_EQ(encode("abc", none), "abc");
  EXPECT_EQ(decode("abc", none), "abc");
}

TEST(Lz4, WritesTheFrameThatTheFormatPageShows) {
  const std::string empty("\x04\x22\x4D\x18\x64\x40\xA7\0\0\0\0\x05\x5D\xCC\x02", 15);
  EXPECT_EQ(encode(""), empty);
  EXPECT_EQ(decode(empty), "");
  // Three bytes do not compress: stored raw, with the high bit of the size.
  EXPECT_EQ(encode("abc"), empty.substr(0, 7) + std::string("\x03\0\0\x80", 4) + "abc" + le32(0) + le32(0x32D153FF));
}

TEST(Lz4, NoiseGrowsByLittle) {
  Random random(3);
  std::string raw(10 << 20, '\0');
  for (char& c : raw) c = static_cast<char>(random());
  EXPECT_EQ(encode(raw).size(), raw.size() + 160 * 4 + 7 + 8);
}

TEST(Lz4, CommandReadsOurs) {
  Random random(4);
  for (const std::size_t bytes : {0U, 1U, 65536U, 65537U, 3000000U}) {
    const std::string raw = some_content(random, bytes);
    EXPECT_TRUE(through_lz4(encode(raw), "-d") == raw) << bytes;
  }
}

TEST(Lz4, ReadsWhatTheCommandWrites) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  // Two blocks and a bit of the largest sizes: 8 MiB legacy, 4 MiB frame.
  const std::string large = some_content(random, (17 << 20) + 4321);
  for (const std::string_view options : {"-1", "-9", "--fast=5", "-B4", "-B5", "-B6", "-B7", "-BD -B4", "-BD -B7",
                                         "-BD -9 -B5", "-B4 -BX", "-BD -BX -B4", "-l", "--content-size -B6",
                                         "--no-frame-crc", "--no-frame-crc -BD -B4", "-B300", "-12 -B4 -BD"}) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100000}, large.size()}) {
      SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} lz4 {} of {} bytes", seed, options, bytes));
      const std::string_view raw = std::string_view(large).substr(0, bytes);
      const std::string stored = through_lz4(raw, options);
      StringSink back;
      const auto decoder = find_codec("lz4")->decode({.key = "x", .size_hint = {}}, back);
      push(*decoder, stored, random);
      decoder->finish();
      ASSERT_TRUE(back.text() == raw);
    }
  }
}

TEST(Lz4, ReadsFramesOneAfterTheOther) {
  const std::string legacy = through_lz4("legacy", "-l");
  const std::string linked = through_lz4("linked", "-BD -B4");
  EXPECT_EQ(decode(skippable("note") + encode("one") + skippable("") + legacy + legacy + linked + encode("") + legacy +
                   skippable("end") + encode("last")),
            "onelegacylegacylinkedlegacylast");
}

TEST(Lz4, RefusesWhatIsCutAnywhere) {
  Random random(5);
  const std::string raw = some_content(random, 70000);
  for (const std::string_view options : {"", "-BD -B4", "--content-size -BX", "--no-frame-crc", "-l"}) {
    const std::string frame = through_lz4("Some text, some text, some text, and its end.", options);
    ASSERT_EQ(decode(frame), "Some text, some text, some text, and its end.");
    expect_corrupt({}, "is empty");
    for (std::size_t n = 1; n < frame.size(); ++n) {
      // A legacy frame has no end mark: its magic alone is the frame of an empty file.
      if (options == "-l" && n == 4) continue;
      SCOPED_TRACE(fmt::format("lz4 {} cut at {}", options, n));
      expect_corrupt(std::string_view(frame).substr(0, n), "it was cut");
    }
  }
  const std::string ours = encode(raw);
  for (const std::size_t lost : {1U, 4U, 5U, 8U, 9U, 1000U}) {
    expect_corrupt(std::string_view(ours).substr(0, ours.size() - lost), "it was cut");
  }
  const std::string two = encode("one") + skippable("12345678");
  for (std::size_t n = encode("one").size() + 1; n < two.size(); ++n) {
    expect_corrupt(std::string_view(two).substr(0, n), "it was cut");
  }
}

TEST(Lz4, EveryFlippedBitIsSeenOrHarmless) {
  const std::string raw = "Some text, some text, some text, and 0123456789abcdef 0123456789abcdef.";
  for (const std::string& frame : {encode(raw), through_lz4(raw, "-BD -B4 --content-size"), through_lz4(raw, "-BX")}) {
    std::size_t refused = 0;
    for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
      std::string damaged = frame;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      try {
        EXPECT_EQ(decode(damaged), raw) << "bit " << bit;
      } catch (const Error&) {
        ++refused;
      }
    }
    EXPECT_GT(refused, frame.size() * 8 * 9 / 10);
  }
}

TEST(Lz4, SaysWhatIsWrong) {
  const std::string frame = encode("abc");
  expect_corrupt(frame + "tail!", "no frame where one should begin");
  expect_corrupt("PK\3\4 no lz4 at all", "no frame where one should begin");
  expect_corrupt(frame_header(0xA4, 0x40), "unknown version");
  expect_corrupt(frame_header(0x66, 0x40), "reserved bits");
  expect_corrupt(frame_header(0x64, 0xC0), "reserved bits");
  expect_corrupt(frame_header(0x64, 0x30), "impossible block size");
  expect_corrupt(frame.substr(0, 6) + "\x01", "damaged frame header");
  expect_corrupt(frame_header(0x60, 0x40) + le32(65537), "larger than its header allows");
  expect_corrupt(frame_header(0x60, 0x40) + le32(3) + "\xF0\xFF\xFF", "damaged block");
  expect_corrupt(frame_header(0x40, 0x40) + le32(3) + "\xF0\xFF\xFF", "damaged block");
  expect_corrupt(frame_header(0x70, 0x40) + le32(0x80000003) + "abc" + le32(1), "match its checksum");
  expect_corrupt(frame.substr(0, frame.size() - 1) + "\x01", "match its checksum");
  expect_corrupt(le32(lz4::legacy_magic) + le32(0), "block of no bytes");
  expect_corrupt(le32(lz4::legacy_magic) + le32(3) + "\xF0\xFF\xFF", "damaged block");
  const std::string block = le32(0x80000003) + "abc";
  const std::string sized = frame_header(0x68, 0x40, le32(4) + le32(0));
  EXPECT_EQ(decode(frame_header(0x68, 0x40, le32(3) + le32(0)) + block + le32(0)), "abc");
  expect_corrupt(sized + block + le32(0), "less content");
  expect_corrupt(sized + block + block + le32(0), "more content");
}

TEST(Lz4, LinkedBlocksCannotReachBeforeTheirFrame) {
  // A match 3 bytes back: legal after "abc" in the same frame, out of bounds at the start of another.
  const std::string match = le32(9) + std::string("\x00\x03\x00\x50tail.", 9);
  const std::string first = frame_header(0x40, 0x40) + le32(0x80000003) + "abc";
  EXPECT_EQ(decode(first + match + le32(0)), "abcabcatail.");
  expect_corrupt(first + le32(0) + frame_header(0x40, 0x40) + match + le32(0), "damaged block");
  expect_corrupt(frame_header(0x60, 0x40) + le32(0x80000003) + "abc" + match + le32(0), "damaged block");
}

TEST(Lz4, RefusesPresetDictionaries) {
  const auto failure = failure_of(frame_header(0x65, 0x40, le32(77)) + le32(0));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code(), Errc::unsupported);
  EXPECT_THAT(failure->what(), testing::HasSubstr("dictionary"));
}

TEST(Lz4, WithoutFinishThereIsNoWholeFrame) {
  Random random(6);
  const std::string raw = some_content(random, 6 << 20);
  CpuPool pool(2);
  for (CpuPool* use : {static_cast<CpuPool*>(nullptr), &pool}) {
    PieceSink stored;
    {
      const auto encoder = find_codec("lz4")->encode({.key = "x", .size_hint = raw.size(), .pool = use}, 0, stored);
      encoder->write(bytes_of(raw));
    }
    expect_corrupt(stored.text, "it was cut");
  }
}

class FullSink final : public Sink {
 public:
  void write(Bytes) override { throw Error(Errc::no_space, "disk full"); }
};

TEST(Lz4, AFailureOfTheNextStageComesThrough) {
  Random random(7);
  const std::string raw = some_content(random, 8 << 20);
  CpuPool pool(2);
  for (int round = 0; round < 20; ++round) {
    FullSink next;
    const auto encoder = find_codec("lz4")->encode({.key = "x", .size_hint = raw.size(), .pool = &pool}, 0, next);
    try {
      encoder->write(bytes_of(raw));
      FAIL() << "the failure was lost";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "disk full");
    }
  }
}

TEST(Lz4, ManyEncodersShareAPool) {
  Random random(8);
  const std::string raw = some_content(random, 3 << 20);
  const std::string expected = encode(raw);
  CpuPool pool(2);
  std::vector<std::string> stored(4);
  {
    std::vector<std::jthread> threads;
    for (std::string& into : stored) {
      threads.emplace_back([&] {
        StringSink out;
        const auto encoder = find_codec("lz4")->encode({.key = "x", .size_hint = raw.size(), .pool = &pool}, 0, out);
        encoder->write(bytes_of(raw));
        encoder->finish();
        into = std::move(out.text());
      });
    }
  }
  for (const std::string& one : stored) EXPECT_TRUE(one == expected);
}

TEST(Lz4, LevelsBelowZeroAreFasterAndStoreMore) {
  Random random(9);
  const std::string raw = some_content(random, 1 << 20);
  StringSink out;
  const auto encoder = find_codec("lz4")->encode({.key = "x", .size_hint = {}}, -20, out);
  encoder->write(bytes_of(raw));
  encoder->finish();
  EXPECT_TRUE(decode(out.text()) == raw);
  EXPECT_GT(out.text().size(), encode(raw).size());
}

}  // namespace
}  // namespace seawall::codec
