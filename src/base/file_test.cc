#include "base/file.hh"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "base/error.hh"
#include "support/temp_dir.hh"

namespace seawall {
namespace {

using testing::HasSubstr;

void put(const std::filesystem::path& path, std::string_view content) { std::ofstream(path) << content; }

/// The code and the message of the Error that `action` throws.
template <class Action>
std::pair<Errc, std::string> failure_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {Errc::bug, "no error"};
}

TEST(Fd, ClosesOnDestructionAndOnAssignment) {
  const test::TempDir dir;
  put(dir / "a", "a");
  int first = -1;
  {
    Fd fd = open_file(dir / "a", O_RDONLY);
    first = fd.get();
    EXPECT_NE(fcntl(first, F_GETFD) & FD_CLOEXEC, 0);
    Fd other = std::move(fd);
    EXPECT_EQ(other.get(), first);
    other = open_file(dir / "a", O_RDONLY);
    EXPECT_NE(other.get(), first);
    EXPECT_EQ(fcntl(first, F_GETFD), -1);
    first = other.get();
  }
  EXPECT_EQ(fcntl(first, F_GETFD), -1);
}

TEST(OpenFile, NamesThePath) {
  const test::TempDir dir;
  const auto [code, message] = failure_of([&] { open_file(dir / "missing", O_RDONLY); });
  EXPECT_EQ(code, Errc::not_found);
  EXPECT_EQ(message, (dir / "missing").string() + ": No such file or directory");
}

TEST(TryOpenFile, AbsenceIsAValue) {
  const test::TempDir dir;
  put(dir / "file", "");
  EXPECT_FALSE(try_open_file(dir / "missing", O_RDONLY).has_value());
  EXPECT_FALSE(try_open_file(dir / "file/below", O_RDONLY).has_value());
  EXPECT_TRUE(try_open_file(dir / "file", O_RDONLY).has_value());
  EXPECT_EQ(failure_of([&] { try_open_file(dir.path(), O_WRONLY); }).first, Errc::io);
}

TEST(ReadAt, IsShortOnlyAtTheEnd) {
  const test::TempDir dir;
  put(dir / "f", "0123456789");
  const Fd fd = open_file(dir / "f", O_RDONLY);
  std::array<std::byte, 4> buffer{};
  EXPECT_EQ(read_at(fd, buffer, 2, "f"), 4U);
  EXPECT_EQ(text_of(buffer), "2345");
  EXPECT_EQ(read_at(fd, buffer, 8, "f"), 2U);
  EXPECT_EQ(text_of(Bytes(buffer).first(2)), "89");
  EXPECT_EQ(read_at(fd, buffer, 10, "f"), 0U);
}

TEST(ReadAt, NamesTheFile) {
  const test::TempDir dir;
  const Fd fd = open_file(dir / "f", O_WRONLY | O_CREAT);
  std::array<std::byte, 4> buffer{};
  EXPECT_EQ(failure_of([&] { read_at(fd, buffer, 0, "the file"); }).second, "the file: Bad file descriptor");
}

TEST(WriteAll, WritesInOrderAndAtOffsets) {
  const test::TempDir dir;
  const Fd fd = open_file(dir / "f", O_WRONLY | O_CREAT);
  write_all(fd, bytes_of("abc"), "f");
  write_all(fd, bytes_of("def"), "f");
  write_all_at(fd, bytes_of("XY"), 2, "f");
  EXPECT_EQ(try_read_file(dir / "f"), "abXYef");
}

TEST(TryReadFile, WholeFileOrNothing) {
  const test::TempDir dir;
  put(dir / "empty", "");
  const std::string large(100'000, 'x');
  put(dir / "large", large);
  EXPECT_EQ(try_read_file(dir / "missing"), std::nullopt);
  EXPECT_EQ(try_read_file(dir / "empty"), "");
  EXPECT_EQ(try_read_file(dir / "large"), large);
  EXPECT_EQ(failure_of([&] { try_read_file(dir.path()); }).first, Errc::io);
}

TEST(TryReadFile, RefusesMoreThanTheLimit) {
  const test::TempDir dir;
  const std::string content(10'000, 'x');
  put(dir / "f", content);
  EXPECT_EQ(try_read_file(dir / "f", 10'000), content);
  EXPECT_EQ(try_read_file(dir / "f", SIZE_MAX), content);
  const auto [code, message] = failure_of([&] { try_read_file(dir / "f", 9'999); });
  EXPECT_EQ(code, Errc::corrupt);
  EXPECT_THAT(message, HasSubstr((dir / "f").string()));
  put(dir / "empty", "");
  EXPECT_EQ(try_read_file(dir / "empty", 0), "");
}

TEST(TryReadFile, ReadsFilesThatHaveNoSize) {
  const auto maps = try_read_file("/proc/self/maps");
  ASSERT_TRUE(maps.has_value());
  EXPECT_GT(maps->size(), 4096U);
  EXPECT_THAT(*maps, HasSubstr("[stack]"));
}

TEST(ReplaceFile, GivesContentAndModeAndLeavesNothingElse) {
  const test::TempDir dir;
  replace_file(dir / "f", "first", 0600);
  replace_file(dir / "f", "second", 0644);
  EXPECT_EQ(try_read_file(dir / "f"), "second");
  EXPECT_EQ(stat_of(open_file(dir / "f", O_RDONLY), "f").st_mode & 07777U, 0644U);
  const std::filesystem::directory_iterator entries(dir.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(ReplaceFile, FailureLeavesTheOldOneAndNoTemporary) {
  const test::TempDir dir;
  std::filesystem::create_directory(dir / "f");
  put(dir / "f/inside", "kept");
  const auto [code, message] = failure_of([&] { replace_file(dir / "f", "new", 0644); });
  EXPECT_EQ(code, Errc::io);
  EXPECT_EQ(message, (dir / "f").string() + ": Is a directory");
  EXPECT_EQ(try_read_file(dir / "f/inside"), "kept");
  const std::filesystem::directory_iterator entries(dir.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(SyncDirectory, NamesWhatIsMissing) {
  const test::TempDir dir;
  sync_directory("");
  EXPECT_EQ(failure_of([&] { sync_directory(dir / "missing"); }).second,
            (dir / "missing").string() + ": No such file or directory");
}

TEST(FileSource, ReadsFromItsOffsetToTheEnd) {
  const test::TempDir dir;
  put(dir / "f", "0123456789");
  FileSource source(open_file(dir / "f", O_RDONLY), "f", 3);
  std::array<std::byte, 4> buffer{};
  EXPECT_EQ(source.read(buffer), 4U);
  EXPECT_EQ(text_of(buffer), "3456");
  EXPECT_EQ(source.read(buffer), 3U);
  EXPECT_EQ(text_of(Bytes(buffer).first(3)), "789");
  EXPECT_EQ(source.read(buffer), 0U);
}

}  // namespace
}  // namespace seawall
