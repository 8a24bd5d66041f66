#include "postgres/control_file.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/crc32c.hh"
#include "base/error.hh"
#include "base/file.hh"
#include "support/postgres_server.hh"
#include "support/temp_dir.hh"

namespace seawall::postgres {
namespace {

std::string fixture(int major) {
  const auto content = try_read_file(std::filesystem::path(SEAWALL_PG_CONTROL_FIXTURES) / std::to_string(major));
  if (!content) throw std::runtime_error("no fixture for PostgreSQL " + std::to_string(major));
  return *content;
}

/// What each server itself reported (pg_control_system(), pg_control_init(), pg_control_checkpoint()).
struct Reported {
  int major;
  std::uint64_t system_identifier;
  std::uint32_t version;
  std::string_view checkpoint;
  std::uint32_t segment_bytes, checksum_version;
};
constexpr std::array<Reported, 9> reported{{
    {10, 7710446396783272483, 1002, "0/18383A0", 16 << 20, 1},
    {11, 7710446403676086850, 1100, "0/40656128", 1 << 30, 0},
    {12, 7710446444075836035, 1201, "0/1867A60", 16 << 20, 1},
    {13, 7710446448555717280, 1300, "0/15C4948", 16 << 20, 0},
    {14, 7710446453646820026, 1300, "0/1943170", 16 << 20, 1},
    {15, 7710446459189023442, 1300, "0/1511A88", 16 << 20, 0},
    {16, 7710446464508314353, 1300, "0/1720FC8", 16 << 20, 1},
    {17, 7710446469396374290, 1700, "0/5D8A30", 1 << 20, 0},
    {18, 7710446473752949561, 1800, "0/474B290", 64 << 20, 1},
}};

/// PostgreSQL 15's file with one field replaced and the checksum made right again.
template <class T>
std::string with(std::size_t offset, T value) {
  std::string bytes = fixture(15);
  const MutableBytes content = std::as_writable_bytes(std::span(bytes));
  store_le(content, offset, value);
  store_le(content, 288, crc32c(content.first(288)));
  return bytes;
}

void expect_refused(std::string_view bytes, Errc code, std::string_view cause) {
  try {
    parse_control_file(bytes_of(bytes), "global/pg_control");
    FAIL() << "accepted, expected: " << cause;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), testing::StartsWith("global/pg_control: "));
    EXPECT_THAT(error.what(), testing::HasSubstr(std::string(cause)));
  }
}

TEST(ControlFile, IsReadOfEveryMajor) {
  for (const Reported& server : reported) {
    const ControlFile file = parse_control_file(bytes_of(fixture(server.major)), "x");
    EXPECT_EQ(file.system_identifier, server.system_identifier) << server.major;
    EXPECT_EQ(file.control_version, server.version) << server.major;
    EXPECT_EQ(file.checkpoint.text(), server.checkpoint) << server.major;
    EXPECT_EQ(file.timeline, 1U) << server.major;
    EXPECT_EQ(file.block_bytes, 8192U) << server.major;
    EXPECT_EQ(file.wal_segment_bytes, server.segment_bytes) << server.major;
    EXPECT_EQ(file.data_checksum_version, server.checksum_version) << server.major;
  }
}

TEST(ControlFile, IsReadOfARunningServer) {
  test::PostgresServer server({.initdb_arguments = {"--wal-segsize=4"}});
  server.sql("checkpoint");
  const auto file = try_read_control_file(server.data());
  ASSERT_TRUE(file);
  EXPECT_EQ(std::to_string(file->system_identifier), server.sql("select system_identifier from pg_control_system()"));
  EXPECT_EQ(file->checkpoint.text(), server.sql("select checkpoint_lsn from pg_control_checkpoint()"));
  EXPECT_EQ(std::to_string(file->timeline), server.sql("select timeline_id from pg_control_checkpoint()"));
  EXPECT_EQ(file->wal_segment_bytes, 4U << 20);
  EXPECT_EQ(file->data_checksum_version, 1U);

  const auto pid = running_postmaster(server.data());
  ASSERT_TRUE(pid);
  std::ifstream first_line(server.data() / "postmaster.pid");
  int written = 0;
  first_line >> written;
  EXPECT_EQ(*pid, written);
  server.stop();
  EXPECT_EQ(running_postmaster(server.data()), std::nullopt);
}

TEST(ControlFile, EveryFlippedBitIsSeen) {
  for (const Reported& server : reported) {
    const std::string good = fixture(server.major);
    const std::size_t end = server.version == 1800 ? 296 : server.version == 1100 ? 284 : 292;
    for (std::size_t bit = 0; bit < end * 8; ++bit) {
      std::string damaged = good;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      EXPECT_THROW(parse_control_file(bytes_of(damaged), "x"), Error) << server.major << " bit " << bit;
    }
    for (std::size_t cut = 0; cut < end; ++cut) {
      EXPECT_THROW(parse_control_file(bytes_of(good).first(cut), "x"), Error) << server.major << " cut at " << cut;
    }
    EXPECT_EQ(parse_control_file(bytes_of(good).first(end), "x").system_identifier, server.system_identifier);
  }
}

TEST(ControlFile, SaysWhatIsWrong) {
  expect_refused("", Errc::corrupt, "it has 0 bytes");
  expect_refused(std::string(8192, '\0'), Errc::corrupt, "its version is 0");
  expect_refused(fixture(15).substr(0, 100), Errc::corrupt, "it is cut after 100 bytes");
  expect_refused(fixture(15).replace(40, 1, "x"), Errc::corrupt, "its checksum is wrong");
  expect_refused(with<std::uint32_t>(8, 1900), Errc::unsupported, "version 1900 is of a server newer");
  expect_refused(with<std::uint32_t>(8, 960), Errc::unsupported, "version 960 is of a server older");
  expect_refused(with<std::uint32_t>(8, 0x14050000), Errc::corrupt, "its version is");
  expect_refused(with<std::uint32_t>(228, 12345), Errc::corrupt, "WAL segments of 12345 bytes");
  expect_refused(with<std::uint32_t>(216, 8193), Errc::corrupt, "pages of 8193 bytes");
}

TEST(ControlFile, MayBeAbsentButNotBroken) {
  const test::TempDir dir;
  EXPECT_FALSE(try_read_control_file(dir.path()));
  std::filesystem::create_directory(dir / "global");
  EXPECT_FALSE(try_read_control_file(dir.path()));
  std::ofstream(dir / "global/pg_control", std::ios::binary) << fixture(12);
  EXPECT_EQ(try_read_control_file(dir.path())->control_version, 1201U);
  std::ofstream(dir / "global/pg_control", std::ios::binary) << fixture(12).replace(100, 4, "oops");
  EXPECT_THROW(try_read_control_file(dir.path()), Error);
}

std::optional<int> postmaster_by(const test::TempDir& dir, std::string_view content) {
  std::ofstream(dir / "postmaster.pid") << content;
  return running_postmaster(dir.path());
}

TEST(RunningPostmaster, IsAProcessThatLivesAndIsNotUs) {
  const test::TempDir dir;
  EXPECT_EQ(running_postmaster(dir.path()), std::nullopt);
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const std::string id = std::to_string(child);
  EXPECT_EQ(postmaster_by(dir, id + "\n/data\n1700000000\n5432\n"), child);
  EXPECT_EQ(postmaster_by(dir, "-" + id + "\n"), child);  // single-user mode
  EXPECT_EQ(postmaster_by(dir, id), child);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(postmaster_by(dir, id + "\n"), std::nullopt);
  EXPECT_EQ(postmaster_by(dir, std::to_string(getpid()) + "\n"), std::nullopt);
  for (const std::string_view none : {"", "\n", "x\n", "0\n", "-2147483648\n", "99999999999999\n"}) {
    EXPECT_EQ(postmaster_by(dir, none), std::nullopt) << none;
  }
}

}  // namespace
}  // namespace seawall::postgres
