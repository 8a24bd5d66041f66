#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hh"
#include "base/io.hh"

namespace seawall::archive {

/// One entry of `Files` in files_metadata.json. The views live as long as the call that hands them over.
struct FileEntry {
  std::string_view name;  ///< "/base/1/1259"; remote backups have no leading slash
  bool is_incremented = false;
  bool is_skipped = false;
  Time modified{};                            ///< full nanoseconds: the next delta compares it
  std::uint64_t corrupt_count = 0;            ///< 0: no CorruptBlocks member
  std::vector<std::uint32_t> corrupt_blocks;  ///< at most 10 unless all are wanted
  std::uint64_t updates_count = 0;
};

/// One table (or other relation) of a database in `DatabasesByNames`.
struct RelationEntry {
  std::string name;  ///< "schema.table"
  std::uint32_t oid = 0;
  std::uint32_t file_node = 0;
  std::vector<RelationEntry> subtables;
};

/// Writes files_metadata.json as it goes and holds none of it: it can exceed 1 GB. Sections in this order, each at
/// most once, empty ones left out as WAL-G does:  begin_files/file…, begin_parts/part/part_file…, begin_databases/
/// database/relation…, finish.
class FilesMetadataWriter {
 public:
  explicit FilesMetadataWriter(Sink& out);
  void file(const FileEntry& entry);
  void part(std::string_view object_name);  ///< with suffix: "part_001.tar.lz4"; its files follow
  void part_file(std::string_view name);
  void database(std::string_view name, std::uint32_t oid);  ///< its relations follow
  void relation(const RelationEntry& entry);
  void finish();

 private:
  enum class Section { none, files, parts, databases };
  void enter(Section section);
  void leave();
  void close_inner();
  void begin_entry(Section section, std::string_view name);
  void put(std::string_view text);
  void put_name(std::string_view name);
  void print(const RelationEntry& entry, bool first);
  void flush();

  Sink& out_;
  std::string buffer_;
  Section section_ = Section::none;
  bool first_member_ = true;
  bool first_entry_ = true;
  bool first_inner_ = true;
  bool inner_open_ = false;
};

/// What a streaming reader reports. Missing handlers skip their section at tokenizer speed.
struct FilesMetadataEvents {
  std::function<void(const FileEntry&)> file;
  std::function<void(std::string_view part, std::string_view file)> part_file;
  std::function<void(std::string_view part)> part;
  /// Of `DatabasesByNames`: each relation with those nested in it, and when all of a database's have come, its number
  /// (members have no order, so it is not known before).
  std::function<void(const RelationEntry&)> relation = {};
  std::function<void(std::string_view database, std::uint32_t oid)> database = {};
};
/// Reads any JSON spelling, members in any order, unknown ones skipped; memory: one entry. A sentinel of the V1 form
/// carries the same sections and can be read as well.
/// Errc::corrupt naming `origin` and the byte offset if it is no such document or ends early.
void read_files_metadata(Source& from, std::string_view origin, const FilesMetadataEvents& events);

}  // namespace seawall::archive
