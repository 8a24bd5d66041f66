#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hh"
#include "base/io.hh"

namespace seawall::archive {

/// seawall.json: what WAL-G's documents do not say. Written before the sentinel, ignored by WAL-G
/// (docs/formats/manifest.md). One JSON document, streamed in both directions, one line per object or member:
///
///     {"version":1,"tool":"seawall 0.1.0","digest":"xxh3-128","system_identifier":…,"segment_bytes":…,
///      "objects":[
///       {"name":"tar_partitions/part_001.tar.lz4","bytes":…,"digest":"…","raw_bytes":…,
///        "blocks":{"raw":4194304,"offsets":[0,…]},
///        "members":[["/base/1/1259",OFFSET,BYTES,"digest"],…]},…],
///      "sentinel":"digest","above":"digest"}
struct ManifestMember {
  std::string_view name;
  std::uint64_t offset = 0;  ///< of its tar header in the raw part
  std::uint64_t bytes = 0;   ///< of its body
  Digest digest;             ///< of its body
};

struct ManifestObject {
  std::string name;  ///< relative to basebackups_005/NAME/
  std::uint64_t bytes = 0;
  Digest digest;                             ///< of the stored bytes
  std::uint64_t raw_bytes = 0;               ///< decoded
  std::uint64_t raw_stride = 0;              ///< 0: no block index
  std::vector<std::uint64_t> block_offsets;  ///< stored offset of the block that begins at raw k × raw_stride
};

struct ManifestHeader {
  int version = 1;
  std::string tool;
  std::uint64_t system_identifier = 0;
  std::uint64_t segment_bytes = 0;
};

class ManifestWriter {
 public:
  ManifestWriter(Sink& out, const ManifestHeader& header);
  void object(const ManifestObject& object);  ///< its members follow
  void member(const ManifestMember& member);
  /// `sentinel`: digest of the bytes of the backup's sentinel, which is written later.
  void finish(std::optional<Digest> sentinel = std::nullopt);

 private:
  void end_object();
  void put(std::string_view text);
  void flush();
  Sink& out_;
  std::string buffer_;
  Digester above_;
  bool in_object_ = false;
  bool first_object_ = true;
  bool first_member_ = true;
};

/// The objects without their members (which are skipped), and the header.
struct Manifest {
  ManifestHeader header;
  std::vector<ManifestObject> objects;
  std::optional<Digest> sentinel;  ///< nothing: not recorded
};
/// What is told of each member, if it is wanted: the object as far as it has been read, and the member, whose name ends
/// with the call.
using ManifestMembers = std::function<void(const ManifestObject&, const ManifestMember&)>;
/// Errc::corrupt naming `origin`, also if its bytes are not those that its last member is the digest of;
/// Errc::unsupported for a later version. Memory does not grow with the members.
Manifest read_manifest(Source& from, std::string_view origin, const ManifestMembers& members = {});

}  // namespace seawall::archive
