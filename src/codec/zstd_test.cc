#include "support/codec_streams.hh"

namespace seawall::codec {
namespace {

std::string from_zstd(std::string_view stored) { return decode(stored, "zstd"); }
std::string to_zstd(std::string_view raw) { return encode(raw, "zstd"); }
void expect_corrupt(std::string_view stored, std::string_view cause) {
  expect_refused(stored, "zstd", Errc::corrupt, cause);
}

std::string skippable(std::string_view data, char number = 3) {
  std::string frame{static_cast<char>(0x50 + number), '\x2A', '\x4D', '\x18'};
  const auto size = static_cast<std::uint32_t>(data.size());
  frame.append(text_of(std::as_bytes(std::span(&size, 1))));
  return frame.append(data);
}

TEST(Zstd, WritesWhatTheFormatPageShows) {
  const std::string begin("\x57\x2A\x4D\x18\x08\0\0\0SWbegin\0", 16);
  const std::string end("\x57\x2A\x4D\x18\x10\0\0\0SWwhole\0", 16);
  const std::string stored = to_zstd("abc");
  // One segment, checksum, length in a byte; the last block, raw, 3 bytes; half of XXH64 (44BC2CF5AD770999).
  EXPECT_EQ(stored, begin + std::string("\x28\xB5\x2F\xFD\x24\x03\x19\0\0abc\x99\x09\x77\xAD", 16) + end +
                        std::string("\x03\0\0\0\0\0\0\0", 8));
}

TEST(Zstd, CommandReadsOurs) {
  Random random(4);
  for (const std::size_t bytes : {0U, 1U, 1U << 20, (1U << 20) + 1, 3000000U}) {
    const std::string raw = some_content(random, bytes);
    EXPECT_TRUE(through(to_zstd(raw), "zstd -q -d -c") == raw) << bytes;
    EXPECT_TRUE(through(encode(raw, "zstd", 9), "zstd -q -d -c") == raw) << bytes;
  }
}

TEST(Zstd, ReadsWhatTheCommandWrites) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  const std::string large = some_content(random, (5 << 20) + 4321);
  for (const std::string_view options :
       {"-1", "-3", "-19", "--fast=5", "--no-check", "--long=24 -3", "--long=27 -3", "-T2 -B1MiB", "--ultra -22"}) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100000}, large.size()}) {
      if (bytes == large.size() && options.ends_with("2")) continue;  // half a minute
      SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} zstd {} of {} bytes", seed, options, bytes));
      const std::string_view raw = std::string_view(large).substr(0, bytes);
      const std::string stored = through(raw, fmt::format("zstd -q -c {}", options));
      StringSink back;
      const auto decoder = find_codec("zstd")->decode({.key = "x", .size_hint = {}}, back);
      push(*decoder, stored, random);
      decoder->finish();
      ASSERT_TRUE(back.text() == raw);
    }
  }
}

TEST(Zstd, ReadsFramesOneAfterTheOther) {
  const std::string foreign = through("foreign", "zstd -q -c");
  EXPECT_EQ(from_zstd(skippable("note") + foreign + to_zstd("ours") + skippable("") + to_zstd("") +
                      skippable("12345678", 7) + skippable("0123456789abcdef", 7) + foreign + skippable("end")),
            "foreignoursforeign");
}

TEST(Zstd, RefusesWhatIsCutBetweenFrames) {
  Random random(3);
  const std::string raw = some_content(random, 5 << 20);
  std::vector<std::uint64_t> index;
  StringSink out;
  const auto encoder =
      find_codec("zstd")->encode({.key = "x", .size_hint = {}, .block_index = &index, .index_stride = 1 << 20}, 0, out);
  encoder->write(bytes_of(raw));
  encoder->finish();
  const std::string& stored = out.text();
  index.push_back(stored.size() - 24);
  ASSERT_EQ(index.size(), 6U);
  for (const std::uint64_t end : index) expect_corrupt(stored.substr(0, end), "it was cut");
  // One frame lost from the middle, and a whole object begun after what was cut.
  expect_corrupt(stored.substr(0, index[2]) + stored.substr(index[3]), "parts of it are missing");
  expect_corrupt(stored.substr(0, index[2]) + stored, "it was cut");
}

TEST(Zstd, RefusesForeignFramesThatAreCut) {
  const std::string frame = through("Some text, some text, some text, and its end.", "zstd -q -c");
  for (std::size_t n = 1; n < frame.size(); ++n) expect_corrupt(std::string_view(frame).substr(0, n), "it was cut");
  const std::string skipped = skippable("12345678");
  for (std::size_t n = 1; n < skipped.size(); ++n) expect_corrupt(frame + skipped.substr(0, n), "it was cut");
}

TEST(Zstd, SaysWhatIsWrong) {
  const std::string frame = through("some text", "zstd -q -c");
  expect_corrupt(frame + "tail!", "no frame where one should begin");
  expect_corrupt("PK\3\4 no zstd at all", "no frame where one should begin");
  expect_corrupt("\x27\xB5\x2F\xFDv0.7", "no frame where one should begin");
  std::string damaged = frame;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  expect_corrupt(damaged, "does not match its checksum");
  damaged = frame;
  damaged[4] = static_cast<char>(damaged[4] | 0x08);  // reserved
  expect_corrupt(damaged, "is damaged (");
}

TEST(Zstd, NeedNotComputeAChecksumThatIsKnown) {
  std::string damaged = through("some text", "zstd -q -c");
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  StringSink out;
  const auto decoder = find_codec("zstd")->decode({.key = "x", .size_hint = {}, .digest_is_checked = true}, out);
  decoder->write(bytes_of(damaged));
  decoder->finish();
  EXPECT_EQ(out.text(), "some text");
}

TEST(Zstd, RefusesLargeWindowsAndDictionaries) {
  // A window of 256 MiB: descriptor 0x90 is 2^(10 + 18).
  expect_refused(std::string("\x28\xB5\x2F\xFD\0\x90\x01\0\0", 9), "zstd", Errc::unsupported, "more than 128 MiB");
  EXPECT_EQ(from_zstd(std::string("\x28\xB5\x2F\xFD\0\x88\x01\0\0", 9)), "");
  expect_refused(std::string("\x28\xB5\x2F\xFD\x01\x00\x77\x01\0\0", 10), "zstd", Errc::unsupported, "dictionary");
}

TEST(Zstd, LevelsHaveTheNamesOfWalG) {
  EXPECT_EQ(zstd_level("fastest"), 1);
  EXPECT_EQ(zstd_level("default"), 1);
  EXPECT_EQ(zstd_level("Better"), 7);
  EXPECT_EQ(zstd_level("BEST"), 11);
  EXPECT_EQ(zstd_level("3"), std::nullopt);
  EXPECT_EQ(zstd_level(""), std::nullopt);
  EXPECT_EQ(zstd_level("bestest"), std::nullopt);
}

TEST(Zstd, HigherLevelsStoreLess) {
  Random random(9);
  const std::string raw = some_content(random, 6 << 20);
  const std::size_t least = encode(raw, "zstd", 11).size();
  EXPECT_LT(least, encode(raw, "zstd", 1).size());
  EXPECT_LT(encode(raw, "zstd", 1).size(), encode(raw, "zstd", -20).size());
  EXPECT_EQ(encode(raw, "zstd", 1), to_zstd(raw));
}

}  // namespace
}  // namespace seawall::codec
