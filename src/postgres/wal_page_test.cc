#include "postgres/wal_page.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "postgres/control_file.hh"
#include "support/postgres_server.hh"

namespace seawall::postgres {
namespace {

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (; hex.size() >= 2; hex.remove_prefix(2)) {
    bytes.push_back(static_cast<char>(*parse_int<std::uint8_t>(hex.substr(0, 2), 16)));
  }
  return bytes;
}

/// The first 40 bytes of the first segment that initdb of every major left, and what the server said of itself.
struct RealHeader {
  std::string_view version, hex;
  std::uint64_t system_identifier;
  std::uint32_t segment_mib;
  std::uint64_t page_address;
};
constexpr std::array<RealHeader, 9> real_headers{{
    {"10", "97d0020001000000000000010000000000000000000000002322f56b2502016b0000000100200000", 7710446396783272483, 16,
     0x1000000},
    {"11", "98d0020001000000000000400000000000000000000000004222cd062702016b0000004000200000", 7710446403676086850,
     1024, 0x40000000},
    {"12", "01d1020001000000000000010000000000000000000000008362d06e3002016b0000000100200000", 7710446444075836035, 16,
     0x1000000},
    {"13", "06d102000100000000000001000000000000000000000000a0f2d5793102016b0000000100200000", 7710446448555717280, 16,
     0x1000000},
    {"14", "0dd102000100000000000001000000000000000000000000ba024aa93202016b0000000100200000", 7710446453646820026, 16,
     0x1000000},
    {"15", "10d102000100000000000001000000000000000000000000d252a1f33302016b0000000100200000", 7710446459189023442, 16,
     0x1000000},
    {"16", "13d102000100000000000001000000000000000000000000f142af303502016b0000000100200000", 7710446464508314353, 16,
     0x1000000},
    {"17", "16d107000100000000005000000000004000000000000000122309543602016b0000100000200000", 7710446469396374290, 1,
     0x500000},
    {"18", "18d1020001000000000000040000000000000000000000003933b5573702016b0000000400200000", 7710446473752949561, 64,
     0x4000000},
}};

/// PostgreSQL 15's header with one field replaced.
template <class T>
std::string with(std::size_t offset, T value) {
  std::string bytes = from_hex(real_headers[5].hex);
  store_le(std::as_writable_bytes(std::span(bytes)), offset, value);
  return bytes;
}

void expect_refused(std::string_view bytes, Errc code, std::string_view cause) {
  try {
    parse_segment_header(bytes_of(bytes), "pg_wal/000000010000000000000001");
    FAIL() << "accepted, expected: " << cause;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), testing::StartsWith("pg_wal/000000010000000000000001: "));
    EXPECT_THAT(error.what(), testing::HasSubstr(std::string(cause)));
  }
}

TEST(WalPage, ReadsTheHeaderOfEveryMajor) {
  for (const RealHeader& real : real_headers) {
    const WalSegmentHeader header = parse_segment_header(bytes_of(from_hex(real.hex)), "x");
    EXPECT_EQ(wal_magic_version(header.magic), real.version);
    EXPECT_EQ(header.system_identifier, real.system_identifier) << real.version;
    EXPECT_EQ(header.timeline, 1U) << real.version;
    EXPECT_EQ(header.page_address.value, real.page_address) << real.version;
    EXPECT_EQ(header.segment_bytes, real.segment_mib << 20) << real.version;
    EXPECT_EQ(header.block_bytes, 8192U) << real.version;
  }
}

TEST(WalPage, ReadsASegmentOfARunningServer) {
  test::PostgresServer server({.initdb_arguments = {"--wal-segsize=2"}});
  const std::string name = server.sql("select pg_walfile_name(pg_current_wal_insert_lsn())");
  const auto segment = archive::parse_segment(name, 2 << 20);
  ASSERT_TRUE(segment);
  Fd file = open_file(server.data() / "pg_wal" / name, 0);
  AlignedBuffer page(8192);
  ASSERT_EQ(read_at(file, page.span(), 0, name), 8192U);
  const WalSegmentHeader header = parse_segment_header(page.span(), name);
  EXPECT_EQ(std::to_string(header.system_identifier), server.sql("select system_identifier from pg_control_system()"));
  EXPECT_EQ(header.segment_bytes, 2U << 20);
  EXPECT_EQ(header.page_address, segment->start(2 << 20));
  EXPECT_EQ(header.timeline, segment->timeline);
  EXPECT_EQ(wal_magic_version(header.magic), server.sql("select current_setting('server_version_num')::int / 10000"));
}

TEST(WalPage, KnowsTheMagicsOfItsVersionsOnly) {
  EXPECT_EQ(wal_magic_version(oldest_wal_magic), "10");
  EXPECT_EQ(wal_magic_version(newest_wal_magic), "18");
  EXPECT_EQ(wal_magic_version(newest_wal_magic + 1), std::nullopt);
  EXPECT_EQ(wal_magic_version(0), std::nullopt);
}

TEST(WalPage, TakesANewerServersHeader) {
  std::string bytes = with<std::uint16_t>(0, 0xD119);
  bytes[2] = 0x12;  // with a flag that does not exist yet
  const WalSegmentHeader header = parse_segment_header(bytes_of(bytes), "x");
  EXPECT_EQ(header.magic, 0xD119);
  EXPECT_EQ(header.info, 0x12);
}

TEST(WalPage, RefusesOldServers) {
  expect_refused(with<std::uint16_t>(0, 0xD093), Errc::unsupported, "older than PostgreSQL 10 (page magic 0xD093)");
  expect_refused(with<std::uint16_t>(0, 0xD05C), Errc::unsupported, "older than PostgreSQL 10");
}

TEST(WalPage, RefusesWhatIsNoSegment) {
  const std::string good = with<std::uint16_t>(0, 0xD110);
  expect_refused("", Errc::corrupt, "it has 0 bytes");
  expect_refused(good.substr(0, 39), Errc::corrupt, "it has 39 bytes, its header alone 40");
  expect_refused(std::string(8192, '\0'), Errc::corrupt, "magic 0x0000");
  expect_refused(with<std::uint16_t>(0, 0x10D1), Errc::corrupt, "other byte order");
  expect_refused(with<std::uint16_t>(0, 0xFFFF), Errc::corrupt, "magic 0xFFFF");
  expect_refused(with<std::uint16_t>(2, 0x0005), Errc::corrupt, "no segment header");
  expect_refused(with<std::uint16_t>(2, 0x0012), Errc::corrupt, "unknown flags 0x0012");
  expect_refused(with<std::uint32_t>(4, 0), Errc::corrupt, "timeline 0");
  expect_refused(with<std::uint64_t>(8, 0x1002000), Errc::corrupt, "is of 0/1002000, where no segment begins");
  expect_refused(with<std::uint64_t>(24, 0), Errc::corrupt, "no system identifier");
  expect_refused(with<std::uint32_t>(32, 16 << 20 | 1), Errc::corrupt, "segments of 16777217 bytes");
  expect_refused(with<std::uint32_t>(32, 0), Errc::corrupt, "segments of 0 bytes");
  expect_refused(with<std::uint32_t>(36, 0), Errc::corrupt, "pages of 0 bytes");
  expect_refused(with<std::uint32_t>(36, 8191), Errc::corrupt, "pages of 8191 bytes");
}

}  // namespace
}  // namespace seawall::postgres
