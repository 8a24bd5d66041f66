#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "archive/files_metadata.hh"
#include "archive/manifest.hh"
#include "ops/backup_record.hh"
#include "ops/data_directory_source.hh"
#include "ops/part_packer.hh"
#include "support/archive_builder.hh"
#include "support/relation_page.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

using test::noise;

struct SeenMember {
  archive::Member member;
  std::uint64_t offset = 0;
  std::string body;
};

class Collector final : public archive::MemberSink {
 public:
  void begin(const archive::Member& member, std::uint64_t offset) override { seen.push_back({member, offset, {}}); }
  void body(Bytes data) override { seen.back().body.append(text_of(data)); }
  void end() override {}
  std::vector<SeenMember> seen;
};

/// A small data directory and an archive in memory that it is packed into.
class BackupParts : public WalTest {
 protected:
  BackupParts() {
    for (const char* directory : {"base/5", "global", "pg_wal/archive_status"}) {
      std::filesystem::create_directories(data_directory_ / directory);
    }
    write_file(data_directory_ / "PG_VERSION", "15\n");
    write_file(data_directory_ / "global/pg_control", std::string(8192, 'c'));
    write_file(data_directory_ / "base/5/1259", noise(3 * 8192));
    write_file(data_directory_ / "base/5/2619", "");
    write_file(data_directory_ / "base/5/pg_filenode.map", noise(524, 2));
    record_.emplace(repository_, backup_, archive::ManifestHeader{.version = 1, .tool = "test"},
                    BackupRecord::Options{}, std::stop_token{});
  }

  void walk(DataDirectorySource::Options options = {}) { source_.emplace(data_directory_, options, run_); }
  void pack(std::uint64_t threshold = std::uint64_t{1} << 30) {
    PackingPlan plan{repository_, backup_, threshold};
    pack_members(*source_, plan, *record_, run_);
    parts_ = plan.last_part;
  }
  void finish() {
    record_->finish_files();
    record_->finish_files_metadata();
    record_->finish_manifest("{}");
  }

  std::string object(unsigned part) { return archive::parts_folder(backup_) + archive::part_name(part); }
  std::string raw(unsigned part) {
    const auto found = pipeline::find_encoded(repository_, object(part), {});
    if (!found) return "<absent>";
    StringSink sink;
    pipeline::pull(repository_, found->object, *found->codec, sink, {});
    return sink.text();
  }
  std::vector<SeenMember> members(unsigned part) {
    Collector collector;
    archive::TarReader reader(collector, object(part));
    reader.write(bytes_of(raw(part)));
    reader.finish();
    return std::move(collector.seen);
  }
  std::map<std::string, SeenMember> all_members() {
    std::map<std::string, SeenMember> all;
    for (unsigned part = 1; part <= parts_; ++part) {
      for (SeenMember& member : members(part)) {
        const std::string name = member.member.name;
        EXPECT_TRUE(all.emplace(name, std::move(member)).second) << name << " came twice";
      }
    }
    return all;
  }
  std::map<std::string, archive::FileEntry> files() {
    std::map<std::string, archive::FileEntry> files;
    const std::string text = plain(archive::files_metadata_object(backup_));
    MemorySource source(bytes_of(text));
    archive::read_files_metadata(
        source, "files_metadata.json",
        {.file = [&](const archive::FileEntry& entry) { files[std::string(entry.name)] = entry; },
         .part_file = nullptr,
         .part = nullptr});
    return files;
  }
  std::map<std::string, std::vector<std::string>> tar_file_sets() {
    std::map<std::string, std::vector<std::string>> sets;
    const std::string text = plain(archive::files_metadata_object(backup_));
    MemorySource source(bytes_of(text));
    archive::read_files_metadata(
        source, "files_metadata.json",
        {.file = nullptr,
         .part_file = [&](std::string_view part, std::string_view file) { sets[std::string(part)].emplace_back(file); },
         .part = nullptr});
    return sets;
  }
  archive::Manifest manifest() {
    const std::string text = plain(archive::manifest_object(backup_));
    MemorySource source(bytes_of(text));
    return archive::read_manifest(source, "seawall.json");
  }
  std::string file(const char* name) { return text_of_file(data_directory_ / name); }

  /// Hands every member to a part of its own making, after `meanwhile` has had its way with the file that is read.
  void pack_while(const std::string& name, const std::function<void()>& meanwhile) {
    PartWriter part(repository_, backup_, archive::part_name(1), {});
    while (const std::unique_ptr<PendingMember> member = source_->next()) {
      if (member->header().name == name) meanwhile();
      part.add(*member);
    }
    record_->add(part.finish(), PartKind::files);
    parts_ = 1;
  }

  const std::string backup_ = "base_000000010000000000000002";
  const seawall::Run run_{clock_, log_, progress_, {}};
  std::optional<BackupRecord> record_;
  std::optional<DataDirectorySource> source_;
  unsigned parts_ = 0;
};

TEST_F(BackupParts, EveryMemberComesOnceWithItsBytes) {
  walk();
  pack();
  EXPECT_EQ(parts_, 1U);
  const auto all = all_members();
  for (const char* name : {"/PG_VERSION", "/base/5/1259", "/base/5/2619", "/base/5/pg_filenode.map"}) {
    ASSERT_TRUE(all.contains(name)) << name;
    EXPECT_EQ(all.at(name).body, file(name + 1)) << name;
    EXPECT_EQ(all.at(name).member.bytes, all.at(name).body.size());
    struct stat status {};
    ASSERT_EQ(::stat((data_directory_ / (name + 1)).c_str(), &status), 0);
    EXPECT_EQ(all.at(name).member.mode, status.st_mode & 07777U);
    EXPECT_EQ(all.at(name).member.uid, status.st_uid);
    EXPECT_EQ(all.at(name).member.gid, status.st_gid);
  }
  for (const char* name : {"/", "/base", "/base/5", "/global", "/pg_wal"}) {
    ASSERT_TRUE(all.contains(name)) << name;
    EXPECT_EQ(all.at(name).member.type, archive::MemberType::directory);
  }
  EXPECT_FALSE(all.contains("/global/pg_control")) << "it comes last, in a part of its own";
  EXPECT_EQ(raw(1).size() % 512, 0U);
  EXPECT_EQ(raw(1).substr(raw(1).size() - 1024), std::string(1024, '\0'));
}

TEST_F(BackupParts, AHugeFileIsCompressedOnSeveralThreadsAndStoredTheSame) {
  write_file(data_directory_ / "base/5/16384", noise(5 << 20));
  for (const char* codec : {"lz4", "zstd", "brotli", "none"}) {
    repository_.codec = codec::find_codec(codec);
    walk();
    PackingPlan alone{repository_, backup_, 1 << 20};
    pack_members(*source_, alone, *record_, run_);
    const std::string key = pipeline::with_suffix(object(1), *repository_.codec);
    const std::string stored = plain(key);
    EXPECT_TRUE(raw(1).find(noise(5 << 20).substr(0, 100000)) != std::string::npos) << codec;
    CpuPool pool(3);
    walk();
    PackingPlan shared{repository_, backup_, 1 << 20};
    shared.pool = &pool;
    shared.pool_from_bytes = 4 << 20;
    pack_members(*source_, shared, *record_, run_);
    EXPECT_TRUE(plain(key) == stored) << codec;
  }
}

TEST_F(BackupParts, PaddingIsZeros) {
  walk();
  pack();
  const std::string tar = raw(1);
  for (const SeenMember& member : members(1)) {
    const std::size_t end = member.offset + 512 + member.body.size();
    EXPECT_EQ(tar.substr(end, archive::tar_padding(member.body.size())),
              std::string(archive::tar_padding(member.body.size()), '\0'))
        << member.member.name;
  }
}

TEST_F(BackupParts, AFullPartIsClosed) {
  for (int i = 0; i < 6; ++i) write_file(data_directory_ / fmt::format("base/5/{}", 16384 + i), noise(1000));
  walk();
  pack(/*threshold=*/1999);
  finish();
  EXPECT_GT(parts_, 3U);
  EXPECT_EQ(all_members().size(), source_->files() + 5) << "and five directories";
  EXPECT_EQ(tar_file_sets().size(), parts_);
  const std::vector<archive::ManifestObject> objects = manifest().objects;
  EXPECT_EQ(std::count_if(objects.begin(), objects.end(), [](const auto& o) { return o.name.starts_with("tar_"); }),
            parts_);
}

TEST_F(BackupParts, LargeFilesComeFirstAndTheLargestBeforeTheOthers) {
  for (const auto& [name, size] : {std::pair{"base/5/1", 20 << 20}, {"base/5/9", 24 << 20}}) {
    write_file(data_directory_ / name, "");
    std::filesystem::resize_file(data_directory_ / name, static_cast<std::uintmax_t>(size));
  }
  walk();
  std::vector<std::string> names;
  while (const auto member = source_->next()) {
    if (member->header().type == archive::MemberType::file) names.push_back(member->header().name);
  }
  EXPECT_THAT(names, testing::ElementsAre("/base/5/9", "/base/5/1", "/PG_VERSION", "/base/5/1259", "/base/5/2619",
                                          "/base/5/pg_filenode.map"));
  EXPECT_EQ(source_->next(), nullptr);
}

TEST_F(BackupParts, TheManifestsDigestsAndOffsetsAreTrue) {
  walk();
  pack(/*threshold=*/8192);
  finish();
  const std::string text = plain(archive::manifest_object(backup_));
  unsigned found = 0;
  for (const archive::ManifestObject& recorded : manifest().objects) {
    const std::string stored = plain(std::string(archive::backups_folder) + backup_ + "/" + recorded.name);
    EXPECT_EQ(recorded.bytes, stored.size()) << recorded.name;
    EXPECT_EQ(recorded.digest, digest_of(bytes_of(stored))) << recorded.name;
    if (recorded.name.starts_with("tar_partitions/part_")) {
      ++found;
      EXPECT_EQ(recorded.raw_bytes, raw(found).size());
    }
  }
  EXPECT_EQ(found, parts_);
  for (const auto& [name, seen] : all_members()) {
    const std::string line =
        fmt::format("[\"{}\",{},{},\"{}\"]", name, seen.offset, seen.body.size(), digest_of(bytes_of(seen.body)).hex());
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(BackupParts, TheBlockIndexLeadsToWhatItSays) {
  const std::string big = noise(9 << 20, 5);
  write_file(data_directory_ / "base/5/16384", big);
  walk();
  pack();
  finish();
  const std::string tar = raw(1);
  const std::string stored = plain(object(1) + ".lz4");
  const std::vector<archive::ManifestObject> objects = manifest().objects;
  const auto part =
      std::find_if(objects.begin(), objects.end(), [](const auto& o) { return o.name.ends_with("part_001.tar.lz4"); });
  ASSERT_NE(part, objects.end());
  ASSERT_EQ(part->raw_stride, part_index_stride);
  ASSERT_EQ(part->block_offsets.size(), 3U);
  const std::string frame_header = stored.substr(0, part->block_offsets[0]);
  // From any entry to the end the frame is one of its own, but for the checksum of the content that is missing.
  for (std::size_t i = 0; i < part->block_offsets.size(); ++i) {
    StringSink decoded;
    const auto decoder = codec::find_codec("lz4")->decode({.key = "part", .size_hint = {}}, decoded);
    decoder->write(bytes_of(frame_header));
    const std::size_t from = part->block_offsets[i];
    const std::size_t to = i + 1 < part->block_offsets.size() ? part->block_offsets[i + 1] : stored.size() - 8;
    decoder->write(bytes_of(std::string_view(stored).substr(from, to - from)));
    EXPECT_TRUE(decoded.text() == tar.substr(i * part_index_stride, part_index_stride)) << i;
  }
}

TEST_F(BackupParts, FilesMetadataSaysWhatCame) {
  const timespec times[2] = {{1795218000, 0}, {1795218000, 612345678}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (data_directory_ / "base/5/1259").c_str(), times, 0), 0);
  walk();
  pack();
  PartWriter control(repository_, backup_, archive::control_part, {});
  control.add({.name = "/global/pg_control", .bytes = 3}, {}, bytes_of("abc"));
  record_->add(control.finish(), PartKind::control);
  PartWriter labels(repository_, backup_, archive::label_part, {});
  labels.add({.name = "backup_label", .bytes = 5}, {}, bytes_of("START"));
  labels.add({.name = "tablespace_map"}, {}, {});
  record_->add(labels.finish(), PartKind::labels);
  finish();

  const auto files = this->files();
  EXPECT_EQ(files.size(), 9U) << "four files and five directories";
  ASSERT_TRUE(files.contains("/base/5/1259"));
  EXPECT_EQ(files.at("/base/5/1259").modified,
            Time(std::chrono::seconds(1795218000) + std::chrono::nanoseconds(612345678)));
  EXPECT_FALSE(files.at("/base/5/1259").is_incremented);
  EXPECT_FALSE(files.at("/base/5/1259").is_skipped);
  EXPECT_EQ(files.at("/base/5/1259").corrupt_count, 0U);
  EXPECT_FALSE(files.contains("/global/pg_control"));
  EXPECT_FALSE(files.contains("backup_label"));
  EXPECT_EQ(all_members().at("/base/5/1259").member.modified, 1795218001) << "the header's is rounded";

  auto sets = tar_file_sets();
  EXPECT_EQ(sets.size(), 2U);
  EXPECT_THAT(sets["backup_label.tar.lz4"], testing::ElementsAre("backup_label", "tablespace_map"));
  std::vector<std::string> in_part;
  for (const SeenMember& member : members(1)) in_part.push_back(member.member.name);
  EXPECT_EQ(sets["part_001.tar.lz4"], in_part);
  EXPECT_EQ(record_->body_bytes(), 3U + 3 * 8192 + 524 + 3 + 5);
}

TEST_F(BackupParts, TheRecordLeavesNothingUnlessItIsFinished) {
  walk();
  pack();
  record_.reset();
  EXPECT_EQ(plain(archive::manifest_object(backup_)), "<absent>");
  EXPECT_EQ(plain(archive::files_metadata_object(backup_)), "<absent>");
}

TEST_F(BackupParts, WithoutFilesMetadataThereIsNone) {
  record_.emplace(repository_, backup_, archive::ManifestHeader{}, BackupRecord::Options{.files_metadata = false},
                  std::stop_token{});
  walk();
  pack();
  EXPECT_EQ(record_->finish_files(), nullptr);
  record_->finish_files_metadata();
  record_->finish_manifest("{}");
  EXPECT_EQ(plain(archive::files_metadata_object(backup_)), "<absent>");
  EXPECT_EQ(manifest().objects.size(), 1U);
}

// The files change under the reader's hands.

TEST_F(BackupParts, AVanishedFileIsLeftOut) {
  walk();
  std::filesystem::remove(data_directory_ / "base/5/1259");
  pack();
  finish();
  EXPECT_FALSE(all_members().contains("/base/5/1259"));
  EXPECT_FALSE(files().contains("/base/5/1259"));
  EXPECT_TRUE(all_members().contains("/base/5/2619"));
  EXPECT_THAT(log_.text(), HasSubstr("/base/5/1259 vanished"));
}

TEST_F(BackupParts, AFileThatIsRemovedWhileItIsReadComesWhole) {
  const std::string content = file("base/5/1259");
  walk();
  pack_while("/base/5/1259", [&] { std::filesystem::remove(data_directory_ / "base/5/1259"); });
  EXPECT_EQ(all_members().at("/base/5/1259").body, content);
}

TEST_F(BackupParts, AFileThatShrinksIsFilledUpWithZeros) {
  const std::string content = file("base/5/1259");
  walk();
  pack_while("/base/5/1259", [&] { std::filesystem::resize_file(data_directory_ / "base/5/1259", 8192 + 100); });
  const auto all = all_members();
  EXPECT_EQ(all.at("/base/5/1259").member.bytes, 3U * 8192);
  EXPECT_TRUE(all.at("/base/5/1259").body == content.substr(0, 8292) + std::string(3 * 8192 - 8292, '\0'));
  EXPECT_EQ(all.at("/base/5/pg_filenode.map").body, file("base/5/pg_filenode.map")) << "what follows is in its place";
}

TEST_F(BackupParts, AFileThatGrowsIsCutAtTheSizeInItsHeader) {
  const std::string content = file("base/5/1259");
  walk();
  pack_while("/base/5/1259", [&] { write_file(data_directory_ / "base/5/1259", content + noise(20000, 9)); });
  const auto all = all_members();
  EXPECT_TRUE(all.at("/base/5/1259").body == content);
  EXPECT_EQ(all.at("/base/5/pg_filenode.map").body, file("base/5/pg_filenode.map"));
}

TEST_F(BackupParts, AFileThatGrewSinceTheWalkComesAtItsNewSize) {
  walk();
  const std::string content = noise(5 * 8192, 9);
  write_file(data_directory_ / "base/5/2619", content);
  pack();
  EXPECT_TRUE(all_members().at("/base/5/2619").body == content);
}

// Page checksums.

class BadPages : public BackupParts {
 protected:
  /// A relation whose pages are right but for those in `bad`.
  void relation(const char* name, std::uint32_t pages, const std::vector<std::uint32_t>& bad, std::uint32_t first = 0) {
    std::vector<std::byte> file(pages * test::relation_page_bytes);
    for (std::uint32_t i = 0; i < pages; ++i) {
      test::make_page(MutableBytes(file).subspan(i * test::relation_page_bytes, test::relation_page_bytes), 0x1000000,
                      first + i);
    }
    for (const std::uint32_t block : bad) file[block * test::relation_page_bytes + 5000] ^= std::byte{1};
    write_file(data_directory_ / name, text_of(file));
  }
  void walk_and_verify() {
    std::filesystem::remove(data_directory_ / "base/5/1259");
    walk({.verify_pages = true, .backup_start = {0x2000000}});
  }
};

TEST_F(BadPages, AreRecordedAndStoredAsTheyAre) {
  relation("base/5/16384", 70, {3, 66});
  relation("base/5/16385", 2, {});
  relation("base/5/16384.1", 2, {1}, /*first=*/131072);
  walk_and_verify();
  pack();
  finish();
  const auto files = this->files();
  EXPECT_EQ(files.at("/base/5/16384").corrupt_count, 2U);
  EXPECT_THAT(files.at("/base/5/16384").corrupt_blocks, testing::ElementsAre(3U, 66U));
  EXPECT_THAT(files.at("/base/5/16384.1").corrupt_blocks, testing::ElementsAre(1U)) << "counted within the file";
  EXPECT_EQ(files.at("/base/5/16385").corrupt_count, 0U);
  EXPECT_EQ(record_->corrupt_blocks(), 3U);
  EXPECT_THAT(log_.text(),
              AllOf(HasSubstr("ERROR: /base/5/16384: page 66"), HasSubstr("ERROR: /base/5/16384.1: page 1")));
  EXPECT_TRUE(all_members().at("/base/5/16384").body == file("base/5/16384"));
}

TEST_F(BadPages, AtMostTenAreListedUnlessAllAreWanted) {
  const std::vector<std::uint32_t> bad{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  relation("base/5/16384", 12, bad);
  walk_and_verify();
  pack();
  finish();
  EXPECT_EQ(files().at("/base/5/16384").corrupt_count, 12U);
  EXPECT_EQ(files().at("/base/5/16384").corrupt_blocks, std::vector<std::uint32_t>(bad.begin(), bad.begin() + 10));
  record_.emplace(repository_, backup_, archive::ManifestHeader{}, BackupRecord::Options{.all_corrupt_blocks = true},
                  std::stop_token{});
  walk_and_verify();
  pack();
  finish();
  EXPECT_EQ(files().at("/base/5/16384").corrupt_blocks, bad);
}

TEST_F(BadPages, AreNotLookedForUnlessAsked) {
  relation("base/5/16384", 2, {0});
  walk();
  pack();
  finish();
  EXPECT_EQ(files().at("/base/5/16384").corrupt_count, 0U);
}

TEST_F(BadPages, AFileTruncatedMeanwhileHasNone) {
  relation("base/5/16384", 4, {});
  walk_and_verify();
  pack_while("/base/5/16384", [&] { std::filesystem::resize_file(data_directory_ / "base/5/16384", 8192 + 4096); });
  finish();
  EXPECT_EQ(files().at("/base/5/16384").corrupt_count, 0U);
}

}  // namespace
}  // namespace seawall::ops
