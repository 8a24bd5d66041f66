#include "postgres/wal_records.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/error.hh"
#include "support/wal_stream.hh"

namespace seawall::postgres {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t segment_bytes = 1 << 20;
constexpr std::uint64_t first_number = 3;

/// Reads segments of timeline 1 from `first_number` on, in pieces of `piece` bytes.
void read(WalRecordReader& reader, std::string_view bytes, std::size_t piece = 65536, archive::Timeline timeline = 1) {
  for (std::size_t index = 0; index * segment_bytes < bytes.size(); ++index) {
    reader.begin_segment("segment " + std::to_string(index), {timeline, first_number + index});
    for (std::string_view rest = bytes.substr(index * segment_bytes, segment_bytes); !rest.empty();) {
      const std::size_t n = std::min(piece, rest.size());
      reader.write(bytes_of(rest.substr(0, n)));
      rest.remove_prefix(n);
    }
    reader.end_segment();
  }
}

/// The message of the refusal; a test failure if nothing is wrong with the bytes.
std::string complaint(std::string_view bytes, archive::Timeline timeline = 1) {
  WalRecordReader reader(segment_bytes);
  try {
    read(reader, bytes, 65536, timeline);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::corrupt) << error.what();
    return error.what();
  }
  return "(nothing wrong)";
}

/// Three segments: records of every length around the borders of pages, one longer than a segment, a switch.
struct Sample {
  test::WalStream stream{first_number, segment_bytes};
  std::uint64_t records = 0;

  Sample() {
    std::minstd_rand random(1);
    for (; stream.position() < 3 * segment_bytes + 900'000; ++records) stream.record(random() % 3000);
    for (std::size_t body = 8000; body < 8400; body += 3, ++records) stream.record(body);
    stream.record(segment_bytes + 12345);
    stream.record(7);
    stream.switch_segment();
    records += 3;
  }
};

TEST(WalRecords, AreReadAcrossPagesAndSegments) {
  const Sample sample;
  ASSERT_GE(sample.stream.bytes().size(), 3 * segment_bytes);
  for (const std::size_t piece :
       {std::size_t{1} << 20, std::size_t{8192}, std::size_t{4097}, std::size_t{13}, std::size_t{1}}) {
    WalRecordReader reader(segment_bytes);
    read(reader, sample.stream.bytes(), piece);
    EXPECT_EQ(reader.records(), sample.records) << piece;
    EXPECT_FALSE(reader.within_record());
    EXPECT_FALSE(reader.ends_early().has_value());
  }
}

TEST(WalRecords, AChangedBitIsFoundWherever) {
  const Sample sample;
  std::minstd_rand random(7);
  unsigned tried = 0;
  for (; tried < 400;) {
    const std::size_t at = random() % sample.stream.bytes().size();
    if (!sample.stream.checked()[at]) continue;
    std::string bytes = sample.stream.bytes();
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8)));
    EXPECT_THAT(complaint(bytes), HasSubstr("segment ")) << at;
    ++tried;
  }
}

TEST(WalRecords, PageHeadersAreChecked) {
  const Sample sample;
  const auto with = [&](std::size_t at, auto value) {
    std::string bytes = sample.stream.bytes();
    std::memcpy(bytes.data() + at, &value, sizeof value);
    return complaint(bytes);
  };
  constexpr std::size_t page = 8192;
  EXPECT_THAT(with(page, std::uint16_t{0xD10D}), HasSubstr("magic 0xD10D among those with 0xD110"));
  EXPECT_THAT(with(page + 2, std::uint16_t{0x0010}), HasSubstr("unknown flags"));
  EXPECT_THAT(with(page + 2, std::uint16_t{0x0003}), HasSubstr("wrong form"));
  EXPECT_THAT(with(page + 4, std::uint32_t{2}), HasSubstr("timeline 2 in a segment of timeline 1"));
  EXPECT_THAT(with(page + 8, std::uint64_t{segment_bytes * 9}), HasSubstr("belongs to 0/900000"));
  EXPECT_THAT(with(page + 16, std::uint32_t{5}), HasSubstr("still to come, the page says 5"));
  EXPECT_THAT(with(32, std::uint32_t{1 << 24}), HasSubstr("where no segment begins"));
}

TEST(WalRecords, ASegmentThatIsCutOrTooLongIsRefused) {
  const Sample sample;
  EXPECT_THAT(complaint(std::string_view(sample.stream.bytes()).substr(0, segment_bytes - 1)),
              HasSubstr("1 bytes short"));
  WalRecordReader reader(segment_bytes);
  reader.begin_segment("s", {1, first_number});
  reader.write(bytes_of(sample.stream.segment(0)));
  EXPECT_THROW(reader.write(bytes_of("x")), Error);
}

TEST(WalRecords, WhatBeganBeforeIsPassedOver) {
  const Sample sample;
  WalRecordReader reader(segment_bytes);
  const std::string second = sample.stream.segment(1);
  reader.begin_segment("second", {1, first_number + 1});
  reader.write(bytes_of(second));
  reader.end_segment();
  // Its first page may be in the middle of the long record.
  EXPECT_LT(reader.records(), sample.records);
}

TEST(WalRecords, SegmentsHaveToFollow) {
  const Sample sample;
  WalRecordReader reader(segment_bytes);
  reader.begin_segment("s", {1, first_number});
  reader.write(bytes_of(sample.stream.segment(0)));
  reader.end_segment();
  EXPECT_TRUE(reader.within_record());
  EXPECT_THROW(reader.begin_segment("s", {1, first_number + 2}), Error);
}

TEST(WalRecords, ALinkToAnotherRecordIsRefused) {
  test::WalStream stream(first_number, segment_bytes);
  stream.record(100);
  test::WalStream other(first_number, segment_bytes);
  other.record(60);
  other.record(12);
  other.record(100);
  other.fill();
  // The same place, another history: each record is whole, but the link tells.
  std::string bytes = stream.bytes();
  bytes += other.bytes().substr(bytes.size());
  EXPECT_THAT(complaint(bytes), HasSubstr("is the one before it, which is 0/300028"));
}

TEST(WalRecords, ARecordGivenUpAfterACrashIsNone) {
  test::WalStream stream(first_number, segment_bytes);
  stream.record(100);
  stream.give_up_record(20'000);
  stream.record(50, 0xD0, 0);
  stream.record(60);
  stream.switch_segment();
  WalRecordReader reader(segment_bytes);
  read(reader, stream.bytes());
  EXPECT_EQ(reader.records(), 4u);
}

TEST(WalRecords, TheEndOfWalIsTold) {
  test::WalStream stream(first_number, segment_bytes);
  stream.record(100);
  const std::uint64_t end = stream.position();
  stream.fill();
  WalRecordReader reader(segment_bytes);
  read(reader, stream.bytes());
  ASSERT_TRUE(reader.ends_early().has_value());
  EXPECT_EQ(reader.ends_early()->value, end);
}

TEST(WalRecords, ATimelineBeginsAsACopyOfItsParents) {
  test::WalStream stream(first_number, segment_bytes);
  for (int i = 0; i < 200; ++i) stream.record(100);
  stream.timeline = 2;
  for (int i = 0; i < 200; ++i) stream.record(100);
  stream.switch_segment();
  WalRecordReader reader(segment_bytes);
  read(reader, stream.bytes(), 65536, 2);
  EXPECT_EQ(reader.records(), 401u);
  EXPECT_THAT(complaint(stream.bytes(), 1), HasSubstr("a page of timeline 2 in a segment of timeline 1"));
}

}  // namespace
}  // namespace seawall::postgres
