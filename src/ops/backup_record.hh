#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "archive/files_metadata.hh"
#include "archive/manifest.hh"
#include "base/digest.hh"
#include "ops/member_source.hh"
#include "pipeline/object_writer.hh"

namespace seawall::ops {

/// One member as it was packed.
struct PackedMember {
  std::string name;
  Time modified{};
  std::uint64_t offset = 0;  ///< of its header in the raw part
  std::uint64_t bytes = 0;
  Digest digest;
  std::vector<std::uint32_t> corrupt_blocks;
  bool is_file = true;  ///< else a directory or a link
};

/// What a part holds, which decides in which lists of files_metadata.json its members are, as with WAL-G.
enum class PartKind {
  files,     ///< of the walk: Files and TarFileSets
  streamed,  ///< sent by the server: Files alone, and but regular files
  labels,    ///< backup_label and tablespace_map: TarFileSets alone
  control,   ///< pg_control: neither
};

/// A finished part.
struct PackedPart {
  std::string object_name;  ///< "part_001.tar.lz4"
  pipeline::Stored stored;
  std::uint64_t raw_bytes = 0;
  std::uint64_t body_bytes = 0;  ///< sum of the members' sizes
  std::uint64_t block_stride = 0;
  std::vector<std::uint64_t> block_offsets;
  std::vector<PackedMember> members;
};

/// Writes files_metadata.json and seawall.json while parts are finished, and keeps of every member just its name (for
/// TarFileSets, which comes after all of Files). Thread-safe until the finish… calls. Destruction without them leaves
/// neither object.
class BackupRecord {
 public:
  struct Options {
    bool files_metadata = true;
    bool manifest = true;  ///< seawall.json; WAL-E's backups have none, since WAL-E's delete would leave it behind
    bool all_corrupt_blocks = false;  ///< else at most ten a file, as WAL-G
  };
  BackupRecord(const pipeline::Repository& repository, std::string backup, const archive::ManifestHeader& header,
               Options options, std::stop_token stop);

  void add(const PackedPart& part, PartKind kind);

  std::uint64_t body_bytes() const noexcept { return body_bytes_; }
  std::uint64_t stored_bytes() const noexcept { return stored_bytes_; }
  std::uint64_t corrupt_blocks() const noexcept { return corrupt_blocks_; }
  /// Key and size of every object so far, for the closure check.
  const std::vector<storage::ObjectInfo>& objects() const noexcept { return objects_; }

  /// Null if there is no files_metadata.json. Sections up to TarFileSets are written; the caller may add databases.
  archive::FilesMetadataWriter* finish_files();
  void finish_files_metadata();
  /// Adds an object that was put otherwise (metadata.json). `raw_bytes`: what it decodes to; nothing: it is stored as
  /// it is.
  void add_object(std::string_view name, const pipeline::Stored& stored,
                  std::optional<std::uint64_t> raw_bytes = std::nullopt);
  /// `sentinel`: the text that will be stored.
  void finish_manifest(std::string_view sentinel);

 private:
  const std::string folder_;
  const Options options_;
  std::mutex mutex_;
  std::optional<pipeline::ObjectWriter> files_object_;
  std::optional<archive::FilesMetadataWriter> files_;
  std::optional<pipeline::ObjectWriter> manifest_object_;
  std::optional<archive::ManifestWriter> manifest_;
  struct PartNames {
    std::string object_name;
    std::string names;  // each ended by a NUL
  };
  std::deque<PartNames> parts_;
  std::vector<storage::ObjectInfo> objects_;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t stored_bytes_ = 0;
  std::uint64_t corrupt_blocks_ = 0;
};

}  // namespace seawall::ops
