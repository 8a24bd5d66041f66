#include "ops/reverse_file.hh"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hh"
#include "support/temp_dir.hh"

namespace seawall::ops {
namespace {

constexpr std::uint32_t page_bytes = 1024;

std::string pages_of(std::string_view letters) {
  std::string text;
  for (const char letter : letters) text += std::string(page_bytes, letter == '0' ? '\0' : letter);
  return text;
}

TEST(PagesDone, IsCompleteWhenEveryPageBeforeTheLimitIsThere) {
  for (const std::uint64_t blocks : {1U, 63U, 64U, 65U, 128U, 200U}) {
    PagesDone pages;
    pages.begun = true;
    pages.limit_bytes = blocks * page_bytes;
    EXPECT_FALSE(pages.complete()) << "no block size is known, so no page is there";
    pages.block_bytes = page_bytes;
    for (std::uint64_t block = 0; block < blocks; ++block) {
      EXPECT_FALSE(pages.complete()) << block << " of " << blocks;
      EXPECT_FALSE(pages.has(block));
      pages.set(block);
      EXPECT_TRUE(pages.has(block));
    }
    EXPECT_TRUE(pages.complete()) << blocks;
    pages.limit_bytes += page_bytes;
    EXPECT_FALSE(pages.complete()) << blocks;
  }
}

TEST(PagesDone, NothingIsMissingOfNothing) { EXPECT_TRUE(PagesDone{}.complete()); }

PagesDone some_pages(std::initializer_list<std::uint64_t> blocks, std::uint64_t limit_blocks) {
  PagesDone pages;
  pages.begun = true;
  pages.block_bytes = page_bytes;
  pages.limit_bytes = limit_blocks * page_bytes;
  for (const std::uint64_t block : blocks) pages.set(block);
  return pages;
}

std::vector<std::uint64_t> blocks_in(const PagesDone& pages) {
  std::vector<std::uint64_t> blocks;
  for (std::uint64_t block = 0; block < pages.limit_bytes / page_bytes; ++block) {
    if (pages.has(block)) blocks.push_back(block);
  }
  return blocks;
}

TEST(PageLedger, GivesBackWhatWasKeptOfEachFile) {
  const test::TempDir directory;
  PageLedger ledger(directory.path());
  EXPECT_FALSE(ledger.take("a").begun);
  EXPECT_FALSE(ledger.take("b").begun);
  ledger.keep("a", some_pages({0, 70, 199}, 200));
  ledger.keep("b", some_pages({3}, 1000));
  PagesDone a = ledger.take("a");
  EXPECT_TRUE(a.begun);
  EXPECT_EQ(a.block_bytes, page_bytes);
  EXPECT_EQ(a.limit_bytes, 200 * page_bytes);
  EXPECT_THAT(blocks_in(a), testing::ElementsAre(0, 70, 199));
  EXPECT_THAT(blocks_in(ledger.take("b")), testing::ElementsAre(3));
  a.set(1);
  a.limit_bytes = 71 * page_bytes;
  ledger.keep("a", a);
  ledger.keep("b", some_pages({3, 999}, 1000));
  EXPECT_THAT(blocks_in(ledger.take("a")), testing::ElementsAre(0, 1, 70)) << "what lies behind the limit is forgotten";
  EXPECT_THAT(blocks_in(ledger.take("b")), testing::ElementsAre(3, 999));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path())) << "its file has no name";
}

TEST(PageLedger, ForgetsWhatIsCompleteOrNeverBegun) {
  const test::TempDir directory;
  PageLedger ledger(directory.path());
  ledger.take("a");
  ledger.keep("a", some_pages({0, 1}, 2));
  EXPECT_FALSE(ledger.take("a").begun);
  ledger.keep("a", PagesDone{});
  EXPECT_FALSE(ledger.take("a").begun);
  ledger.keep("a", some_pages({0}, 2));
  EXPECT_TRUE(ledger.take("a").begun);
  ledger.drop("a");
  EXPECT_FALSE(ledger.take("a").begun);
}

TEST(PageLedger, KeepsTheLimitOfAFileOfWhichNoPageIsThere) {
  const test::TempDir directory;
  PageLedger ledger(directory.path());
  PagesDone touched;
  touched.begun = true;
  touched.limit_bytes = 8192;
  ledger.take("a");
  ledger.keep("a", touched);
  const PagesDone pages = ledger.take("a");
  EXPECT_TRUE(pages.begun);
  EXPECT_EQ(pages.limit_bytes, 8192U);
  EXPECT_EQ(pages.block_bytes, 0U);
}

TEST(PageLedger, AFileInTwoPartsAtOnceIsRefused) {
  const test::TempDir directory;
  PageLedger ledger(directory.path());
  ledger.take("/base/1/1");
  try {
    ledger.take("/base/1/1");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::corrupt);
    EXPECT_THAT(error.what(), testing::HasSubstr("/base/1/1"));
  }
}

/// One file to which members come, newest first.
class ReverseFileTest : public testing::Test {
 protected:
  void increment(std::uint64_t file_pages, const std::vector<std::uint32_t>& blocks, std::string_view letters) {
    ReverseFile file = open();
    file.begin_increment(
        {.file_bytes = file_pages * page_bytes, .block_bytes = blocks.empty() ? 0 : page_bytes, .blocks = blocks});
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::string page = pages_of(letters.substr(i, 1));
      file.page(blocks[i], bytes_of(page));
    }
    file.end_increment();
    absent_ += file.absent_pages();
    pages_ = file.pages();
  }
  void whole(std::string_view content, std::size_t piece) {
    ReverseFile file = open();
    for (; !content.empty(); content.remove_prefix(std::min(piece, content.size()))) {
      file.fill(bytes_of(content.substr(0, piece)));
    }
    file.end_fill();
    absent_ += file.absent_pages();
    pages_ = file.pages();
  }
  ReverseFile open() {
    return ReverseFile(path_, pages_, [&] { return open_file(path_, O_CREAT | O_EXCL | O_RDWR, 0600); });
  }
  std::string content() const { return try_read_file(path_).value_or("<absent>"); }

  test::TempDir directory_;
  const std::string path_ = (directory_ / "file").native();
  PagesDone pages_;
  std::uint64_t absent_ = 0;
};

TEST_F(ReverseFileTest, AWholeFileFillsWhatIsMissingInWhateverPiecesItComes) {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{700}, std::size_t{1024}, std::size_t{5000}}) {
    std::filesystem::remove(path_);
    pages_ = {};
    increment(6, {1, 4}, "XY");
    EXPECT_EQ(content(), pages_of("0X00Y0"));
    EXPECT_FALSE(pages_.complete());
    whole(pages_of("abcdefgh"), piece);
    EXPECT_EQ(content(), pages_of("aXcdYf")) << piece;
    EXPECT_TRUE(pages_.complete());
  }
  EXPECT_EQ(absent_, 0U);
}

TEST_F(ReverseFileTest, AnOddTailOfAWholeFileComesToo) {
  increment(3, {2}, "X");
  whole(pages_of("a") + "odd", 1 << 20);
  EXPECT_EQ(content(), pages_of("a") + "odd" + std::string(page_bytes - 3, '\0') + pages_of("X"));
}

TEST_F(ReverseFileTest, AnOlderIncrementAddsOnlyWhatIsMissing) {
  increment(4, {1}, "X");
  increment(4, {0, 1, 3}, "abc");
  EXPECT_EQ(content(), pages_of("aX0c"));
  whole(pages_of("ABCD"), 1 << 20);
  EXPECT_EQ(content(), pages_of("aXCc"));
}

TEST_F(ReverseFileTest, WhatANewerBackupCutOffDoesNotComeBack) {
  increment(4, {3}, "X");
  increment(1, {}, "");
  increment(4, {1, 2}, "ab");
  whole(pages_of("ABCD"), 1 << 20);
  EXPECT_EQ(content(), pages_of("A00X"));
  EXPECT_EQ(absent_, 2U);
}

TEST_F(ReverseFileTest, EveryPageByIncrementsNeedsNoWholeFile) {
  increment(2, {0}, "X");
  increment(2, {1}, "Y");
  EXPECT_TRUE(pages_.complete());
  EXPECT_EQ(content(), pages_of("XY"));
}

TEST_F(ReverseFileTest, PagesBehindTheSizeStayAndTheGapIsZeros) {
  increment(1, {3}, "X");
  whole(pages_of("ABCD"), 1 << 20);
  EXPECT_EQ(content(), pages_of("A00X"));
}

TEST_F(ReverseFileTest, AFileThatWasOnlyTouchedTakesAllOfTheOldOne) {
  increment(3, {}, "");
  whole(pages_of("ABCD"), 1500);
  EXPECT_EQ(content(), pages_of("ABC"));
}

/// Files of OrioleDB: any size, and the pages of one increment may be larger than those of the next.
TEST_F(ReverseFileTest, PagesOfSeveralSizesInAFileOfAnySize) {
  const auto patch = [&](std::uint64_t file_bytes, std::uint32_t block_bytes, const std::vector<std::uint32_t>& blocks,
                         char letter) {
    ReverseFile file = open();
    file.begin_increment(
        {.file_bytes = file_bytes, .block_bytes = block_bytes, .blocks = blocks, .any_block_size = true});
    const std::string image(block_bytes, letter);
    for (const std::uint32_t block : blocks) file.page(block, bytes_of(image));
    file.end_increment();
    pages_ = file.pages();
  };
  patch(5000, 512, {1, 4}, 'N');
  EXPECT_FALSE(pages_.complete());
  patch(4900, 1024, {0, 2, 4}, 'O');
  patch(9000, 2048, {2}, 'P');
  whole(std::string(8000, 'w'), 700);
  std::string expected(5000, 'w');
  const auto put = [&](std::size_t at, std::size_t end, char letter) {
    expected.replace(at, end - at, end - at, letter);
  };
  put(0, 1024, 'O');
  put(2048, 3072, 'O');
  put(4096, 5000, 'O');  // behind the size of its file, which grew while it was read
  put(512, 1024, 'N');
  put(2048, 2560, 'N');
  EXPECT_TRUE(content() == expected);
}

TEST_F(ReverseFileTest, AFileOfAnySizeIsNotCompleteWithoutItsEnd) {
  ReverseFile file = open();
  file.begin_increment({.file_bytes = 1100, .block_bytes = 512, .blocks = {0, 1}, .any_block_size = true});
  const std::string image(512, 'N');
  for (const std::uint32_t block : {0U, 1U}) file.page(block, bytes_of(image));
  file.end_increment();
  EXPECT_FALSE(file.pages().complete());
}

}  // namespace
}  // namespace seawall::ops
