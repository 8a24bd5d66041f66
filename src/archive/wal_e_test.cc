#include "archive/wal_e.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hh"

namespace seawall::archive {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

TEST(WalE, NamesABackupByItsSegmentAndDecimalOffset) {
  EXPECT_EQ(wal_e_backup_name(1, Lsn{7 * 16 * mib + 0x28}, 16 * mib), "base_000000010000000000000007_00000040");
  EXPECT_EQ(wal_e_backup_name(12, Lsn{0x100 * mib + 0x28}, mib), "base_0000000C0000000000000100_00000040");
  // As lpad() cuts it: nine digits into eight.
  EXPECT_EQ(wal_e_backup_name(1, Lsn{123456789}, 1024 * mib), "base_000000010000000000000000_12345678");
}

TEST(WalE, TellsItsNamesFromOthers) {
  const auto name = parse_wal_e_name("base_0000000200000000000000AB_00000256");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->segment, "0000000200000000000000AB");
  EXPECT_EQ(name->offset, "00000256");
  for (const char* other : {"base_0000000200000000000000AB", "base_0000000200000000000000AB_0000025",
                            "base_0000000200000000000000AB_000002567", "base_0000000200000000000000AB_D_000000020000",
                            "base_0000000200000000000000ab_00000256", "LATEST", ""}) {
    EXPECT_FALSE(parse_wal_e_name(other)) << other;
  }
}

TEST(WalE, SpellsMembersAndParts) {
  EXPECT_EQ(wal_e_member_name("/", true), "/");
  EXPECT_EQ(wal_e_member_name("/base/1", true), "base/1/");
  EXPECT_EQ(wal_e_member_name("/base/1/1259", false), "base/1/1259");
  EXPECT_EQ(wal_e_part_name(0), "part_00000000.tar");
  EXPECT_EQ(wal_e_version_object("base_X"), "basebackups_005/base_X/extended_version.txt");
}

TEST(WalE, PrintsASentinelThatWalEAndWeRead) {
  Sentinel sentinel;
  sentinel.start_lsn = Lsn{3 * mib + 0x28};
  sentinel.finish_lsn = Lsn{3 * mib + 0x138};
  sentinel.pg_version = 150004;
  sentinel.system_identifier = 7710409946933241964U;
  sentinel.uncompressed_bytes = 12342847;
  sentinel.data_dir = "/srv/pg";
  sentinel.spec = TablespaceSpec{.base_prefix = "/srv/pg", .tablespaces = {{"16789", "/srv/ts", "pg_tblspc/16789"}}};
  const std::string text = print_wal_e_sentinel(sentinel, 1, mib);
  EXPECT_THAT(text, testing::StartsWith(R"({"wal_segment_backup_stop": "000000010000000000000003", )"
                                        R"("wal_segment_offset_backup_stop": "00000312", "expanded_size_bytes": )"
                                        R"(12342847, "spec": {"base_prefix": "/srv/pg/", "tablespaces": ["16789"], )"
                                        R"("16789": {"loc": "/srv/ts/", "link": "pg_tblspc/16789"}}, "LSN": )"));
  const WalEStop stop = parse_wal_e_stop(text, "x");
  EXPECT_EQ(stop.segment, "000000010000000000000003");
  EXPECT_EQ(stop.offset, "00000312");
  EXPECT_EQ(stop.expanded_bytes, "12342847");
  const Sentinel again = parse_sentinel(text, "x");
  EXPECT_EQ(again.start_lsn, sentinel.start_lsn);
  EXPECT_EQ(again.system_identifier, sentinel.system_identifier);
  ASSERT_TRUE(again.spec);
  EXPECT_EQ(again.spec->tablespaces.front().location, "/srv/ts/");
}

class WalESpec : public testing::Test {
 protected:
  std::string refused(std::string_view json) const {
    try {
      merge_wal_e_spec(recorded_, json, "spec.json");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::corrupt);
      return error.what();
    }
    return "nothing was thrown";
  }
  const TablespaceSpec recorded_{.base_prefix = "/a/",
                                 .tablespaces = {{"1", "/t1/", "pg_tblspc/1"}, {"2", "/t2/", "pg_tblspc/2"}}};
};

TEST_F(WalESpec, LaysAFileOverWhatWasRecorded) {
  const TablespaceSpec moved = merge_wal_e_spec(recorded_, R"({"base_prefix": "/b"})", "x");
  EXPECT_EQ(moved.base_prefix, "/b");
  EXPECT_EQ(moved.tablespaces.size(), 2U);
  const TablespaceSpec one = merge_wal_e_spec(recorded_, R"({"2": {"loc": "/new", "link": "pg_tblspc/2"}})", "x");
  EXPECT_EQ(one.base_prefix, "/a/");
  EXPECT_EQ(one.tablespaces[0].location, "/t1/");
  EXPECT_EQ(one.tablespaces[1].location, "/new");
  EXPECT_TRUE(merge_wal_e_spec(recorded_, R"({"tablespaces": []})", "x").tablespaces.empty());
  EXPECT_TRUE(sets_base_prefix(R"({"base_prefix": "/b"})", "x"));
  EXPECT_FALSE(sets_base_prefix(R"({"base_prefix": ""})", "x"));
}

TEST_F(WalESpec, RefusesWhatLeadsNowhere) {
  EXPECT_THAT(refused(R"({"base_prefix": "/b",})"), HasSubstr("spec.json"));  // the sample in WAL-E's README
  EXPECT_THAT(refused(R"([])"), HasSubstr("no JSON object"));
  EXPECT_THAT(refused(R"({"tablespaces": ["3"]})"), HasSubstr("no loc"));
  EXPECT_THAT(refused(R"({"tablespaces": [3]})"), HasSubstr("no name"));
  EXPECT_THAT(refused(R"({"1": {"loc": "/x", "link": "../x"}})"), HasSubstr("pg_tblspc/1"));
  EXPECT_THAT(refused(R"({"base_prefix": 1})"), HasSubstr("base_prefix"));
}

}  // namespace
}  // namespace seawall::archive
