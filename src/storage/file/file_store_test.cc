#include "storage/file/file_store.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <vector>

#include "base/error.hh"
#include "storage/file/temp_name.hh"
#include "support/temp_dir.hh"

namespace seawall::storage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FileStore : public testing::Test {
 protected:
  /// What lies on disk, directories with their '/', sorted.
  std::vector<std::string> on_disk() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(root_.path())) {
      names.push_back(fs::relative(entry.path(), root_.path()).string() + (entry.is_directory() ? "/" : ""));
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  void write(const fs::path& name, std::string_view text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  std::vector<std::string> list(const ListOptions& options = {}) {
    std::vector<std::string> keys;
    store_->list(
        options, [&](const ObjectInfo& object) { return keys.push_back(object.key), true; },
        [&](std::string_view prefix) { return keys.emplace_back(prefix), true; }, {});
    return keys;
  }
  template <class F>
  static std::pair<Errc, std::string> failure_of(F&& action) {
    try {
      action();
    } catch (const Error& error) {
      return {error.code(), error.what()};
    }
    return {Errc::bug, "no failure"};
  }

  test::TempDir root_;
  SystemClock clock_;
  std::unique_ptr<Store> store_ = make_file_store(root_.path(), clock_);
};

TEST_F(FileStore, keysArePaths) {
  store_->put("wal_005/000000010000000000000001.lz4", bytes_of("segment"), {}, {});
  store_->put("top", bytes_of("x"), {}, {});
  EXPECT_THAT(on_disk(), ElementsAre("top", "wal_005/", "wal_005/000000010000000000000001.lz4"));
  std::ifstream file(root_ / "wal_005/000000010000000000000001.lz4");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "segment");
  EXPECT_EQ(store_->description(), "file://" + root_.path().string());
}

TEST_F(FileStore, modesAreWhatTheUmaskLeaves) {
  const mode_t mask = ::umask(027);
  store_->put("d/x", bytes_of("x"), {}, {});
  ::umask(mask);
  EXPECT_EQ(fs::status(root_ / "d/x").permissions(), fs::perms(0640));
  EXPECT_EQ(fs::status(root_ / "d").permissions(), fs::perms(0750));
}

TEST_F(FileStore, theRootMustExist) {
  const std::string missing = (root_ / "none").string();
  EXPECT_EQ(failure_of([&] { make_file_store(missing, clock_); }),
            std::pair(Errc::config, "WALG_FILE_PREFIX: " + missing +
                                        " does not exist; create it, or mount the volume that holds the archive"));
  write("file", "x");
  const std::string file = (root_ / "file").string();
  EXPECT_EQ(failure_of([&] { make_file_store(file, clock_); }),
            std::pair(Errc::config, "WALG_FILE_PREFIX: " + file + " is not a directory"));
}

TEST_F(FileStore, nothingPassesForAbsentWhenTheRootIsGone) {
  fs::create_directory(root_ / "root");
  const auto store = make_file_store(root_ / "root", clock_);
  fs::remove(root_ / "root");
  EXPECT_EQ(failure_of([&] { store->stat("x", {}); }).first, Errc::config);
  EXPECT_EQ(failure_of([&] { store->try_open("x", {}, {}); }).first, Errc::config);
  EXPECT_EQ(failure_of([&] { store->list({}, [](const ObjectInfo&) { return true; }, {}); }).first, Errc::config);
  EXPECT_EQ(failure_of([&] { store->put("x", bytes_of("x"), {}, {}); }).first, Errc::config);
  EXPECT_EQ(failure_of([&] { store->put("d/x", bytes_of("x"), {}, {}); }).first, Errc::config);
}

TEST_F(FileStore, readingMakesNoDirectories) {
  EXPECT_FALSE(store_->stat("a/b", {}));
  EXPECT_EQ(store_->try_open("a/b", {}, {}), nullptr);
  EXPECT_THAT(list({.prefix = "a/"}), IsEmpty());
  EXPECT_TRUE(store_->remove(std::vector<std::string>{"a/b"}, {}).empty());
  EXPECT_THAT(on_disk(), IsEmpty());
}

TEST_F(FileStore, uploadsUseTheTemporaryNamesOfTheFormat) {
  const Upload upload = store_->begin("d/name.lz4", {}, {});
  const auto names = on_disk();
  ASSERT_EQ(names.size(), 2u);
  EXPECT_TRUE(std::regex_match(names[1], std::regex(R"(d/name\.lz4\.tmp\.[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16})")))
      << names[1];
  EXPECT_TRUE(is_temp_name(names[1]));
  store_->abort(upload);
  EXPECT_THAT(on_disk(), IsEmpty());
}

TEST_F(FileStore, hidesTemporaryNamesByTheirExactForm) {
  const std::string temp = "x.tmp.20261120T235533Z-0123456789abcdef";
  const std::vector<std::string> shown{
      ".tmp.20261120T235533Z-0123456789abcdef",  // of no name
      "x.tmp.20261120T235533Z-0123456789ABCDEF",     "x.tmp.20261120T235533Z-0123456789abcde",
      "x.tmp.20261120T235533Z-0123456789abcdef.lz4", "x.tmp.20261120t235533Z-0123456789abcdef",
      "x.tmp.2026112xT235533Z-0123456789abcdef",     "x_tmp.20261120T235533Z-0123456789abcdef"};
  write(temp, "half");
  write("d/" + temp, "half");
  for (const std::string& name : shown) write(name, "whole");
  EXPECT_EQ(list(), shown);
  EXPECT_EQ(list({.one_level = true}), shown);
  for (const std::string& name : {temp, "d/" + temp}) {
    EXPECT_FALSE(store_->stat(name, {})) << name;
    EXPECT_EQ(store_->try_open(name, {}, {}), nullptr) << name;
    EXPECT_EQ(failure_of([&] { store_->put(name, bytes_of("x"), {}, {}); }).first, Errc::usage);
    EXPECT_EQ(failure_of([&] { store_->begin(name, {}, {}); }).first, Errc::usage);
  }
  for (const std::string& name : shown) EXPECT_EQ(store_->stat(name, {}).value().bytes, 5u) << name;
  // A directory is no half-written object, whatever its name.
  write("dir.tmp.20261120T235533Z-0123456789abcdef/x", "whole");
  EXPECT_THAT(list({.prefix = "dir"}), ElementsAre("dir.tmp.20261120T235533Z-0123456789abcdef/x"));
}

TEST_F(FileStore, aFailedPutLeavesNothingOnDisk) {
  const std::string version = store_->put("d/x", bytes_of("old"), {}, {}).object.version;
  store_->put("d/x", bytes_of("new"), {}, {});
  const auto upload = store_->begin("e/f/x", {.only_if_absent = true}, {});
  const auto part = store_->put_part(upload, {}, bytes_of("part"), {});
  write("e/f/x", "someone else's");
  EXPECT_FALSE(store_->complete(upload, std::vector<Part>{part}, {}).created);
  EXPECT_EQ(failure_of([&] { store_->put("d/x", bytes_of("stale"), {.if_version = version}, {}); }).first,
            Errc::differs);
  EXPECT_FALSE(store_->put("d/x", bytes_of("late"), {.only_if_absent = true}, {}).created);
  EXPECT_EQ(failure_of([&] { store_->put("e", bytes_of("x"), {}, {}); }).first, Errc::exists);
  EXPECT_EQ(failure_of([&] { store_->put("e", bytes_of("x"), {.only_if_absent = true}, {}); }).first, Errc::exists);
  const auto [code, message] = failure_of([&] { store_->put("d/x/y/z", bytes_of("x"), {}, {}); });
  EXPECT_EQ(code, Errc::exists);
  EXPECT_THAT(message, HasSubstr(root_.path().string() + "/d/x"));
  EXPECT_EQ(failure_of([&] { store_->put(std::string(250, 'n'), bytes_of("x"), {}, {}); }).first, Errc::usage);
  EXPECT_THAT(on_disk(), ElementsAre("d/", "d/x", "e/", "e/f/", "e/f/x"));
}

TEST_F(FileStore, removalPrunesEmptiedDirectories) {
  for (const std::string key : {"a/b/c/1", "a/b/c/2", "a/x"}) store_->put(key, bytes_of("x"), {}, {});
  store_->remove(std::vector<std::string>{"a/b/c/1", "a/b/c/2"}, {});
  EXPECT_THAT(on_disk(), ElementsAre("a/", "a/x"));
  store_->remove(std::vector<std::string>{"a/x"}, {});
  EXPECT_THAT(on_disk(), IsEmpty());
  EXPECT_TRUE(fs::exists(root_.path()));
  store_->put("a/b/c/1", bytes_of("x"), {}, {});
  EXPECT_THAT(list(), ElementsAre("a/b/c/1"));
}

TEST_F(FileStore, directoriesMayVanishBehindItsBack) {
  store_->put("a/b/1", bytes_of("x"), {}, {});
  fs::remove_all(root_ / "a");
  store_->put("a/b/2", bytes_of("x"), {}, {});
  EXPECT_THAT(on_disk(), ElementsAre("a/", "a/b/", "a/b/2"));
}

TEST_F(FileStore, foldsOnlyDirectoriesWithObjects) {
  fs::create_directories(root_ / "empty/deep");
  write("d/only.tmp.20261120T235533Z-0123456789abcdef", "half");
  write("e/deep/x", "x");
  EXPECT_THAT(list({.one_level = true}), ElementsAre("e/"));
  EXPECT_THAT(list({.start_after = "e/deep/w", .one_level = true}), ElementsAre("e/"));
  EXPECT_THAT(list({.start_after = "e/deep/x", .one_level = true}), IsEmpty());
}

TEST_F(FileStore, followsLinksButNotInCircles) {
  test::TempDir elsewhere;
  std::ofstream(elsewhere / "x") << "linked";
  fs::create_directory_symlink(elsewhere.path(), root_ / "d");
  fs::create_symlink("nowhere", root_ / "dangling");
  EXPECT_THAT(list(), ElementsAre("d/x"));
  EXPECT_EQ(store_->stat("d/x", {}).value().bytes, 6u);
  EXPECT_FALSE(store_->stat("dangling", {}));
  fs::create_directory_symlink(root_.path(), root_ / "circle");
  const auto [code, message] = failure_of([&] { list(); });
  EXPECT_EQ(code, Errc::config);
  EXPECT_THAT(message, HasSubstr("does a link lead back?"));
}

TEST_F(FileStore, otherKindsOfFilesAreNoObjects) {
  ASSERT_EQ(::mkfifo((root_ / "fifo").c_str(), 0600), 0);
  EXPECT_FALSE(store_->stat("fifo", {}));
  EXPECT_EQ(store_->try_open("fifo", {}, {}), nullptr);
  EXPECT_THAT(list(), IsEmpty());
}

TEST_F(FileStore, aFileThatShrinksWhileReadIsCorrupt) {
  write("x", std::string(100000, 'x'));
  const auto source = store_->try_open("x", {}, {});
  std::vector<std::byte> buffer(60000);
  EXPECT_EQ(source->read(buffer), 60000u);
  fs::resize_file(root_ / "x", 70000);
  EXPECT_EQ(source->read(buffer), 10000u);
  const auto [code, message] = failure_of([&] { source->read(buffer); });
  EXPECT_EQ(code, Errc::corrupt);
  EXPECT_THAT(message, HasSubstr("/x: ends at byte 70000, 30000 before its size when it was opened"));
}

TEST_F(FileStore, aFileThatGrowsEndsWhereItEnded) {
  write("x", "first");
  const auto source = store_->try_open("x", {}, {});
  std::ofstream(root_ / "x", std::ios::app) << " and more";
  std::vector<std::byte> buffer(100);
  EXPECT_EQ(read_full(*source, buffer), 5u);
}

TEST_F(FileStore, timesAreThoseOfTheFileToTheNanosecond) {
  write("x", "x");
  const timespec times[2] = {{1'600'000'000, 1}, {1'600'000'000, 123'456'789}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (root_ / "x").c_str(), times, 0), 0);
  EXPECT_EQ(store_->stat("x", {}).value().modified, Time(std::chrono::nanoseconds(1'600'000'000'123'456'789)));
}

TEST_F(FileStore, preallocatedSpaceIsGivenBack) {
  const std::vector<std::byte> body(300000);
  const Upload upload = store_->begin("x", {}, {});
  const std::vector<Part> parts{store_->put_part(upload, {}, body, {})};
  store_->complete(upload, parts, {});
  struct stat status {};
  ASSERT_EQ(::stat((root_ / "x").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 300000);
  EXPECT_LE(status.st_blocks * 512, 2 << 20);
}

TEST_F(FileStore, destructionReleasesUploads) {
  const Upload upload = store_->begin("d/x", {}, {});
  store_->put_part(upload, {}, bytes_of("part"), {});
  store_.reset();
  EXPECT_THAT(on_disk(), IsEmpty());
}

TEST_F(FileStore, listsALargeDirectory) {
  fs::create_directory(root_ / "wal_005");
  constexpr unsigned files = 100'000;
  const int directory = ::open((root_ / "wal_005").c_str(), O_RDONLY | O_DIRECTORY);
  for (unsigned i = 0; i < files; ++i) {
    const std::string name = fmt::format("{:08X}{:016X}.lz4", 1, (i * 7919ULL) % files);
    // Links are made much faster than files; an inode takes 65,000 of them at most.
    const std::string source = fmt::format("source{}", i / 50'000);
    if (i % 50'000 == 0) write(source, "x");
    ASSERT_EQ(::linkat(AT_FDCWD, (root_ / source).c_str(), directory, name.c_str(), 0), 0);
  }
  ::close(directory);
  unsigned seen = 0;
  store_->list({.prefix = "wal_005/0"},
               [&](const ObjectInfo& object) {
                 EXPECT_EQ(object.key, fmt::format("wal_005/{:08X}{:016X}.lz4", 1, seen));
                 return ++seen < files + 1;
               },
               {});
  EXPECT_EQ(seen, files);
  EXPECT_THAT(list({.one_level = true}), ElementsAre("source0", "source1", "wal_005/"));
  EXPECT_EQ(list({.prefix = "wal_005/", .start_after = fmt::format("wal_005/{:08X}{:016X}.lz4", 1, 99'990)}).size(),
            9u);
}

}  // namespace
}  // namespace seawall::storage
