#include "storage/s3/put_if_absent_file.hh"

#include <gtest/gtest.h>

#include <fstream>

#include "support/temp_dir.hh"

namespace seawall::storage::s3 {
namespace {

TEST(PutIfAbsentFile, RemembersOneStore) {
  const test::TempDir directory;
  const auto file = directory.path() / "memory";
  const PutIfAbsentCache first = put_if_absent_in(file, "s3://a/b at http://x");
  EXPECT_EQ(first.recall(), std::nullopt);
  first.keep(true);
  EXPECT_EQ(put_if_absent_in(file, "s3://a/b at http://x").recall(), true);
  EXPECT_EQ(put_if_absent_in(file, "s3://a/b at http://y").recall(), std::nullopt) << "another server";
  first.keep(false);
  EXPECT_EQ(first.recall(), false);
  std::ofstream(file, std::ios::trunc) << "torn";
  EXPECT_EQ(first.recall(), std::nullopt);
}

TEST(PutIfAbsentFile, DoesNoHarmWhereNothingCanBeWritten) {
  const PutIfAbsentCache cache = put_if_absent_in("/nonexistent/directory/file", "s3://a");
  cache.keep(true);
  EXPECT_EQ(cache.recall(), std::nullopt);
}

}  // namespace
}  // namespace seawall::storage::s3
