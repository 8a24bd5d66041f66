#include "support/codec_streams.hh"

namespace seawall::codec {
namespace {

TEST(Brotli, CommandReadsOurs) {
  Random random(4);
  for (const std::size_t bytes : {0U, 1U, 65536U, 3000000U}) {
    const std::string raw = some_content(random, bytes);
    EXPECT_TRUE(through(encode(raw, "brotli"), "brotli -d -c") == raw) << bytes;
    EXPECT_TRUE(through(encode(raw, "brotli", 5), "brotli -d -c") == raw) << bytes;
  }
}

TEST(Brotli, ReadsWhatTheCommandWrites) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  const std::string large = some_content(random, (3 << 20) + 4321);
  for (const std::string_view options : {"-q 0", "-q 1", "-q 3", "-q 9 -w 24", "-q 5 -w 10", "-q 11 -w 16"}) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100000}, large.size()}) {
      if (bytes == large.size() && options.starts_with("-q 11")) continue;  // slow
      SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} brotli {} of {} bytes", seed, options, bytes));
      const std::string_view raw = std::string_view(large).substr(0, bytes);
      const std::string stored = through(raw, fmt::format("brotli -c {}", options));
      StringSink back;
      const auto decoder = find_codec("brotli")->decode({.key = "x", .size_hint = {}}, back);
      push(*decoder, stored, random);
      decoder->finish();
      ASSERT_TRUE(back.text() == raw);
    }
  }
}

TEST(Brotli, SaysWhatIsWrong) {
  const std::string stored = encode("some text", "brotli");
  // The format knows no second stream; the reference refuses it too.
  expect_refused(stored + stored, "brotli", Errc::corrupt, "has bytes after its end");
  expect_refused(stored + std::string(1, '\0'), "brotli", Errc::corrupt, "has bytes after its end");
  expect_refused("PK\3\4 no brotli at all", "brotli", Errc::corrupt, "is damaged");
  // 2^30 bytes of window, which only the extension for large windows has.
  expect_refused(std::string("\x11\x1E\x03", 3), "brotli", Errc::corrupt, "is damaged");
}

TEST(Brotli, StoresNoMoreThanTheReferenceByTwoPercent) {
  Random random(9);
  const std::string raw = some_content(random, 3 << 20);
  EXPECT_LT(encode(raw, "brotli").size(), encode(raw, "brotli", 3).size() * 102 / 100);
  EXPECT_LT(encode(raw, "brotli", 9).size(), encode(raw, "brotli").size());
}

}  // namespace
}  // namespace seawall::codec
