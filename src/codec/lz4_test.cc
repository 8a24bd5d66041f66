#include "codec/lz4_frame.hh"
#include "support/codec_streams.hh"

namespace seawall::codec {
namespace {

std::string decode(std::string_view stored) { return codec::decode(stored, "lz4"); }
std::string encode(std::string_view raw) { return codec::encode(raw, "lz4"); }
void expect_corrupt(std::string_view stored, std::string_view cause) {
  expect_refused(stored, "lz4", Errc::corrupt, cause);
}
std::string through_lz4(std::string_view text, std::string_view options) {
  return through(text, fmt::format("lz4 -q -c {}", options));
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
  const auto failure = failure_of(frame_header(0x65, 0x40, le32(77)) + le32(0), "lz4");
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code(), Errc::unsupported);
  EXPECT_THAT(failure->what(), testing::HasSubstr("dictionary"));
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
