#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/files_metadata.hh"
#include "archive/layout.hh"
#include "archive/manifest.hh"
#include "archive/sentinel.hh"
#include "archive/tar.hh"
#include "base/digest.hh"
#include "base/error.hh"
#include "pipeline/object_writer.hh"

namespace seawall::test {

/// `size` bytes that no codec makes smaller, the same for the same seed.
inline std::string noise(std::size_t size, std::uint32_t seed = 1) {
  std::string text(size, '\0');
  std::uint32_t state = seed * 2654435761U + 1;
  for (char& c : text) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

/// One page full of `letter`.
inline std::string page_of(char letter) { return std::string(8192, letter); }

/// WAL-G's increment of a relation file of `file_bytes` bytes: block numbers with their pages.
inline std::string increment(std::uint64_t file_bytes,
                             const std::vector<std::pair<std::uint32_t, std::string>>& pages) {
  const auto little_endian = [](auto value) { return std::string(text_of(std::as_bytes(std::span(&value, 1)))); };
  std::string text = "wi1\x55" + little_endian(file_bytes) + little_endian(static_cast<std::uint32_t>(pages.size()));
  for (const auto& [block, page] : pages) text += little_endian(block);
  for (const auto& [block, page] : pages) text += page;
  return text;
}

/// Puts a base backup into a repository in WAL-G's layout, from members that a test names; each piece can be changed,
/// left out or made to disagree with the others.
class BackupBuilder {
 public:
  explicit BackupBuilder(std::string backup) : name(std::move(backup)) {
    sentinel.start_lsn = archive::Lsn{0x2000028};
    sentinel.finish_lsn = archive::Lsn{0x2000138};
    sentinel.pg_version = 150004;
    sentinel.system_identifier = 7710409946933241964U;
    sentinel.start_time = sentinel.finish_time = Time(std::chrono::seconds(1795218000));
  }

  /// A backup that lacks nothing: directories, files in two parts, pg_control and the labels.
  static BackupBuilder whole(std::string backup) {
    BackupBuilder builder(std::move(backup));
    builder.directory("/").directory("/base").directory("/base/1").directory("/global").directory("/pg_wal");
    builder.file("/PG_VERSION", "15\n").file("/base/1/1259", page_of('a') + page_of('b'));
    builder.in("part_002.tar").file("/base/1/1260", noise(20000)).file("/base/1/empty", "");
    return std::move(builder.utilities());
  }

  /// A delta on `parent` with its labels and nothing else yet.
  static BackupBuilder delta(std::string backup, std::string parent) {
    BackupBuilder builder(std::move(backup));
    builder.sentinel.delta_lsn = builder.sentinel.start_lsn;
    builder.sentinel.delta_full_name = parent.substr(0, 29);
    builder.sentinel.delta_from = std::move(parent);
    builder.sentinel.delta_count = 1;
    return std::move(builder.directory("/").directory("/base").directory("/base/1").directory("/global").utilities());
  }

  /// The part that what follows goes into; at first part_001.tar.
  BackupBuilder& in(std::string part) {
    part_ = std::move(part);
    return *this;
  }
  BackupBuilder& directory(const std::string& path, std::uint32_t mode = 0700) {
    member({.name = path, .type = archive::MemberType::directory, .mode = mode}, "");
    return list(path);
  }
  BackupBuilder& file(const std::string& path, std::string_view content, std::uint32_t mode = 0600) {
    member({.name = path, .mode = mode, .bytes = content.size()}, content);
    return list(path);
  }
  /// An increment of the file, listed as such.
  BackupBuilder& patched(const std::string& path, std::string_view content, std::uint32_t mode = 0600) {
    member({.name = path, .mode = mode, .bytes = content.size()}, content);
    return list(path, {.incremented = true});
  }
  /// Listed as unchanged since the parent.
  BackupBuilder& skipped(const std::string& path) { return list(path, {.skipped = true}); }

  struct Flags {
    bool incremented = false;
    bool skipped = false;
  };
  /// In Files, whether or not a part has it.
  BackupBuilder& list(const std::string& path, Flags flags) {
    files_[path] = flags;
    return *this;
  }
  BackupBuilder& list(const std::string& path) { return list(path, Flags{}); }
  /// In a part, but not in Files.
  BackupBuilder& member(const archive::Member& header, std::string_view body) {
    std::string& tar = parts[part_];
    tar += archive::tar_header(header);
    tar += body;
    tar.append(archive::tar_padding(body.size()), '\0');
    members_[part_].push_back(header.name);
    return *this;
  }
  BackupBuilder& utilities() {
    in("pg_control.tar").member({.name = "/global/pg_control", .bytes = control.size()}, control);
    in("backup_label.tar").member({.name = "backup_label", .bytes = label.size()}, label);
    member({.name = "tablespace_map"}, "");
    return in("part_001.tar");
  }

  /// `with_manifest`: seawall.json too.
  void store(const pipeline::Repository& repository, bool with_manifest = false) const {
    std::vector<archive::ManifestObject> objects;
    for (const auto& [part, tar] : parts) {
      const std::string raw = tar + std::string(archive::tar_trailer_bytes, '\0');
      pipeline::EncodedObjectWriter object(repository, archive::parts_folder(name) + part, {},
                                           {.key = part, .size_hint = raw.size()}, {});
      object.filter().write(bytes_of(raw));
      const pipeline::Stored stored = object.commit();
      objects.push_back({.name = "tar_partitions/" + pipeline::with_suffix(part, *repository.codec),
                         .bytes = stored.object.bytes,
                         .digest = stored.digest,
                         .raw_bytes = raw.size(),
                         .raw_stride = 0,
                         .block_offsets = {}});
    }
    if (with_files_metadata && !lists_in_sentinel) {
      StringSink text;
      write_files_metadata(text, *repository.codec);
      put(repository, archive::files_metadata_object(name), text.text());
      const std::string& lists = text.text();
      objects.push_back({.name = "files_metadata.json",
                         .bytes = lists.size(),
                         .digest = digest_of(bytes_of(lists)),
                         .raw_bytes = lists.size(),
                         .raw_stride = 0,
                         .block_offsets = {}});
    }
    if (with_manifest) {
      StringSink text;
      archive::ManifestWriter writer(text,
                                     {.version = 1, .tool = "test", .system_identifier = 1, .segment_bytes = 1 << 20});
      for (const archive::ManifestObject& object : objects) writer.object(object);
      writer.finish(digest_of(bytes_of(sentinel_text(*repository.codec))));
      put(repository, archive::manifest_object(name), text.text());
    }
    put(repository, archive::sentinel_object(name), sentinel_text(*repository.codec));
  }

  std::string name;
  archive::Sentinel sentinel;
  std::map<std::string, std::string> parts;  ///< tar streams without their ends
  bool with_files_metadata = true;
  bool lists_parts = true;                                       ///< TarFileSets; remote backups have none
  std::string unlisted_part;                                     ///< not in TarFileSets
  bool lists_in_sentinel = false;                                ///< as the first form of WAL-G's sentinel had it
  std::vector<std::pair<std::string, std::uint32_t>> databases;  ///< name and number, in DatabasesByNames
  std::map<std::string, std::vector<archive::RelationEntry>> relations;  ///< of each database
  std::string control = noise(8192, 7);
  std::string label = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n";

 private:
  static void put(const pipeline::Repository& repository, const std::string& name_in_archive, std::string_view text) {
    repository.store->put(repository.key(name_in_archive), bytes_of(text), {}, {});
  }

  std::string sentinel_text(const codec::Codec& codec) const {
    std::string text = archive::print_sentinel(sentinel);
    if (!lists_in_sentinel) return text;
    StringSink lists;
    write_files_metadata(lists, codec);
    text.back() = ',';
    return text + lists.text().substr(1);
  }

  void write_files_metadata(Sink& to, const codec::Codec& codec) const {
    archive::FilesMetadataWriter writer(to);
    for (const auto& [path, flags] : files_) {
      writer.file({.name = path,
                   .is_incremented = flags.incremented,
                   .is_skipped = flags.skipped,
                   .modified = sentinel.start_time,
                   .corrupt_count = 0,
                   .corrupt_blocks = {},
                   .updates_count = 0});
    }
    for (const auto& [part, names] : members_) {
      if (part == archive::control_part || part == unlisted_part || !lists_parts) continue;
      writer.part(pipeline::with_suffix(part, codec));
      for (const std::string& member : names) writer.part_file(member);
    }
    for (const auto& [database, oid] : databases) {
      writer.database(database, oid);
      if (const auto found = relations.find(database); found != relations.end()) {
        for (const archive::RelationEntry& relation : found->second) writer.relation(relation);
      }
    }
    writer.finish();
  }

  std::string part_ = "part_001.tar";
  std::map<std::string, Flags> files_;
  std::map<std::string, std::vector<std::string>> members_;  // of each part
};

}  // namespace seawall::test
