// FileWriter, with system calls that fail as some file system does. The functions below stand before the C library's
// in this test program.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <random>
#include <set>
#include <vector>

#include "base/error.hh"
#include "base/file.hh"
#include "support/temp_dir.hh"

namespace {

struct Faults {
  bool no_direct = false;    // fcntl refuses O_DIRECT
  bool real_direct = false;  // leave O_DIRECT to the file system instead of imitating the strictest
  int fallocate_error = 0;
  int direct_write_error = 0;          // of pwrite with O_DIRECT set
  std::size_t direct_writes_good = 0;  // this many succeed before
  int write_error = 0;                 // of any pwrite
  std::size_t most_bytes = SIZE_MAX;   // pwrite takes no more at once
  std::size_t interrupted = 0;         // this many calls of pwrite give EINTR
};

struct Seen {
  std::size_t direct = 0, buffered = 0;
  std::vector<std::size_t> sizes;
};

Faults faults;
Seen seen;

/// Descriptors for which O_DIRECT is imitated: the tests give the same on every file system.
std::set<int> direct_fds;

bool is_direct(int fd) { return (fcntl(fd, F_GETFL) & O_DIRECT) != 0; }

bool is_aligned(const void* data, std::size_t bytes, off_t offset) {
  const auto all = reinterpret_cast<std::uintptr_t>(data) | bytes | static_cast<std::uintptr_t>(offset);
  return all % seawall::direct_io_alignment == 0;
}

}  // namespace

extern "C" {

int fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  long argument = va_arg(rest, long);
  va_end(rest);
  if (command == F_SETFL && !faults.real_direct) {
    if ((argument & O_DIRECT) == 0) {
      direct_fds.erase(fd);
    } else if (faults.no_direct) {
      errno = EINVAL;
      return -1;
    } else {
      direct_fds.insert(fd);
    }
    argument &= ~O_DIRECT;
  }
  const long result = syscall(SYS_fcntl, fd, command, argument);
  const bool imitated = command == F_GETFL && direct_fds.contains(fd);
  return static_cast<int>(result) | (imitated ? O_DIRECT : 0);
}

ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  const auto refuse = [](int number) -> ssize_t {
    errno = number;
    return -1;
  };
  if (faults.interrupted > 0) {
    --faults.interrupted;
    return refuse(EINTR);
  }
  if (faults.write_error != 0) return refuse(faults.write_error);
  if (is_direct(fd)) {
    if (faults.direct_write_error != 0 && faults.direct_writes_good == 0) return refuse(faults.direct_write_error);
    if (faults.direct_write_error != 0) --faults.direct_writes_good;
    if (!faults.real_direct && !is_aligned(data, bytes, offset)) return refuse(EINVAL);
    ++seen.direct;
  } else {
    ++seen.buffered;
  }
  const ssize_t n = syscall(SYS_pwrite64, fd, data, std::min(bytes, faults.most_bytes), offset);
  if (n > 0) seen.sizes.push_back(static_cast<std::size_t>(n));
  return n;
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  if (faults.fallocate_error != 0) {
    errno = faults.fallocate_error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, bytes));
}
}

namespace seawall {
namespace {

constexpr std::size_t staging_bytes = 64 << 10;

std::string random_bytes(std::size_t bytes) {
  std::mt19937_64 random(bytes);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

class FileWriterTest : public testing::Test {
 protected:
  FileWriterTest() {
    faults = {};
    seen = {};
    direct_fds.clear();
  }
  ~FileWriterTest() override { faults = {}; }

  Fd create() { return open_file(dir_ / "f", O_RDWR | O_CREAT | O_TRUNC); }

  /// Writes `content` in pieces of the given sizes, in turn, and expects to read it back.
  void expect_written(const std::string& content, std::uint64_t expected, const std::vector<std::size_t>& pieces) {
    FileWriter writer(create(), "base/1/2", expected, staging_.span());
    std::size_t at = 0;
    for (std::size_t i = 0; at < content.size(); ++i) {
      const std::size_t n = std::min(pieces[i % pieces.size()], content.size() - at);
      writer.write(bytes_of(content).subspan(at, n));
      at += n;
    }
    const Fd fd = writer.finish();
    EXPECT_FALSE(is_direct(fd.get()));
    // Not EXPECT_EQ: a difference would print the content.
    EXPECT_TRUE(try_read_file(dir_ / "f") == content) << content.size() << " expected " << expected;
  }

  void expect_any_sequence_of_sizes() {
    const std::vector<std::vector<std::size_t>> sequences{
        {1'000'000}, {1, 4095, 4096, 4097},  {staging_bytes}, {staging_bytes + 1}, {staging_bytes - 1, 2},
        {512, 8192}, {3 * staging_bytes, 1}, {70'000, 10}};
    for (const std::size_t bytes :
         {0UL, 1UL, 511UL, 4096UL, 8192UL, 65'535UL, 65'536UL, 65'537UL, 262'144UL, 300'001UL}) {
      const std::string content = random_bytes(bytes);
      for (const auto& pieces : sequences) {
        for (const std::uint64_t expected : {std::uint64_t{0}, std::uint64_t{bytes}, std::uint64_t{1} << 20}) {
          expect_written(content, expected, pieces);
        }
      }
    }
  }

  test::TempDir dir_;
  AlignedBuffer staging_{staging_bytes};
};

TEST_F(FileWriterTest, AnySequenceOfSizes) { expect_any_sequence_of_sizes(); }

TEST_F(FileWriterTest, AnySequenceOfSizesAsThisFileSystemWritesIt) {
  faults.real_direct = true;
  expect_any_sequence_of_sizes();
}

TEST_F(FileWriterTest, AnySequenceOfSizesWithoutDirectIo) {
  faults.no_direct = true;
  expect_any_sequence_of_sizes();
  EXPECT_EQ(seen.direct, 0U);
}

TEST_F(FileWriterTest, RandomSequences) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::size_t> pieces;
    for (int i = 0; i < 9; ++i) pieces.push_back(1 + random() % (random() % 4 == 0 ? 150'000 : 5'000));
    faults.most_bytes = round % 3 == 0 ? 1 + random() % 100'000 : SIZE_MAX;
    expect_written(random_bytes(random() % 700'000), random() % 2 * 600'000, pieces);
  }
}

TEST_F(FileWriterTest, LargeFilesGoPastTheCacheInFullBuffers) {
  expect_written(random_bytes(4 * staging_bytes + 8192), 4 * staging_bytes + 8192, {8192});
  EXPECT_EQ(seen.sizes, (std::vector<std::size_t>{staging_bytes, staging_bytes, staging_bytes, staging_bytes, 8192}));
  EXPECT_EQ(seen.buffered, 0U);
}

TEST_F(FileWriterTest, OnlyTheUnalignedTailIsBuffered) {
  expect_written(random_bytes(4 * staging_bytes + 5000), 4 * staging_bytes + 5000, {10'000});
  EXPECT_EQ(seen.sizes.back(), 904U);
  EXPECT_EQ(seen.direct, 5U);
  EXPECT_EQ(seen.buffered, 1U);
}

TEST_F(FileWriterTest, SmallFilesAreOneBufferedWrite) {
  expect_written(random_bytes(40'000), 40'000, {512, 8192});
  EXPECT_EQ(seen.sizes, std::vector<std::size_t>{40'000});
  EXPECT_EQ(seen.direct, 0U);
}

TEST_F(FileWriterTest, LargeBufferedWritesAreNotStaged) {
  expect_written(random_bytes(400'000), 0, {400'000});
  EXPECT_EQ(seen.sizes, std::vector<std::size_t>{400'000});
}

TEST_F(FileWriterTest, CutsWhatWasPreallocatedTooMuch) {
  expect_written(random_bytes(10'000), 8 << 20, {10'000});
  struct stat info = stat_of(create(), "f");
  EXPECT_EQ(info.st_size, 0);
  const std::string content = random_bytes(300'000);
  FileWriter writer(create(), "f", 8 << 20, staging_.span());
  writer.write(bytes_of(content));
  info = stat_of(writer.finish(), "f");
  EXPECT_EQ(info.st_size, 300'000);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);
}

TEST_F(FileWriterTest, InvalidDirectWritesFallBackForGood) {
  faults.direct_write_error = EINVAL;
  expect_written(random_bytes(500'000), 500'000, {3000});
  EXPECT_EQ(seen.direct, 0U);
  faults.direct_writes_good = 2;
  expect_written(random_bytes(500'000), 500'000, {3000});
  EXPECT_EQ(seen.direct, 2U);
}

TEST_F(FileWriterTest, InvalidOnTheLastPrefixFallsBack) {
  faults.direct_write_error = EINVAL;
  faults.direct_writes_good = 4;
  expect_written(random_bytes(4 * staging_bytes + 30'000), 4 * staging_bytes + 30'000, {staging_bytes});
  EXPECT_EQ(seen.direct, 4U);
  EXPECT_EQ(seen.buffered, 2U);
}

TEST_F(FileWriterTest, ContinuesAfterInterruptionsAndShortWrites) {
  faults.interrupted = 3;
  faults.most_bytes = 10'001;
  expect_written(random_bytes(500'000), 500'000, {70'000});
  EXPECT_EQ(faults.interrupted, 0U);
}

TEST_F(FileWriterTest, WorksWithoutPreallocation) {
  for (const int number : {EOPNOTSUPP, ENOSYS, EINVAL}) {
    faults.fallocate_error = number;
    expect_written(random_bytes(500'000), 500'000, {8192});
  }
}

TEST_F(FileWriterTest, WorksWithAnyStaging) {
  const std::string content = random_bytes(400'000);
  for (const MutableBytes staging :
       {MutableBytes{}, staging_.span().subspan(1), staging_.span().first(100), staging_.span().first(5000)}) {
    FileWriter writer(create(), "f", content.size(), staging);
    for (std::size_t at = 0; at < content.size(); at += 1000) writer.write(bytes_of(content).subspan(at, 1000));
    writer.finish();
    EXPECT_TRUE(try_read_file(dir_ / "f") == content) << staging.size();
  }
}

TEST_F(FileWriterTest, BufferCanBeUsedForTheNextFile) {
  expect_written(random_bytes(300'001), 300'001, {9000});
  expect_written(random_bytes(5), 5, {5});
}

TEST_F(FileWriterTest, FullDiskAtPreallocation) {
  faults.fallocate_error = ENOSPC;
  try {
    const FileWriter writer(create(), "base/1/2", 1 << 20, staging_.span());
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::no_space);
    EXPECT_STREQ(error.what(), "base/1/2: No space left on device");
  }
}

TEST_F(FileWriterTest, FullDiskWhileWriting) {
  for (const std::uint64_t expected : {std::uint64_t{0}, std::uint64_t{1} << 20}) {
    FileWriter writer(create(), "base/1/2", expected, staging_.span());
    writer.write(bytes_of("some bytes"));
    faults.write_error = ENOSPC;
    try {
      writer.finish();
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::no_space);
      EXPECT_STREQ(error.what(), "base/1/2: No space left on device");
    }
    faults.write_error = 0;
  }
}

}  // namespace
}  // namespace seawall
