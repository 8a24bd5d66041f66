#include "ops/page_verifier.hh"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/relation_page.hh"

namespace seawall::ops {
namespace {

constexpr std::size_t page_bytes = test::relation_page_bytes;
constexpr archive::Lsn backup_start{0x2000000};
using File = std::vector<std::byte>;

File file_of(std::uint32_t pages, std::uint64_t lsn, std::uint32_t first_block = 0) {
  File file(pages * page_bytes);
  for (std::uint32_t i = 0; i < pages; ++i) {
    test::make_page(MutableBytes(file).subspan(i * page_bytes, page_bytes), lsn, first_block + i);
  }
  return file;
}

std::vector<std::uint32_t> bad_blocks(const File& streamed, const File& on_disk, std::size_t chunk,
                                      std::uint32_t first_block = 0) {
  PageVerifier verifier(first_block, backup_start, [&](std::uint32_t block, MutableBytes page) {
    if ((block + 1) * page_bytes > on_disk.size()) return false;
    std::copy_n(on_disk.begin() + block * page_bytes, page_bytes, page.begin());
    return true;
  });
  for (std::size_t at = 0; at < streamed.size(); at += chunk) {
    verifier.update(Bytes(streamed).subspan(at, std::min(chunk, streamed.size() - at)));
  }
  return verifier.bad_blocks();
}

TEST(PageVerifier, GoodPagesAreGoodHoweverTheyAreCut) {
  const File file = file_of(5, 0x1000000, 131072);
  for (const std::size_t chunk :
       {std::size_t{1}, std::size_t{512}, std::size_t{8191}, std::size_t{8192}, std::size_t{20000}}) {
    EXPECT_TRUE(bad_blocks(file, file, chunk, 131072).empty()) << "chunks of " << chunk;
  }
}

TEST(PageVerifier, AFlippedBitInAnOldPageIsFoundByEachCut) {
  File file = file_of(5, 0x1000000);
  file[3 * page_bytes + 4000] ^= std::byte{1};
  for (const std::size_t chunk : {std::size_t{1000}, std::size_t{8192}, std::size_t{20000}}) {
    EXPECT_EQ(bad_blocks(file, file, chunk), std::vector<std::uint32_t>{3}) << "chunks of " << chunk;
  }
}

TEST(PageVerifier, APageNewerThanTheBackupIsNotBad) {
  File file = file_of(2, backup_start.value);
  file[page_bytes + 4000] ^= std::byte{1};
  EXPECT_TRUE(bad_blocks(file, file, 8192).empty()) << "WAL has a full image of it";
}

TEST(PageVerifier, ATornReadThatTheNextReadHealsIsNotBad) {
  const File whole = file_of(2, 0x1000000);
  File torn = whole;
  torn[page_bytes + 4000] ^= std::byte{1};
  EXPECT_TRUE(bad_blocks(torn, whole, 8192).empty());
}

TEST(PageVerifier, APageThatIsGoneIsNotBad) {
  File torn = file_of(2, 0x1000000);
  torn[page_bytes + 4000] ^= std::byte{1};
  EXPECT_TRUE(bad_blocks(torn, File(page_bytes), 8192).empty());
}

}  // namespace
}  // namespace seawall::ops
