#include "archive/increment.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <span>

#include "base/error.hh"

namespace seawall::archive {
namespace {

constexpr std::size_t page_bytes = 8192;

template <class T>
void append(std::string& text, T value) {
  text.append(text_of(std::as_bytes(std::span(&value, 1))));
}

std::string page(std::uint32_t block) { return std::string(page_bytes, static_cast<char>('A' + block % 26)); }

std::string header(std::uint64_t file_bytes, const std::vector<std::uint32_t>& blocks) {
  std::string text = "wi1\x55";
  append(text, file_bytes);
  append(text, static_cast<std::uint32_t>(blocks.size()));
  for (const std::uint32_t block : blocks) append(text, block);
  return text;
}

std::string increment(std::uint64_t file_bytes, const std::vector<std::uint32_t>& blocks) {
  std::string text = header(file_bytes, blocks);
  for (const std::uint32_t block : blocks) text += page(block);
  return text;
}

struct Seen {
  std::vector<IncrementHeader> headers;
  std::vector<std::uint32_t> blocks;
  bool pages_match = true;
};

/// Pushes `text` in pieces of `piece` bytes and finishes. `bytes`: the length that the tar header tells.
Seen read(std::string_view text, std::size_t piece, std::uint64_t bytes) {
  Seen seen;
  IncrementReader reader(
      "base/5/16384", bytes, [&](const IncrementHeader& found) { seen.headers.push_back(found); },
      [&](std::uint32_t block, Bytes image) {
        EXPECT_EQ(seen.headers.size(), 1U);
        seen.blocks.push_back(block);
        seen.pages_match = seen.pages_match && text_of(image) == page(block);
      });
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) reader.write(bytes_of(text.substr(0, piece)));
  reader.finish();
  return seen;
}

Seen read(std::string_view text, std::size_t piece = 1 << 20) { return read(text, piece, text.size()); }

void expect_corrupt(std::string_view text, std::string_view cause, std::optional<std::uint64_t> bytes = {}) {
  try {
    read(text, 1 << 20, bytes.value_or(text.size()));
    FAIL() << "accepted, expected: " << cause;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::corrupt);
    EXPECT_THAT(error.what(), testing::StartsWith("base/5/16384: increment "));
    EXPECT_THAT(error.what(), testing::HasSubstr(std::string(cause)));
  }
}

TEST(Increment, GivesHeaderAndPagesWhateverTheChunks) {
  const std::string text = increment(10 * page_bytes, {0, 3, 9, 12});
  for (const std::size_t piece : {1U, 3U, 16U, 17U, 8192U, 10000U, 1U << 20}) {
    const Seen seen = read(text, piece);
    ASSERT_EQ(seen.headers.size(), 1U);
    EXPECT_EQ(seen.headers[0].file_bytes, 10 * page_bytes);
    EXPECT_THAT(seen.headers[0].blocks, testing::ElementsAre(0, 3, 9, 12));
    EXPECT_THAT(seen.blocks, testing::ElementsAre(0, 3, 9, 12));
    EXPECT_TRUE(seen.pages_match) << piece;
  }
}

TEST(Increment, MayHaveNoPages) {
  const Seen seen = read(increment(page_bytes, {}));
  ASSERT_EQ(seen.headers.size(), 1U);
  EXPECT_EQ(seen.headers[0].file_bytes, page_bytes);
  EXPECT_TRUE(seen.headers[0].blocks.empty());
  EXPECT_TRUE(seen.blocks.empty());
}

TEST(Increment, IsRefusedWhenCut) {
  const std::string text = increment(4 * page_bytes, {1, 2});
  for (std::size_t n = 0; n < 24; ++n) {
    expect_corrupt(text.substr(0, n), "ends inside its header");
    expect_corrupt(text.substr(0, n), "ends inside its header", text.size());
  }
  expect_corrupt(text.substr(0, 24), "ends after 0 of 2 pages", text.size());
  expect_corrupt(text.substr(0, 24 + page_bytes), "ends after 1 of 2 pages", text.size());
  expect_corrupt(text.substr(0, text.size() - 1), "ends after 1 of 2 pages", text.size());
  expect_corrupt(text.substr(0, 24), "has 0 bytes for 2 pages");
  expect_corrupt(text.substr(0, text.size() - 1), "has 16383 bytes for 2 pages");
}

TEST(Increment, IsRefusedWhenItGoesOn) {
  const std::string text = increment(4 * page_bytes, {1, 2});
  expect_corrupt(text + "x", "goes on after its last page", text.size());
  expect_corrupt(text + "x", "has 16385 bytes for 2 pages");
  expect_corrupt(increment(4 * page_bytes, {}) + "x", "goes on after its last page");
}

TEST(Increment, IsRefusedWithAHeaderThatCannotBe) {
  expect_corrupt("wi2\x55" + std::string(12, '\0'), "unknown version");
  expect_corrupt("wi1\x56" + std::string(12, '\0'), "does not begin as one");
  expect_corrupt(std::string(16, '\0'), "does not begin as one");
  expect_corrupt(header(page_bytes + 1, {}), "no multiple of 1024");
  expect_corrupt(increment(page_bytes + 1024, {0}), "no multiple of 8192");
  expect_corrupt(increment(4 * page_bytes, {1 << 22}), "lists block 4194304");
  expect_corrupt(increment(4 * page_bytes, {2, 1}), "lists block 1 after block 2");
  expect_corrupt(increment(4 * page_bytes, {2, 2}), "lists block 2 after block 2");
  std::string huge = header(page_bytes, {}).substr(0, 12);
  append(huge, std::uint32_t{0xFFFFFFFF});
  expect_corrupt(huge, "4294967295 pages");
}

TEST(Increment, PagesThatAreNowhereAreCounted) {
  const auto absent = [](std::uint64_t file_pages, std::vector<std::uint32_t> blocks, std::uint64_t base_bytes) {
    const std::uint32_t block_bytes = blocks.empty() ? 0 : page_bytes;
    return absent_pages({file_pages * page_bytes, block_bytes, std::move(blocks)}, base_bytes);
  };
  EXPECT_EQ(absent(4, {0, 3}, 4 * page_bytes), 0U);
  EXPECT_EQ(absent(4, {0, 3}, 9 * page_bytes), 0U);
  EXPECT_EQ(absent(4, {0, 3}, 2 * page_bytes), 1U);
  EXPECT_EQ(absent(4, {0, 3}, 0), 2U);
  EXPECT_EQ(absent(4, {0, 3}, page_bytes + 1), 1U) << "the block that the base ends in is there";
  EXPECT_EQ(absent(4, {}, page_bytes), 3U);
  EXPECT_EQ(absent(2, {0, 5}, 9 * page_bytes), 3U) << "a newer cut counts before what grew again";
  EXPECT_EQ(absent(0, {}, page_bytes), 0U);
}

TEST(Increment, ItsLengthTellsTheBlockSize) {
  for (const std::uint32_t block_bytes : {1024U, 2048U, 4096U, 8192U, 16384U, 32768U}) {
    std::string text = header(7 * block_bytes, {2, 5, 6});
    for (const char letter : {'x', 'y', 'z'}) text += std::string(block_bytes, letter);
    std::uint32_t found = 0;
    std::string letters;
    IncrementReader reader(
        "base/5/16384", text.size(), [&](const IncrementHeader& header) { found = header.block_bytes; },
        [&](std::uint32_t, Bytes image) {
          EXPECT_EQ(image.size(), block_bytes);
          letters += static_cast<char>(image[0]);
        });
    reader.write(bytes_of(text));
    reader.finish();
    EXPECT_EQ(found, block_bytes);
    EXPECT_EQ(letters, "xyz");
  }
  expect_corrupt(header(4096, {0}) + std::string(512, 'x'), "512 bytes for 1 pages");
  expect_corrupt(header(65536, {0}) + std::string(65536, 'x'), "65536 bytes for 1 pages");
  expect_corrupt(header(24576, {0}) + std::string(24576, 'x'), "24576 bytes for 1 pages");
}

/// OrioleDB's files have the block size before the count, and any size.
std::string of_orioledb(std::uint64_t file_bytes, std::uint16_t block_bytes, const std::vector<std::uint32_t>& blocks) {
  std::string text = "wi1\x55";
  append(text, file_bytes);
  append(text, block_bytes);
  append(text, static_cast<std::uint32_t>(blocks.size()));
  for (const std::uint32_t block : blocks) append(text, block);
  for (const std::uint32_t block : blocks) text += std::string(block_bytes, static_cast<char>('a' + block));
  return text;
}

std::string pages_of(const std::string& name, std::string_view text, std::size_t piece) {
  std::string pages;
  IncrementReader reader(
      name, text.size(),
      [&](const IncrementHeader& found) {
        EXPECT_TRUE(found.any_block_size);
        pages += fmt::format("{} bytes", found.file_bytes);
      },
      [&](std::uint32_t block, Bytes image) {
        pages += fmt::format(", {}: {} x {}", block, text_of(image)[0], image.size());
      });
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) reader.write(bytes_of(text.substr(0, piece)));
  reader.finish();
  return pages;
}

TEST(Increment, OfOrioleDbTellsItsBlockSize) {
  for (const std::size_t piece : {1U, 17U, 18U, 19U, 100000U}) {
    EXPECT_EQ(pages_of("/orioledb_data/16384/16390", of_orioledb(20000, 8192, {0, 2}), piece),
              "20000 bytes, 0: a x 8192, 2: c x 8192");
    EXPECT_EQ(pages_of("orioledb_data/16384/16390.1", of_orioledb(1100, 512, {1}), piece), "1100 bytes, 1: b x 512");
    EXPECT_EQ(pages_of("/pg_tblspc/1/orioledb_data/2", of_orioledb(77, 8192, {}), piece), "77 bytes");
  }
}

TEST(Increment, OfOrioleDbIsRefusedWhenItCannotBe) {
  const std::string name = "/orioledb_data/16384/16390";
  const std::string good = of_orioledb(16384, 512, {3});
  for (const std::string& bad :
       {of_orioledb(16384, 1000, {3}), of_orioledb(16384, 256, {3}), good.substr(0, good.size() - 1), good + "x",
        good.substr(0, 17), increment(16384, {1})}) {
    EXPECT_THROW(pages_of(name, bad, 1 << 20), Error) << bad.size();
  }
  EXPECT_THROW(pages_of("/orioledb_data/16384/16390-17.map", good, 1 << 20), Error) << "no data file";
}

}  // namespace
}  // namespace seawall::archive
