#include <lzma.h>

#include <span>

#include "support/codec_streams.hh"

namespace seawall::codec {
namespace {

std::string xz(std::string_view raw, std::string_view options = "-1") {
  return through(raw, fmt::format("xz --format=lzma -c {}", options));
}

std::string header(std::uint64_t bytes) {
  return std::string("\x5D\0\0\x80\0", 5).append(text_of(std::as_bytes(std::span(&bytes, 1))));
}

/// As the SDK of LZMA writes files: the length in the header, and no marker at the end.
std::string without_marker(std::string_view raw) {
  lzma_options_lzma options{};
  lzma_lzma_preset(&options, 1);
  options.dict_size = 8 << 20;
  lzma_set_ext_size(options, raw.size());
  const std::array<lzma_filter, 2> filters{{{LZMA_FILTER_LZMA1EXT, &options}, {LZMA_VLI_UNKNOWN, nullptr}}};
  std::string out(raw.size() * 2 + 100, '\0');
  std::size_t used = 0;
  EXPECT_EQ(lzma_raw_buffer_encode(filters.data(), nullptr, reinterpret_cast<const std::uint8_t*>(raw.data()),
                                   raw.size(), reinterpret_cast<std::uint8_t*>(out.data()), &used, out.size()),
            LZMA_OK);
  return header(raw.size()) + out.substr(0, used);
}

TEST(Lzma, HasTheHeaderOfTheReference) {
  EXPECT_EQ(encode("text", "lzma").substr(0, 13), std::string("\x5D\0\0\x80\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 13));
  EXPECT_EQ(encode("text", "lzma", 9).substr(0, 13), encode("text", "lzma").substr(0, 13));
}

TEST(Lzma, CommandReadsOurs) {
  Random random(4);
  for (const std::size_t bytes : {0U, 1U, 65536U, 3000000U}) {
    const std::string raw = some_content(random, bytes);
    EXPECT_TRUE(through(encode(raw, "lzma"), "xz --format=lzma -d -c") == raw) << bytes;
  }
  const std::string raw = some_content(random, 100000);
  EXPECT_TRUE(through(encode(raw, "lzma", 6), "xz --format=lzma -d -c") == raw);
}

TEST(Lzma, ReadsWhatTheCommandWrites) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  const std::string large = some_content(random, (1 << 20) + 4321);
  for (const std::string_view options :
       {"-0", "-1", "-6", "-9", "--lzma1=preset=0,lc=0,lp=2,pb=0,dict=64KiB", "--lzma1=preset=0,dict=128MiB"}) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100000}, large.size()}) {
      SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} xz {} of {} bytes", seed, options, bytes));
      const std::string_view raw = std::string_view(large).substr(0, bytes);
      const std::string stored = xz(raw, options);
      StringSink back;
      const auto decoder = find_codec("lzma")->decode({.key = "x", .size_hint = {}}, back);
      push(*decoder, stored, random);
      decoder->finish();
      ASSERT_TRUE(back.text() == raw);
    }
  }
}

TEST(Lzma, ReadsStreamsThatGiveTheirLength) {
  Random random(6);
  for (const std::size_t bytes : {0U, 1U, 2U, 100U, 300000U}) {
    const std::string raw = some_content(random, bytes);
    const std::string stored = without_marker(raw);
    StringSink back;
    const auto decoder = find_codec("lzma")->decode({.key = "x", .size_hint = {}}, back);
    push(*decoder, stored, random);
    decoder->finish();
    ASSERT_TRUE(back.text() == raw);
    // Both the length and the marker.
    EXPECT_TRUE(decode(header(bytes) + encode(raw, "lzma").substr(13), "lzma") == raw);
  }
  const std::string stored = without_marker("some text, some text");
  for (std::size_t n = 1; n < stored.size(); ++n) {
    expect_refused(std::string_view(stored).substr(0, n), "lzma", Errc::corrupt, "it was cut");
  }
  expect_refused(stored + "x", "lzma", Errc::corrupt, "has bytes after its end");
  for (const std::uint64_t other : {19U, 21U}) {
    const auto failure = failure_of(header(other) + encode("some text, some text", "lzma").substr(13), "lzma");
    ASSERT_TRUE(failure) << other;
    EXPECT_EQ(failure->code(), Errc::corrupt);
  }
}

TEST(Lzma, RefusesASecondStream) {
  const std::string stored = encode("some text", "lzma");
  expect_refused(stored + stored, "lzma", Errc::corrupt, "has bytes after its end");
  expect_refused(xz("a") + xz("b"), "lzma", Errc::corrupt, "has bytes after its end");
}

TEST(Lzma, SaysWhatIsWrong) {
  expect_refused(through("some text", "xz -c"), "lzma", Errc::corrupt, "xz files are another format");
  expect_refused("PK\3\4 no lzma at all", "lzma", Errc::corrupt, "has no .lzma header");
  // A dictionary of 256 MiB.
  expect_refused(std::string("\x5D\0\0\0\x10\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0\0", 18), "lzma", Errc::unsupported,
                 "more than a dictionary of 128 MiB");
}

}  // namespace
}  // namespace seawall::codec
