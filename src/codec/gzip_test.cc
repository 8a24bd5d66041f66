#include "support/codec_streams.hh"

namespace seawall::codec {
namespace {

std::string gzip(std::string_view raw, std::string_view options = "-6") {
  return through(raw, fmt::format("gzip -c {}", options));
}

TEST(Gzip, ReadsWhatTheCommandWrites) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  const std::string large = some_content(random, (3 << 20) + 4321);
  for (const std::string_view options : {"-1", "-6", "-9", "--rsyncable"}) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100000}, large.size()}) {
      SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} gzip {} of {} bytes", seed, options, bytes));
      const std::string_view raw = std::string_view(large).substr(0, bytes);
      const std::string stored = gzip(raw, options);
      StringSink back;
      const auto decoder = find_codec("gzip")->decode({.key = "x", .size_hint = {}}, back);
      push(*decoder, stored, random);
      decoder->finish();
      ASSERT_TRUE(back.text() == raw);
    }
  }
}

TEST(Gzip, ReadsMembersOneAfterTheOther) {
  // The second with a name, a comment and a checksum of the header.
  const std::string named = gzip("two");
  EXPECT_EQ(decode(gzip("one") + std::string("\x1F\x8B\x08\x18\0\0\0\0\0\x03name\0comment\0", 23) + named.substr(10) +
                       gzip("") + gzip("three"),
                   "gzip"),
            "onetwothree");
}

TEST(Gzip, RefusesWhatIsCutAnywhere) {
  Random random(5);
  const std::string small = gzip("Some text, some text, some text, and its end.");
  const std::string two = small + small;
  expect_refused("", "gzip", Errc::corrupt, "is empty");
  for (std::size_t n = 1; n < two.size(); ++n) {
    if (n == small.size()) continue;
    expect_refused(std::string_view(two).substr(0, n), "gzip", Errc::corrupt, "it was cut");
  }
  const std::string large = gzip(some_content(random, 700000));
  for (int i = 0; i < 200; ++i) {
    expect_refused(std::string_view(large).substr(0, 1 + below(random, large.size() - 1)), "gzip", Errc::corrupt,
                   "it was cut");
  }
}

TEST(Gzip, SaysWhatIsWrong) {
  const std::string stored = gzip("some text");
  expect_refused(stored + "tail!", "gzip", Errc::corrupt, "incorrect header check");
  expect_refused(stored + std::string(100, '\0'), "gzip", Errc::corrupt, "incorrect header check");
  expect_refused("PK\3\4 no gzip at all", "gzip", Errc::corrupt, "incorrect header check");
  std::string damaged = stored;
  damaged[damaged.size() - 8] = static_cast<char>(damaged[damaged.size() - 8] ^ 1);
  expect_refused(damaged, "gzip", Errc::corrupt, "incorrect data check");
  damaged = stored;
  damaged[damaged.size() - 1] = 1;
  expect_refused(damaged, "gzip", Errc::corrupt, "incorrect length check");
}

TEST(Gzip, NeedNotComputeAChecksumThatIsKnown) {
  std::string damaged = gzip("some text");
  damaged[damaged.size() - 8] = static_cast<char>(damaged[damaged.size() - 8] ^ 1);
  StringSink out;
  const auto decoder = find_codec("gzip")->decode({.key = "x", .size_hint = {}, .digest_is_checked = true}, out);
  decoder->write(bytes_of(damaged));
  decoder->finish();
  EXPECT_EQ(out.text(), "some text");
}

}  // namespace
}  // namespace seawall::codec
