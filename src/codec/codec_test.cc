#include "support/codec_streams.hh"

#include <thread>

#include "codec/lz4_frame.hh"

namespace seawall::codec {
namespace {

std::vector<const Codec*> codecs_that_write() {
  std::vector<const Codec*> found;
  for (const Codec& codec : all_codecs()) {
    if (codec.encode != nullptr) found.push_back(&codec);
  }
  return found;
}

/// Those whose objects say where they end.
std::vector<const Codec*> codecs_with_frames() {
  std::vector<const Codec*> found = codecs_that_write();
  std::erase(found, find_codec("none"));
  return found;
}

TEST(Codecs, AreFoundByNameAndSuffix) {
  std::vector<std::string_view> suffixes;
  for (const Codec& codec : all_codecs()) {
    suffixes.push_back(codec.suffix);
    EXPECT_EQ(find_codec(codec.name), &codec);
    EXPECT_EQ(find_codec_by_suffix(codec.suffix), &codec);
  }
  // The lookup order of WAL-G; lzo may be left out of a build.
  std::vector<std::string_view> order{"lz4", "lzma", "gz", "", "br", "lzo", "zst"};
  if (find_codec("lzo") == nullptr) std::erase(order, "lzo");
  EXPECT_EQ(suffixes, order);
  EXPECT_EQ(find_codec("none")->suffix, "");
  EXPECT_EQ(find_codec("gzip")->encode, nullptr);
  EXPECT_EQ(find_codec("zip"), nullptr);
  EXPECT_EQ(find_codec_by_suffix("zip"), nullptr);
}

TEST(Codecs, ReturnWhatWasPutInWhateverTheChunks) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  CpuPool pool(3);
  for (int round = 0; round < 30; ++round) {
    for (const Codec* codec : codecs_that_write()) {
      SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} round {} codec {}", seed, round, codec->name));
      const std::string raw = some_content(random, below(random, std::size_t{1} << (1 + below(random, 22))));
      const bool parallel = random() % 2 == 0;
      PieceSink stored;
      const auto encoder = codec->encode(
          {.key = "x", .size_hint = parallel ? 4 << 20 : 1, .pool = parallel ? &pool : nullptr}, 0, stored);
      push(*encoder, raw, random);
      encoder->finish();
      EXPECT_TRUE(stored.text == encode(raw, codec->name));

      StringSink back;
      const auto decoder = codec->decode({.key = "x", .size_hint = {}, .digest_is_checked = random() % 2 == 0}, back);
      push(*decoder, stored.text, random);
      decoder->finish();
      ASSERT_TRUE(back.text() == raw);
    }
  }
}

TEST(Codecs, ReturnWhatWasPutInAtEveryLevel) {
  Random random(11);
  const std::string raw = some_content(random, 300000);
  for (const Codec* codec : codecs_that_write()) {
    for (const int level : {-1000000, -5, 1, 2, 3, 7, 9, 11, 19, 1000000}) {
      EXPECT_TRUE(decode(encode(raw, codec->name, level), codec->name) == raw) << codec->name << " level " << level;
    }
  }
}

/// Offers room as files do, and only sometimes.
class RoomySink final : public Sink {
 public:
  explicit RoomySink(std::uint64_t seed) : random_(seed) {}
  void write(Bytes data) override { text.append(text_of(data)); }
  MutableBytes room(std::size_t bytes) override {
    if (random_() % 3 == 0) return {};
    room_.assign(bytes + random_() % 5000, '\0');
    return std::as_writable_bytes(std::span(room_));
  }
  void placed(std::size_t n) override { text.append(room_, 0, n); }
  std::string text;

 private:
  Random random_;
  std::string room_;
};

TEST(Codecs, DecodeIntoTheRoomOfTheNextStage) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  const std::string raw = some_content(random, 3 << 20);
  for (const Codec* codec : codecs_that_write()) {
    SCOPED_TRACE(fmt::format("SEAWALL_TEST_SEED={} codec {}", seed, codec->name));
    RoomySink back(seed);
    const auto decoder = codec->decode({.key = "x", .size_hint = {}}, back);
    push(*decoder, encode(raw, codec->name), random);
    decoder->finish();
    EXPECT_TRUE(back.text == raw);
  }
}

TEST(Codecs, HandOverPiecesOfAtLeast256KiB) {
  Random random(1);
  const std::string raw = some_content(random, 8 << 20);
  CpuPool pool(2);
  for (const Codec* codec : codecs_that_write()) {
    for (CpuPool* use : {static_cast<CpuPool*>(nullptr), &pool}) {
      PieceSink stored;
      const auto encoder = codec->encode({.key = "x", .size_hint = raw.size(), .pool = use}, 0, stored);
      for (std::size_t at = 0; at < raw.size(); at += 8192) encoder->write(bytes_of(raw).subspan(at, 8192));
      encoder->finish();
      ASSERT_GT(stored.pieces.size(), 3U) << codec->name;
      stored.pieces.pop_back();
      EXPECT_THAT(stored.pieces, testing::Each(testing::Ge(256U << 10))) << codec->name;
    }
  }
}

std::vector<std::uint64_t> index_of(std::string_view codec, std::string_view raw, std::uint64_t stride, CpuPool* pool,
                                    std::string& stored) {
  std::vector<std::uint64_t> index;
  StringSink out;
  const auto encoder = find_codec(codec)->encode(
      {.key = "x", .size_hint = raw.size(), .pool = pool, .block_index = &index, .index_stride = stride}, 0, out);
  encoder->write(bytes_of(raw));
  encoder->finish();
  stored = out.text();
  return index;
}

TEST(Codecs, IndexLeadsToTheBlocks) {
  Random random(2);
  const std::string raw = some_content(random, (5 << 20) + 12345);
  CpuPool pool(2);
  // What makes an object of blocks alone: what stands before and after them.
  struct Frame {
    std::string_view codec;
    std::string before;
    std::string after;
  };
  const std::string lz4_header = encode("", "lz4").substr(0, 7);
  std::vector<Frame> frames{{"none", "", ""}, {"lz4", lz4_header, encode("", "lz4").substr(7)}};
  if (find_codec("lzo") != nullptr) {
    const std::string empty = encode("", "lzo");
    frames.push_back({"lzo", empty.substr(0, empty.size() - 4), empty.substr(empty.size() - 4)});
  }
  for (const Frame& frame : frames) {
    for (CpuPool* use : {static_cast<CpuPool*>(nullptr), &pool}) {
      for (const std::size_t stride : {64U << 10, 192U << 10, 1U << 20, 4U << 20}) {
        SCOPED_TRACE(fmt::format("{} stride {}", frame.codec, stride));
        std::string stored;
        const std::vector<std::uint64_t> index = index_of(frame.codec, raw, stride, use, stored);
        ASSERT_EQ(index.size(), (raw.size() + stride - 1) / stride);
        EXPECT_EQ(index.front(), frame.before.size());
        for (std::size_t i = 0; i < index.size(); ++i) {
          const std::size_t end = i + 1 < index.size() ? index[i + 1] : stored.size() - frame.after.size();
          std::string alone = frame.before + stored.substr(index[i], end - index[i]) + frame.after;
          const std::string_view expected = std::string_view(raw).substr(i * stride, stride);
          if (frame.codec == "lz4") {
            // The content checksum at the end is of the whole.
            const std::uint32_t hash = lz4::hash_of(bytes_of(expected));
            std::memcpy(alone.data() + alone.size() - sizeof hash, &hash, sizeof hash);
          }
          ASSERT_TRUE(decode(alone, frame.codec) == expected) << i;
        }
      }
    }
  }
}

TEST(Codecs, IndexOfZstdLeadsToWholeFrames) {
  Random random(13);
  const std::string raw = some_content(random, (5 << 20) + 12345);
  for (const std::size_t stride : {64U << 10, 192U << 10, 1U << 20, 4U << 20}) {
    std::string stored;
    const std::vector<std::uint64_t> index = index_of("zstd", raw, stride, nullptr, stored);
    ASSERT_EQ(index.size(), (raw.size() + stride - 1) / stride);
    EXPECT_EQ(index.front(), 16U);
    for (std::size_t i = 0; i < index.size(); ++i) {
      const std::size_t end = i + 1 < index.size() ? index[i + 1] : stored.size() - 24;
      EXPECT_TRUE(decode(stored.substr(index[i], end - index[i]), "zstd") == raw.substr(i * stride, stride)) << i;
    }
  }
}

TEST(Codecs, IndexIsEmptyWhereThereIsNothingToPointTo) {
  std::string stored;
  for (const std::string_view codec : {"brotli", "lzma"}) {
    EXPECT_TRUE(index_of(codec, std::string(300000, 'x'), 64 << 10, nullptr, stored).empty()) << codec;
  }
  for (const Codec* codec : codecs_that_write()) {
    EXPECT_TRUE(index_of(codec->name, "", 64 << 10, nullptr, stored).empty()) << codec->name;
  }
}

TEST(Codecs, IndexNeedsAUsableStride) {
  std::vector<std::uint64_t> index;
  StringSink out;
  for (const Codec* codec : codecs_that_write()) {
    EXPECT_THROW(codec->encode({.key = "x", .size_hint = {}, .block_index = &index, .index_stride = 1000}, 0, out),
                 Error)
        << codec->name;
  }
}

TEST(Codecs, RefuseWhatIsCutAnywhere) {
  Random random(5);
  const std::string text = "Some text, some text, some text, and its end.";
  const std::string large = some_content(random, 700000);
  for (const Codec* codec : codecs_with_frames()) {
    SCOPED_TRACE(codec->name);
    expect_refused("", codec->name, Errc::corrupt, "is empty");
    const std::string small = encode(text, codec->name);
    for (std::size_t n = 1; n < small.size(); ++n) {
      SCOPED_TRACE(fmt::format("cut at {} of {}", n, small.size()));
      expect_refused(std::string_view(small).substr(0, n), codec->name, Errc::corrupt, "it was cut");
    }
    const std::string stored = encode(large, codec->name);
    for (int i = 0; i < 200; ++i) {
      const std::size_t n =
          i < 20 ? stored.size() - 1 - static_cast<std::size_t>(i) : 1 + below(random, stored.size() - 1);
      SCOPED_TRACE(fmt::format("cut at {} of {}", n, stored.size()));
      expect_refused(std::string_view(stored).substr(0, n), codec->name, Errc::corrupt, "it was cut");
    }
  }
}

TEST(Codecs, RefuseGarbageBehindTheEnd) {
  for (const Codec* codec : codecs_with_frames()) {
    for (const std::string& tail :
         {std::string(1, '\0'), std::string(64, '\0'), std::string("and more, unexpectedly")}) {
      const auto failure = failure_of(encode("text", codec->name) + tail, codec->name);
      ASSERT_TRUE(failure) << codec->name << " accepts " << tail.size() << " bytes more";
      EXPECT_EQ(failure->code(), Errc::corrupt) << failure->what();
    }
  }
}

TEST(Codecs, SeeEveryFlippedBitWhereTheFormatHasAChecksum) {
  Random random(12);
  const std::string raw = some_content(random, 20000);
  for (const std::string_view codec : {"lz4", "zstd", "lzo"}) {
    if (find_codec(codec) == nullptr) continue;
    const std::string stored = encode(raw, codec);
    for (std::size_t bit = 0; bit < stored.size() * 8; bit += 1 + below(random, stored.size() / 100)) {
      std::string damaged = stored;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      try {
        // Some bits of headers mean nothing.
        EXPECT_TRUE(decode(damaged, codec) == raw) << codec << " bit " << bit;
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == Errc::corrupt || error.code() == Errc::unsupported) << error.what();
      }
    }
  }
}

TEST(Codecs, WithoutFinishThereIsNoWholeFrame) {
  Random random(6);
  const std::string raw = some_content(random, 6 << 20);
  CpuPool pool(2);
  for (const Codec* codec : codecs_with_frames()) {
    for (CpuPool* use : {static_cast<CpuPool*>(nullptr), &pool}) {
      PieceSink stored;
      {
        const auto encoder = codec->encode({.key = "x", .size_hint = raw.size(), .pool = use}, 0, stored);
        encoder->write(bytes_of(raw));
      }
      ASSERT_TRUE(failure_of(stored.text, codec->name)) << codec->name;
    }
  }
}

class FullSink final : public Sink {
 public:
  void write(Bytes) override { throw Error(Errc::no_space, "disk full"); }
};

TEST(Codecs, AFailureOfTheNextStageComesThrough) {
  Random random(7);
  const std::string raw = some_content(random, 8 << 20);
  CpuPool pool(2);
  for (const Codec* codec : codecs_that_write()) {
    for (int round = 0; round < 10; ++round) {
      FullSink next;
      const auto encoder = codec->encode({.key = "x", .size_hint = raw.size(), .pool = &pool}, 0, next);
      try {
        encoder->write(bytes_of(raw));
        encoder->finish();
        FAIL() << "the failure was lost by " << codec->name;
      } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "disk full");
      }
      const auto decoder = codec->decode({.key = "x", .size_hint = {}}, next);
      const std::string stored = encode("text", codec->name);
      EXPECT_THROW(
          {
            decoder->write(bytes_of(stored));
            decoder->finish();
          },
          Error);
    }
  }
}

TEST(Codecs, ManyEncodersShareAPool) {
  Random random(8);
  const std::string raw = some_content(random, 3 << 20);
  CpuPool pool(2);
  for (const std::string_view codec : {"lz4", "zstd", "lzo"}) {
    if (find_codec(codec) == nullptr) continue;
    const std::string expected = encode(raw, codec);
    std::vector<std::string> stored(4);
    {
      std::vector<std::jthread> threads;
      for (std::string& into : stored) {
        threads.emplace_back([&] {
          StringSink out;
          const auto encoder = find_codec(codec)->encode({.key = "x", .size_hint = raw.size(), .pool = &pool}, 0, out);
          encoder->write(bytes_of(raw));
          encoder->finish();
          into = std::move(out.text());
        });
      }
    }
    for (const std::string& one : stored) EXPECT_TRUE(one == expected) << codec;
  }
}

TEST(None, PassesEverythingOn) {
  EXPECT_EQ(encode("", "none"), "");
  EXPECT_EQ(decode("", "none"), "");
  EXPECT_EQ(encode("abc", "none"), "abc");
  EXPECT_EQ(decode("abc", "none"), "abc");
}

}  // namespace
}  // namespace seawall::codec
