#include "archive/wal_name.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/layout.hh"
#include "base/error.hh"

namespace seawall::archive {
namespace {

constexpr std::uint64_t mib = 1 << 20;

std::vector<std::pair<Timeline, std::string>> history(std::string_view text,
                                                      std::string_view name = "00000009.history") {
  std::vector<std::pair<Timeline, std::string>> found;
  for (const HistoryEntry& entry : parse_history(text, name)) found.emplace_back(entry.timeline, entry.end.text());
  return found;
}

void expect_bad_history(std::string_view text, std::string_view cause) {
  try {
    history(text);
    FAIL() << "accepted: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::corrupt);
    EXPECT_THAT(error.what(), testing::StartsWith("00000009.history: line "));
    EXPECT_THAT(error.what(), testing::HasSubstr(std::string(cause)));
  }
}

TEST(Lsn, IsWrittenAsPostgresqlPrintsIt) {
  EXPECT_EQ(Lsn{0x1500028}.text(), "0/1500028");
  EXPECT_EQ(Lsn{}.text(), "0/0");
  EXPECT_EQ(Lsn{0xFFFFFFFFFFFFFFFF}.text(), "FFFFFFFF/FFFFFFFF");
  EXPECT_EQ((Lsn{0x16B374D848}).text(), "16/B374D848");
}

TEST(Lsn, IsRead) {
  EXPECT_EQ(parse_lsn("16/B374D848"), Lsn{0x16B374D848});
  EXPECT_EQ(parse_lsn("16/b374d848"), Lsn{0x16B374D848});
  EXPECT_EQ(parse_lsn("0/0"), Lsn{});
  EXPECT_EQ(parse_lsn("0/05000000"), Lsn{0x5000000});
  EXPECT_EQ(parse_lsn("FFFFFFFF/FFFFFFFF"), Lsn{0xFFFFFFFFFFFFFFFF});
  for (const std::string_view bad :
       {"", "/", "0", "1/", "/1", "0/0/0", "000000001/0", "0/000000001", "-1/0", "0x1/0", "0/G", " 0/1", "0/1 "}) {
    EXPECT_EQ(parse_lsn(bad), std::nullopt) << bad;
  }
}

TEST(SegmentSize, IsAPowerOfTwoInBounds) {
  for (std::uint64_t size = mib; size <= 1024 * mib; size *= 2) EXPECT_TRUE(is_segment_size(size)) << size;
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, mib / 2, mib + 1, 3 * mib, 2048 * mib}) {
    EXPECT_FALSE(is_segment_size(size)) << size;
  }
}

TEST(Segment, NamesFollowTheSegmentSize) {
  EXPECT_EQ((Segment{1, 3}).name(16 * mib), "000000010000000000000003");
  EXPECT_EQ((Segment{0x1A, 0x100}).name(16 * mib), "0000001A0000000100000000");
  EXPECT_EQ((Segment{1, 0xFFF}).name(mib), "000000010000000000000FFF");
  EXPECT_EQ((Segment{1, 5}).name(1024 * mib), "000000010000000100000001");
  EXPECT_EQ((Segment{7, 0xFF}).next(), (Segment{7, 0x100}));
  EXPECT_EQ((Segment{1, 0x1FF}).start(16 * mib), Lsn{0x1FF000000});
  EXPECT_EQ(segment_of(2, Lsn{0x1FFFFFFFF}, 16 * mib), (Segment{2, 0x1FF}));
  EXPECT_EQ(segment_of(2, Lsn{0x200000000}, 16 * mib), (Segment{2, 0x200}));
}

TEST(Segment, NamesAreRead) {
  EXPECT_EQ(parse_segment("0000001A0000000100000000", 16 * mib), (Segment{0x1A, 0x100}));
  EXPECT_EQ(parse_segment("0000001a0000000100000000", 16 * mib), (Segment{0x1A, 0x100}));
  EXPECT_EQ(parse_segment("0000000100000000000000FF", 16 * mib), (Segment{1, 0xFF}));
  EXPECT_EQ(parse_segment("000000010000000000000100", 16 * mib), std::nullopt);
  EXPECT_EQ(parse_segment("000000010000000000000100", mib), (Segment{1, 0x100}));
  EXPECT_EQ(parse_segment("000000010000000000000004", 1024 * mib), std::nullopt);
  EXPECT_EQ(parse_segment("FFFFFFFFFFFFFFFF000000FF", 16 * mib)->start(16 * mib), Lsn{0xFFFFFFFFFF000000});
  for (const std::string_view bad :
       {"", "00000001000000000000000", "0000000100000000000000011", "00000001000000000000000G", "00000002.history",
        " 00000010000000000000001", "+00000010000000000000001"}) {
    EXPECT_EQ(parse_segment(bad, 16 * mib), std::nullopt) << bad;
  }
}

TEST(Segment, EveryNameReadsBack) {
  for (std::uint64_t size = mib; size <= 1024 * mib; size *= 2) {
    for (std::uint64_t number = 1; number < (std::uint64_t{1} << 33) / mib; number = number * 3 + 1) {
      const Segment segment{3, number};
      EXPECT_EQ(parse_segment(segment.name(size), size), segment) << size << " " << number;
      EXPECT_EQ(segment_of(3, segment.start(size), size), segment);
    }
  }
}

TEST(WalFile, KindIsToldByTheName) {
  EXPECT_EQ(wal_file_kind("000000010000000000000003"), WalFileKind::segment);
  EXPECT_EQ(wal_file_kind("000000010000000000000003.partial"), WalFileKind::partial);
  EXPECT_EQ(wal_file_kind("0000000A.history"), WalFileKind::history);
  EXPECT_EQ(wal_file_kind("000000010000000000000003.00000028.backup"), WalFileKind::backup_label);
  for (const std::string_view other :
       {"", "history", ".history", "0000000G.history", "00000001.History", "000000010000000000000003.lz4",
        "000000010000000000000003.partial.lz4", "000000010000000000000003.0000028.backup",
        "000000010000000000000003_00000028.backup", "000000010000000000000003.0000002Z.backup", "archive_status",
        "00000001000000000000000.partial", "000000010000000000000003_delta"}) {
    EXPECT_EQ(wal_file_kind(other), WalFileKind::other) << other;
  }
}

TEST(History, ListsTheAncestors) {
  using testing::ElementsAre;
  using testing::Pair;
  EXPECT_THAT(history("1\t0/5000000\tno recovery target specified\n\n"
                      "2\t0/A000198\tbefore 2024-01-01 00:00:00+00\n"),
              ElementsAre(Pair(1, "0/5000000"), Pair(2, "0/A000198")));
  EXPECT_THAT(history("# a comment\n  \t\n 1 0/5\r\n3  16/B374D848   at restore point\tx"),
              ElementsAre(Pair(1, "0/5"), Pair(3, "16/B374D848")));
  EXPECT_THAT(history("1\t0/0A000000\tpadded as by 18\n2\t0/05000000\tback to before 2 began\n"),
              ElementsAre(Pair(1, "0/A000000"), Pair(2, "0/5000000")));
  EXPECT_TRUE(history("").empty());
}

TEST(History, RefusesWhatIsNone) {
  expect_bad_history("1\n", "line 1 is not 'timeline LSN reason'");
  expect_bad_history("1\t0/5\tx\ngarbage\n", "line 2 is not");
  expect_bad_history("one 0/5 x", "line 1 is not");
  expect_bad_history("0\t0/5\tx", "line 1 is not");
  expect_bad_history("-1\t0/5\tx", "line 1 is not");
  expect_bad_history("1\t5\tx", "line 1 is not");
  expect_bad_history(std::string_view("\0\0\0\0", 4), "line 1 is not");
  expect_bad_history("2\t0/5\tx\n1\t0/6\tx\n", "timeline 1 after timeline 2");
  expect_bad_history("2\t0/5\tx\n2\t0/6\tx\n", "timeline 2 after timeline 2");
  expect_bad_history("1\t0/5\tx\n9\t0/6\tx\n", "no ancestor of timeline 9");
}

TEST(History, HasAName) {
  EXPECT_EQ(history_name(2), "00000002.history");
  EXPECT_EQ(history_name(0xABCDEF01), "ABCDEF01.history");
  EXPECT_EQ(parse_history_name("ABCDEF01.history"), 0xABCDEF01);
  EXPECT_EQ(parse_history_name("0000002.history"), std::nullopt);
  EXPECT_EQ(parse_history_name("00000002.history.lz4"), std::nullopt);
}

TEST(Layout, NamesEveryObject) {
  const std::string backup = backup_name("000000010000000000000002");
  EXPECT_EQ(backup, "base_000000010000000000000002");
  EXPECT_EQ(wal_object("000000010000000000000003"), "wal_005/000000010000000000000003");
  EXPECT_EQ(sentinel_object(backup), "basebackups_005/base_000000010000000000000002_backup_stop_sentinel.json");
  EXPECT_EQ(metadata_object(backup), "basebackups_005/base_000000010000000000000002/metadata.json");
  EXPECT_EQ(files_metadata_object(backup), "basebackups_005/base_000000010000000000000002/files_metadata.json");
  EXPECT_EQ(manifest_object(backup), "basebackups_005/base_000000010000000000000002/seawall.json");
  EXPECT_EQ(lease_object(backup), "basebackups_005/base_000000010000000000000002/seawall_lease.json");
  EXPECT_EQ(parts_folder(backup), "basebackups_005/base_000000010000000000000002/tar_partitions/");
  EXPECT_EQ(part_name(1), "part_001.tar");
  EXPECT_EQ(part_name(1234), "part_1234.tar");
}

TEST(Layout, SentinelsNameTheirBackup) {
  EXPECT_EQ(backup_of_sentinel("base_000000010000000000000002_backup_stop_sentinel.json"),
            "base_000000010000000000000002");
  EXPECT_EQ(backup_of_sentinel(sentinel_object("any name")), "any name");
  EXPECT_EQ(backup_of_sentinel("_backup_stop_sentinel.json"), std::nullopt);
  EXPECT_EQ(backup_of_sentinel("x/y_backup_stop_sentinel.json"), std::nullopt);
  EXPECT_EQ(backup_of_sentinel("base_000000010000000000000002/metadata.json"), std::nullopt);
  EXPECT_EQ(backup_of_sentinel("base_000000010000000000000002_backup_stop_sentinel.json.lz4"), std::nullopt);
}

TEST(Layout, BackupsNameTheirSegment) {
  EXPECT_EQ(segment_name_of_backup("base_0000000100000000000000AB"), "0000000100000000000000AB");
  EXPECT_EQ(segment_name_of_backup("base_000000010000000000000006_D_000000010000000000000002"),
            "000000010000000000000006");
  EXPECT_EQ(segment_name_of_backup("base_000000010000000000000006_00000028"), "000000010000000000000006");
  EXPECT_EQ(segment_name_of_backup("base_0000000100000000000000ab"), "ZZZZZZZZZZZZZZZZZZZZZZZZ");
  EXPECT_EQ(segment_name_of_backup(""), "ZZZZZZZZZZZZZZZZZZZZZZZZ");
}

}  // namespace
}  // namespace seawall::archive
