#include "archive/files_metadata.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "base/error.hh"
#include "base/time_text.hh"

namespace seawall::archive {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string fixture(const std::string& name) {
  std::ifstream file(std::string(SEAWALL_FIXTURES) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Hands out `piece` bytes at a time.
class SlowSource final : public Source {
 public:
  SlowSource(std::string_view text, std::size_t piece) : rest_(bytes_of(text)), piece_(piece) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t n = std::min({piece_, into.size(), rest_.size()});
    std::copy_n(rest_.begin(), n, into.begin());
    rest_ = rest_.subspan(n);
    return n;
  }

 private:
  Bytes rest_;
  std::size_t piece_;
};

struct Seen {
  std::vector<std::string> files;
  std::vector<std::string> part_files;
  std::vector<std::string> parts;
};

Seen read(std::string_view text, std::size_t piece = 1 << 20) {
  Seen seen;
  const FilesMetadataEvents events{
      .file =
          [&](const FileEntry& entry) {
            seen.files.push_back(fmt::format("{} {}{} {} {}[{}] {}", entry.name, entry.is_incremented ? "i" : "-",
                                             entry.is_skipped ? "s" : "-", rfc3339_nano(entry.modified),
                                             entry.corrupt_count, fmt::join(entry.corrupt_blocks, " "),
                                             entry.updates_count));
          },
      .part_file = [&](std::string_view part,
                       std::string_view file) { seen.part_files.push_back(fmt::format("{}:{}", part, file)); },
      .part = [&](std::string_view part) { seen.parts.emplace_back(part); }};
  SlowSource source(text, piece);
  read_files_metadata(source, "files_metadata.json", events);
  return seen;
}

Time at(std::string_view text) { return parse_rfc3339(text).value(); }

TEST(FilesMetadata, ReadsARealDelta) {
  const std::string text = fixture("files_metadata_delta.json");
  for (const std::size_t piece : {std::size_t{1}, std::size_t{100}, text.size()}) {
    const Seen seen = read(text, piece);
    ASSERT_EQ(10u, seen.files.size());
    EXPECT_EQ("/base/1/2615 i- 2026-11-20T23:55:35.32541784Z 0[] 0", seen.files[0]);
    EXPECT_EQ("/base/16444/2607_vm -s 2026-11-20T23:55:33.781417884Z 0[] 0", seen.files[3]);
    EXPECT_EQ("/pg_multixact/offsets -- 2026-11-20T23:55:31.721417942Z 0[] 0", seen.files[9]);
    EXPECT_THAT(seen.parts, ElementsAre("backup_label.tar.lz4", "part_001.tar.lz4"));
    ASSERT_EQ(9u, seen.part_files.size());
    EXPECT_EQ("backup_label.tar.lz4:tablespace_map", seen.part_files[0]);
    EXPECT_EQ("part_001.tar.lz4:/pg_wal", seen.part_files[8]);
  }
}

TEST(FilesMetadata, ReadsAnySpelling) {
  const Seen seen = read(
      "{ \"Unknown\":[[{\"Files\":{}}]], \"TarFileSets\":{\"\":null,\"p\":[\"a\\u002fb\"],\"q\":[]},\n"
      "\"Files\":{\"/a\\n\":{\"UpdatesCount\":18446744073709551615,\"x\":{\"MTime\":1},\"isskipped\":true,"
      "\"CorruptBlocks\":{\"SomeCorruptBlocks\":[5,4294967295],\"CorruptBlocksCount\":2,\"y\":[1]},"
      "\"MTime\":\"2024-12-23T17:28:41.574101234+01:00\"},"
      "\"/b\":{\"CorruptBlocks\":null,\"MTime\":null},\"/c\":null},\"DatabasesByNames\":{\"d\":{\"oid\":1}}}");
  EXPECT_THAT(seen.files, ElementsAre("/a\n -s 2024-12-23T16:28:41.574101234Z 2[5 4294967295] 18446744073709551615",
                                      "/b -- 1970-01-01T00:00:00Z 0[] 0", "/c -- 1970-01-01T00:00:00Z 0[] 0"));
  EXPECT_THAT(seen.parts, ElementsAre("", "p", "q"));
  EXPECT_THAT(seen.part_files, ElementsAre("p:a/b"));
  EXPECT_TRUE(read("{\"Files\":null}").files.empty());
  EXPECT_TRUE(read("{}").files.empty());
}

TEST(FilesMetadata, SkipsWhatNobodyAsksFor) {
  // A section that is skipped may hold anything that is JSON.
  const std::string text = "{\"Files\":[1,{\"a\":2}],\"TarFileSets\":{\"p\":[\"f\"],\"q\":[\"g\",\"h\"]}}";
  std::vector<std::string> parts;
  MemorySource source(bytes_of(text));
  read_files_metadata(source, "x",
                      {.file = {}, .part_file = {}, .part = [&](std::string_view p) { parts.emplace_back(p); }});
  EXPECT_THAT(parts, ElementsAre("p", "q"));
  MemorySource again(bytes_of(text));
  read_files_metadata(again, "x", {});
}

/// "database number: relation(oid,node)[nested…] …" of each database.
std::vector<std::string> databases(std::string_view text, std::size_t piece = 1 << 20) {
  std::vector<std::string> seen;
  std::string relations;
  const std::function<std::string(const RelationEntry&)> print = [&](const RelationEntry& entry) {
    std::string out = fmt::format("{}({},{})", entry.name, entry.oid, entry.file_node);
    for (const RelationEntry& nested : entry.subtables) out += fmt::format("[{}]", print(nested));
    return out;
  };
  FilesMetadataEvents events;
  events.relation = [&](const RelationEntry& entry) { relations += " " + print(entry); };
  events.database = [&](std::string_view name, std::uint32_t oid) {
    seen.push_back(fmt::format("{} {}:{}", name, oid, std::exchange(relations, {})));
  };
  SlowSource source(text, piece);
  read_files_metadata(source, "files_metadata.json", events);
  return seen;
}

TEST(FilesMetadata, ReadsDatabasesWhateverTheOrder) {
  const std::string text =
      "{\"Files\":{\"/a\":7},\"DatabasesByNames\":{\"app\":{\"tables_new\":{"
      "\"public.t\":{\"relfilenode\":2,\"subtables\":{\"s.t1\":{\"oid\":3,\"relfilenode\":4},"
      "\"s.t2\":{\"relfilenode\":6,\"oid\":5,\"subtables\":{\"s.t3\":{\"oid\":7,\"relfilenode\":8}}}},\"oid\":1},"
      "\"public.u\":{\"oid\":9,\"unknown\":[{\"oid\":1}],\"relfilenode\":4294967295},\"public.v\":null},"
      "\"x\":{\"tables_new\":1},\"oid\":16444},"
      "\"empty\":{\"oid\":5,\"tables_new\":{}},\"bare\":{},\"none\":null}}";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, text.size()}) {
    EXPECT_THAT(databases(text, piece),
                ElementsAre("app 16444: public.t(1,2)[s.t1(3,4)][s.t2(5,6)[s.t3(7,8)]] public.u(9,4294967295)",
                            "empty 5:", "bare 0:"));
  }
  EXPECT_TRUE(databases("{\"Files\":{}}").empty());
  EXPECT_TRUE(databases("{\"DatabasesByNames\":null}").empty());
}

TEST(FilesMetadata, RefusesDatabasesThatAreNone) {
  for (const char* text :
       {"{\"DatabasesByNames\":[]}", "{\"DatabasesByNames\":{\"a\":[]}}", "{\"DatabasesByNames\":{\"a\":7}}",
        "{\"DatabasesByNames\":{\"a\":{\"oid\":{}}}}", "{\"DatabasesByNames\":{\"a\":{\"oid\":-1}}}",
        "{\"DatabasesByNames\":{\"a\":{\"oid\":4294967296}}}", "{\"DatabasesByNames\":{\"a\":{\"oid\":\"5\"}}}",
        "{\"DatabasesByNames\":{\"a\":{\"tables_new\":[]}}}", "{\"DatabasesByNames\":{\"a\":{\"tables_new\":7}}}",
        "{\"DatabasesByNames\":{\"a\":{\"tables_new\":{\"t\":7}}}}",
        "{\"DatabasesByNames\":{\"a\":{\"tables_new\":{\"t\":[]}}}}",
        "{\"DatabasesByNames\":{\"a\":{\"tables_new\":{\"t\":{\"subtables\":{\"u\":true}}}}}}",
        "{\"DatabasesByNames\":{\"a\":{\"tables_new\":{\"t\":{\"relfilenode\":[]}}}}}"}) {
    try {
      databases(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(Errc::corrupt, error.code()) << text;
    }
  }
}

TEST(FilesMetadata, RefusesWhatIsNone) {
  const std::string good = fixture("files_metadata_delta.json");
  for (const std::string& text :
       {std::string(),
        std::string("null"),
        std::string("[]"),
        std::string("7"),
        std::string("{}{}"),
        std::string("{}\0{}", 5),
        good.substr(0, good.size() - 1),
        good.substr(0, good.size() / 2),
        std::string("{\"Files\":[]}"),
        std::string("{\"Files\":7}"),
        std::string("{\"Files\":{\"/a\":7}}"),
        std::string("{\"Files\":{\"/a\":{\"IsSkipped\":1}}}"),
        std::string("{\"Files\":{\"/a\":{\"MTime\":\"x\"}}}"),
        std::string("{\"Files\":{\"/a\":{\"MTime\":true}}}"),
        std::string("{\"Files\":{\"/a\":{\"UpdatesCount\":-1}}}"),
        std::string("{\"Files\":{\"/a\":{\"IsSkipped\":[true]}}}"),
        std::string("{\"Files\":{\"/a\":{\"CorruptBlocks\":[1]}}}"),
        std::string("{\"Files\":{\"/a\":{\"CorruptBlocks\":{\"SomeCorruptBlocks\":[[1]]}}}}"),
        std::string("{\"Files\":{\"/a\":{\"CorruptBlocks\":{\"SomeCorruptBlocks\":[4294967296]}}}}"),
        std::string("{\"TarFileSets\":{\"p\":{}}}"),
        std::string("{\"TarFileSets\":{\"p\":\"f\"}}"),
        std::string("{\"TarFileSets\":{\"p\":[[]]}}"),
        "{\"x\":" + std::string(100000, '[')}) {
    try {
      read(text);
      ADD_FAILURE() << text.substr(0, 80);
    } catch (const Error& error) {
      EXPECT_EQ(Errc::corrupt, error.code()) << text.substr(0, 80);
      EXPECT_THAT(error.what(), testing::StartsWith("files_metadata.json: at byte ")) << text.substr(0, 80);
    }
  }
}

std::string written(const std::function<void(FilesMetadataWriter&)>& fill) {
  StringSink out;
  FilesMetadataWriter writer(out);
  fill(writer);
  writer.finish();
  return std::move(out.text());
}

TEST(FilesMetadataWriter, WritesAllSections) {
  const Time time = at("2026-11-20T23:55:35.32541784Z");
  const std::string text = written([&](FilesMetadataWriter& writer) {
    writer.file({.name = "/base/1/1259", .is_incremented = true, .modified = time});
    writer.file({.name = "/<\"\u00E9\t>",
                 .is_skipped = true,
                 .modified = time,
                 .corrupt_count = 12,
                 .corrupt_blocks = {5, 7},
                 .updates_count = 3});
    writer.part("part_001.tar.lz4");
    writer.part_file("/base/1/1259");
    writer.part_file("/x");
    writer.part("backup_label.tar.lz4");
    writer.database("postgres", 5);
    writer.relation({.name = "public.t",
                     .oid = 1,
                     .file_node = 2,
                     .subtables = {{.name = "public.t1", .oid = 3, .file_node = 4},
                                   {.name = "public.t2", .oid = 5, .file_node = 6}}});
    writer.relation({.name = "public.u", .oid = 7, .file_node = 8});
    writer.database("empty", 6);
  });
  const std::string local = rfc3339_nano_local(time);
  EXPECT_EQ(
      fmt::format("{{\"Files\":{{\"/base/1/1259\":{{\"IsIncremented\":true,\"IsSkipped\":false,\"MTime\":\"{0}\","
                  "\"UpdatesCount\":0}},\"/<\\\"\u00E9\\t>\":{{\"IsIncremented\":false,\"IsSkipped\":true,"
                  "\"MTime\":\"{0}\",\"CorruptBlocks\":{{\"CorruptBlocksCount\":12,\"SomeCorruptBlocks\":[5,7]}},"
                  "\"UpdatesCount\":3}}}},\"TarFileSets\":{{\"part_001.tar.lz4\":[\"/base/1/1259\",\"/x\"],"
                  "\"backup_label.tar.lz4\":[]}},\"DatabasesByNames\":{{\"postgres\":{{\"oid\":5,\"tables_new\":{{"
                  "\"public.t\":{{\"oid\":1,\"relfilenode\":2,\"subtables\":{{\"public.t1\":{{\"oid\":3,"
                  "\"relfilenode\":4}},\"public.t2\":{{\"oid\":5,\"relfilenode\":6}}}}}},\"public.u\":{{\"oid\":7,"
                  "\"relfilenode\":8}}}}}},\"empty\":{{\"oid\":6}}}}}}",
                  local),
      text);
  EXPECT_THAT(databases(text),
              ElementsAre("postgres 5: public.t(1,2)[public.t1(3,4)][public.t2(5,6)] public.u(7,8)", "empty 6:"));
  const Seen seen = read(text);
  EXPECT_THAT(seen.files, ElementsAre("/base/1/1259 i- 2026-11-20T23:55:35.32541784Z 0[] 0",
                                      "/<\"\u00E9\t> -s 2026-11-20T23:55:35.32541784Z 12[5 7] 3"));
  EXPECT_THAT(seen.part_files, ElementsAre("part_001.tar.lz4:/base/1/1259", "part_001.tar.lz4:/x"));
}

TEST(FilesMetadataWriter, LeavesOutEmptySections) {
  EXPECT_EQ("{}", written([](FilesMetadataWriter&) {}));
  EXPECT_EQ("{\"TarFileSets\":{\"p\":[]}}", written([](FilesMetadataWriter& writer) { writer.part("p"); }));
  EXPECT_EQ("{\"DatabasesByNames\":{\"d\":{\"oid\":1}}}",
            written([](FilesMetadataWriter& writer) { writer.database("d", 1); }));
}

TEST(FilesMetadataWriter, HoldsLittleAndFlushesInPieces) {
  class Pieces final : public Sink {
   public:
    void write(Bytes data) override { sizes.push_back(data.size()); }
    std::vector<std::size_t> sizes;
  };
  Pieces pieces;
  FilesMetadataWriter writer(pieces);
  for (int i = 0; i < 10000; ++i) writer.file({.name = fmt::format("/base/16384/{}", i)});
  writer.finish();
  ASSERT_GT(pieces.sizes.size(), 10u);
  pieces.sizes.pop_back();
  for (const std::size_t size : pieces.sizes) {
    EXPECT_GE(size, 65536u);
    EXPECT_LT(size, 66000u);
  }
}

TEST(FilesMetadataWriter, NamesTheFileWhoseNameIsNotUtf8) {
  try {
    written([](FilesMetadataWriter& writer) { writer.file({.name = "/base/caf\xe9"}); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(Errc::config, error.code());
    EXPECT_THAT(error.what(), HasSubstr("/base/caf"));
  }
}

TEST(FilesMetadataWriter, RefusesSectionsOutOfOrder) {
  const auto code = [](const std::function<void(FilesMetadataWriter&)>& fill) {
    try {
      written(fill);
    } catch (const Error& error) {
      return error.code();
    }
    return Errc::io;
  };
  EXPECT_EQ(Errc::bug, code([](FilesMetadataWriter& w) { w.part("p"), w.file({.name = "/a"}); }));
  EXPECT_EQ(Errc::bug, code([](FilesMetadataWriter& w) { w.part_file("/a"); }));
  EXPECT_EQ(Errc::bug, code([](FilesMetadataWriter& w) { w.part("p"), w.relation({.name = "r"}); }));
}

}  // namespace
}  // namespace seawall::archive
