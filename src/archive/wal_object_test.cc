#include "archive/wal_object.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/wal_listing.hh"

namespace seawall::archive {
namespace {

using testing::ElementsAre;

constexpr std::uint64_t mib = std::uint64_t{1} << 20;
using Kind = WalObjectKind;

TEST(WalObject, NamesThatAreWrittenComeBack) {
  const struct {
    const char* name;
    Kind kind;
    Segment segment;
  } cases[] = {
      {"000000010000000000000015.lz4", Kind::segment, {1, 0x15}},
      {"000000010000000000000015", Kind::segment, {1, 0x15}},
      {"0000000A0000000200000001.zst", Kind::segment, {10, 0x201}},
      {"000000010000000000000015.partial.br", Kind::partial, {1, 0x15}},
      {"000000010000000000000015.00000028.backup.lzma", Kind::backup_label, {1, 0x15}},
      {"000000010000000000000010_delta.lz4", Kind::delta, {1, 0x10}},
      {"000000010000000000000010_delta", Kind::delta, {1, 0x10}},
      {"000000010000000000000015.json", Kind::metadata, {1, 0x15}},
      {"000000010000000000000015.00000028.backup.json", Kind::metadata, {1, 0x15}},
      {"00000001000000000000001.json", Kind::group_metadata, {1, 0x10}},
      {"00000002.history.lz4", Kind::history, {2, 0}},
      {"00000002.history.json", Kind::history, {2, 0}},
  };
  for (const auto& expected : cases) {
    const auto object = parse_wal_object(expected.name, 16 * mib);
    ASSERT_TRUE(object) << expected.name;
    EXPECT_EQ(expected.kind, object->kind) << expected.name;
    EXPECT_EQ(expected.segment, object->segment) << expected.name;
    EXPECT_EQ(expected.name, print_wal_object(object->kind, object->segment, object->rest, 16 * mib));
  }
}

TEST(WalObject, WhatNobodyWritesIsNotUnderstood) {
  for (const char* name :
       {"", "notes.txt", "000000010000000000000015.tmp", "000000010000000000000015.lz4.tmp",
        "00000001000000000000001a.lz4", "000000010000000000000015.", "000000010000000000000015.partial.json.lz4",
        "000000010000000000000015.0000002.backup.lz4", "000000010000000000000015_delta.json",
        "000000010000000000000100.lz4",  // with 16 MiB the last eight digits stay below 0x100
        "000000000000000000000015.lz4", "00000000.history", "00000002.histor", "00000002.history.txt",
        "0000000100000000000000150", "00000001000000000000001.lz4", "00000001000000000000001"}) {
    EXPECT_EQ(std::nullopt, parse_wal_object(name, 16 * mib).has_value() ? std::optional(name) : std::nullopt);
  }
}

TEST(WalObject, AGroupHasAsManySegmentsAsShareItsDigits) {
  EXPECT_EQ(16U, segments_of_object(Kind::group_metadata, 16 * mib));
  EXPECT_EQ(4U, segments_of_object(Kind::group_metadata, 1024 * mib));
  EXPECT_EQ(16U, segments_of_object(Kind::delta, 1024 * mib));
  EXPECT_EQ(1U, segments_of_object(Kind::segment, 16 * mib));
}

WalListing listing(const std::vector<std::pair<std::string, std::uint64_t>>& files) {
  WalListing wal(16 * mib);
  Time time{};
  for (const auto& [file, bytes] : files) EXPECT_TRUE(wal.add(file, bytes, time += std::chrono::seconds(1))) << file;
  wal.settle();
  return wal;
}

std::string segment(std::uint64_t number, Timeline timeline = 1) { return Segment{timeline, number}.name(16 * mib); }

TEST(WalListing, CodecsAreOneAndCompanionsAreNone) {
  const WalListing wal = listing({{segment(1) + ".lz4", 5},
                                  {segment(2) + ".zst", 5},
                                  {segment(3), 5},
                                  {segment(3) + ".lz4", 5},
                                  {segment(5) + ".partial.lz4", 5},
                                  {segment(6) + ".json", 5},
                                  {segment(7) + ".00000028.backup.lz4", 5},
                                  {segment(0) + "_delta.lz4", 5},
                                  {segment(9, 2) + ".lz4", 5},
                                  {"00000002.history.lz4", 5}});
  EXPECT_THAT(wal.timeline(1)->listed.all(), ElementsAre(NumberRange{1, 3}));
  EXPECT_THAT(wal.timeline(2)->listed.all(), ElementsAre(NumberRange{9, 9}));
  EXPECT_EQ(nullptr, wal.timeline(3));
  EXPECT_TRUE(wal.has_history(2));
  EXPECT_FALSE(wal.has_history(1));
  EXPECT_EQ(10U, wal.objects());
  EXPECT_EQ(50U, wal.bytes().bytes());
}

TEST(WalListing, AnEmptyObjectIsThereButOfNoUse) {
  const WalListing wal = listing({{segment(1) + ".lz4", 5},
                                  {segment(2) + ".lz4", 0},
                                  {segment(3) + ".lz4", 5},
                                  {segment(4) + ".lz4", 0},
                                  {segment(4) + ".zst", 5}});
  EXPECT_THAT(wal.timeline(1)->listed.all(), ElementsAre(NumberRange{1, 4}));
  EXPECT_THAT(wal.timeline(1)->usable.all(), ElementsAre(NumberRange{1, 1}, NumberRange{3, 4}));
}

TEST(WalListing, OrderDoesNotMatterAndARepeatedKeyCountsOnce) {
  const WalListing wal = listing({{segment(7) + ".lz4", 70},
                                  {segment(8) + ".lz4", 80},
                                  {segment(2) + ".lz4", 20},
                                  {segment(3) + ".lz4", 30},
                                  {segment(8) + ".lz4", 81}});
  ASSERT_EQ(1U, wal.streams().size());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> seen;
  wal.streams()[0].visit({3, 8}, [&](std::uint64_t number, std::uint64_t bytes) { seen.emplace_back(number, bytes); });
  EXPECT_THAT(seen, ElementsAre(std::pair{3, 30}, std::pair{7, 70}, std::pair{8, 81}));
  EXPECT_THAT(wal.timeline(1)->listed.all(), ElementsAre(NumberRange{2, 3}, NumberRange{7, 8}));
}

TEST(WalListing, KnowsWhenTheEndOfARunWasStored) {
  const WalListing wal = listing({{segment(1) + ".lz4", 5}, {segment(2) + ".lz4", 5}, {segment(4) + ".lz4", 5}});
  EXPECT_EQ(Time(std::chrono::seconds(2)), wal.stored_by(1, 2));
  EXPECT_EQ(Time(std::chrono::seconds(3)), wal.stored_by(1, 4));
  EXPECT_EQ(Time{}, wal.stored_by(1, 3));
  const WalListing hurt = listing({{segment(1) + ".lz4", 5}, {segment(2) + ".lz4", 0}, {segment(3) + ".lz4", 5}});
  EXPECT_EQ(Time(std::chrono::seconds(1)), hurt.stored_by(1, 1));
}

}  // namespace
}  // namespace seawall::archive
