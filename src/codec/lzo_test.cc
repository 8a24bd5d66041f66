#include "codec/adler32.hh"
#include "support/codec_streams.hh"

namespace seawall::codec {
namespace {

std::string from_lzo(std::string_view stored) { return decode(stored, "lzo"); }
std::string to_lzo(std::string_view raw) { return encode(raw, "lzo"); }
void expect_corrupt(std::string_view stored, std::string_view cause) {
  expect_refused(stored, "lzo", Errc::corrupt, cause);
}
void expect_unsupported(std::string_view stored, std::string_view cause) {
  expect_refused(stored, "lzo", Errc::unsupported, cause);
}

std::string be(std::uint32_t value, std::size_t bytes = 4) {
  std::string text;
  for (std::size_t i = bytes; i-- > 0;) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

std::string hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::string crc32_text(std::string_view data) {
  return be(static_cast<std::uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size()))));
}
std::string adler_text(std::string_view data) { return be(adler32_of(bytes_of(data))); }

struct Header {
  std::uint32_t flags = 0x0300000D;
  unsigned version = 0x1040;
  unsigned needed = 0x0940;
  unsigned method = 1;
  std::string name = {};
  std::string extra = {};
};

std::string header(const Header& fields) {
  std::string text = be(fields.version, 2) + be(0x20A0, 2);
  const bool with_level = fields.version >= 0x0940;
  if (with_level) text += be(fields.needed, 2);
  text += be(fields.method, 1);
  if (with_level) text += be(5, 1);
  text += be(fields.flags);
  if ((fields.flags & 0x800) != 0) text += be(1);
  text += be(0100644) + be(1700000000);
  if (with_level) text += be(0);
  text += be(static_cast<std::uint32_t>(fields.name.size()), 1) + fields.name;
  const auto sum = [&](std::string_view data) {
    return (fields.flags & 0x1000) != 0 ? crc32_text(data) : adler_text(data);
  };
  text += sum(text);
  if ((fields.flags & 0x40) != 0) {
    const std::string extra = be(static_cast<std::uint32_t>(fields.extra.size())) + fields.extra;
    text += extra + sum(extra);
  }
  return std::string("\x89LZO\0\r\n\x1A\n", 9) + text;
}

TEST(Adler32, IsZlibs) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  std::string data = some_content(random, 300000) + std::string(20000, '\xFF');
  for (int round = 0; round < 300; ++round) {
    const std::size_t at = below(random, data.size());
    const std::size_t n = below(random, std::min<std::size_t>(data.size() - at, round % 2 == 0 ? 100 : 300000) + 1);
    const Bytes piece = bytes_of(data).subspan(at, n);
    EXPECT_EQ(adler32_of(piece), ::adler32(1, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(n)))
        << "SEAWALL_TEST_SEED=" << seed << " at " << at << " " << n << " bytes";
  }
  data.assign(1 << 20, '\xFF');
  EXPECT_EQ(adler32_of(bytes_of(data)),
            ::adler32(1, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size())));
}

TEST(Lzo, WritesWhatTheFormatPageShows) {
  const std::string head = hex("894c5a4f000d0a1a0a104020a0094001050300000d000000000000000000000000001f5c0170");
  EXPECT_EQ(to_lzo(""), head + be(0));
  EXPECT_EQ(to_lzo("hello"), head + be(5) + be(5) + hex("062c021568656c6c6f") + be(0));
  const std::string packed = hex("148d1841026161616161200b10000c616161616161616161616161616161110000");
  EXPECT_EQ(from_lzo(head + be(64) + be(29) + packed + be(0)), std::string(64, 'a'));
}

TEST(Lzo, CommandReadsOurs) {
  Random random(4);
  for (const std::size_t bytes : {0U, 1U, 262144U, 262145U, 3000000U}) {
    const std::string raw = some_content(random, bytes);
    EXPECT_TRUE(through(to_lzo(raw), "lzop -d -c") == raw) << bytes;
  }
}

TEST(Lzo, ReadsWhatTheCommandWrites) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  const std::string large = some_content(random, (3 << 20) + 4321);
  for (const std::string_view options : {"-1", "-3", "-9", "--crc32", "-F", "--checksum", "-CC", "--crc32 -CC"}) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100000}, large.size()}) {
      SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} lzop {} of {} bytes", seed, options, bytes));
      const std::string_view raw = std::string_view(large).substr(0, bytes);
      const std::string stored = through(raw, fmt::format("lzop -c {}", options));
      StringSink back;
      const auto decoder = find_codec("lzo")->decode({.key = "x", .size_hint = {}}, back);
      push(*decoder, stored, random);
      decoder->finish();
      ASSERT_TRUE(back.text() == raw);
    }
  }
}

TEST(Lzo, ReadsMembersAndHeadersOfEveryKind) {
  const std::string block = be(3) + be(3);
  const std::string end = be(0);
  const std::string crc = crc32_text("abc");
  const std::string adler = adler_text("abc");
  EXPECT_EQ(from_lzo(header({.flags = 0x0300000C, .name = "a name"}) + block + "abc" + end), "abc");
  EXPECT_EQ(from_lzo(header({.flags = 0x03001101, .needed = 0x1001}) + block + adler + crc + "abc" + end), "abc");
  EXPECT_EQ(from_lzo(header({.version = 0x0930}) + block + adler + "abc" + end), "abc");
  // Raw blocks have no checksums of what is stored.
  EXPECT_EQ(from_lzo(header({.flags = 0x03000303}) + block + adler + crc + "abc" + end), "abc");
  EXPECT_EQ(from_lzo(header({.flags = 0x0300004D, .extra = "something"}) + block + adler + "abc" + end), "abc");
  EXPECT_EQ(from_lzo(header({.flags = 0x0300104C, .extra = ""}) + block + "abc" + end), "abc");
  EXPECT_EQ(from_lzo(to_lzo("one") + through("two", "lzop -c") + to_lzo("") + to_lzo("three")), "onetwothree");
}

TEST(Lzo, ReadsLargeBlocks) {
  const std::string raw(64 << 20, 'x');
  std::string stored = header({}) + be(64 << 20) + be(64 << 20) + adler_text(raw) + raw + be(0);
  EXPECT_TRUE(from_lzo(stored) == raw);
  expect_corrupt(header({}) + be((64 << 20) + 1) + be(1), "larger than 64 MiB");
}

TEST(Lzo, SaysWhatIsWrong) {
  const std::string stored = to_lzo("hello");
  expect_corrupt(stored + "tail, more than a header's start", "no lzop header where one should begin");
  expect_corrupt("PK\3\4 no lzo at all", "no lzop header where one should begin");
  std::string damaged = stored;
  damaged[34] = 'x';
  expect_corrupt(damaged, "damaged header");
  damaged = stored;
  damaged[51] = 'x';
  expect_corrupt(damaged, "does not match its checksum");
  expect_corrupt(header({.version = 0x0800}), "damaged header");
  expect_corrupt(header({.flags = 0x0301000D}), "damaged header");
  expect_corrupt(header({}) + be(3) + be(4), "impossible block size");
  expect_corrupt(header({}) + be(3) + be(0), "impossible block size");
  expect_corrupt(header({}) + be(30) + be(3) + be(0) + "abc", "damaged block");
  // Decodes to fewer bytes than were announced.
  const std::string packed = hex("026161616161200b10000c616161616161616161616161616161110000");
  expect_corrupt(header({}) + be(65) + be(29) + be(0x148d1841) + packed, "damaged block");
  expect_corrupt(header({}) + be(64) + be(29) + be(0x148d1842) + packed, "does not match its checksum");
  expect_corrupt(header({.flags = 0x0300000E}) + be(64) + be(29) + be(1) + packed, "does not match its checksum");
  expect_corrupt(header({.flags = 0x0300010C}) + be(3) + be(3) + be(1) + "abc", "does not match its checksum");
  expect_corrupt(header({.flags = 0x0300020C}) + be(64) + be(29) + be(1) + packed, "does not match its checksum");
  std::string extra = header({.flags = 0x0300004D, .extra = "something"});
  extra[45] = 'x';
  expect_corrupt(extra, "damaged header");
  expect_unsupported(header({.needed = 0x1050}), "needs version 1050");
  expect_unsupported(header({.method = 128}), "unknown method 128");
  expect_unsupported(header({.flags = 0x0300080D}), "filtered or split");
  expect_unsupported(header({.flags = 0x0300040D}), "filtered or split");
  expect_unsupported(header({}) + be(0xFFFFFFFF), "split file");
}

TEST(Lzo, NeedNotComputeAChecksumThatIsKnown) {
  std::string damaged = to_lzo("hello");
  damaged[46] = static_cast<char>(damaged[46] ^ 1);
  StringSink out;
  const auto decoder = find_codec("lzo")->decode({.key = "x", .size_hint = {}, .digest_is_checked = true}, out);
  decoder->write(bytes_of(damaged));
  decoder->finish();
  EXPECT_EQ(out.text(), "hello");
}

TEST(Lzo, NoiseGrowsByLittle) {
  Random random(3);
  std::string raw(1 << 20, '\0');
  for (char& c : raw) c = static_cast<char>(random());
  EXPECT_EQ(to_lzo(raw).size(), raw.size() + 4 * 12 + 38 + 4);
}

}  // namespace
}  // namespace seawall::codec
