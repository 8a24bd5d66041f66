#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "ops/backup_record.hh"
#include "ops/member_source.hh"
#include "pipeline/object_writer.hh"

namespace seawall::ops {

/// Raw bytes between two entries of a part's block index in seawall.json: with it one member can be read without the
/// part before it.
inline constexpr std::uint64_t part_index_stride = std::uint64_t{4} << 20;

/// Whose way a backup is laid out: names of its parts and members.
enum class BackupLayout { wal_g, wal_e };

/// For the only part that is being written: it is compressed on all CPUs.
struct PartAlone {
  CpuPool* pool = nullptr;  ///< null: on this thread
  std::optional<std::uint64_t> expected_bytes = {};
};

/// Writes one tar part: a straight line from the file's pread to the stored object. The read lands in the encoder's
/// own buffer behind the tar header, where the page checksum, the digest and the compressor find it in the CPU cache.
/// One thread.
class PartWriter {
 public:
  /// `name`: "part_001.tar", without suffix.
  PartWriter(const pipeline::Repository& repository, std::string_view backup, std::string_view name,
             std::stop_token stop, const PartAlone& alone = {}, BackupLayout layout = BackupLayout::wal_g);

  void add(PendingMember& member);
  /// A member whose body is at hand (labels, pg_control).
  void add(const archive::Member& header, Time modified, Bytes body);
  /// A member whose body comes in pieces: begin, body…, end; of a directory or a link begin and end.
  void begin(const archive::Member& header, Time modified);
  void body(Bytes data);
  void end();
  std::uint64_t body_bytes() const noexcept { return part_.body_bytes; }
  PackedPart finish();

 private:
  void put(Bytes data);
  void put_zeros(std::size_t n);
  void begin(const archive::Member& header);

  const BackupLayout layout_;
  PackedPart part_;
  pipeline::EncodedObjectWriter writer_;
  std::uint64_t raw_bytes_ = 0;
  Digester digester_;  // of the body that comes in pieces
};

/// What the packing threads of a backup share.
struct PackingPlan {
  const pipeline::Repository& repository;
  const std::string& backup;
  std::uint64_t part_threshold;  ///< a part is closed once its bodies exceed this
  /// Compresses parts that begin with a file of at least `pool_from_bytes`: one that is more than a thread's share of
  /// all would else keep one CPU busy while the others idle. Null: every part is compressed on its thread.
  CpuPool* pool = nullptr;
  std::uint64_t pool_from_bytes = 0;
  BackupLayout layout = BackupLayout::wal_g;
  std::atomic<unsigned> last_part{0};

  /// "part_001.tar", or WAL-E's "part_00000000.tar", and so on.
  std::string next_part_name();
};

/// One packing thread: takes members until the source is empty, and hands every finished part to `record`.
void pack_members(MemberSource& source, PackingPlan& plan, BackupRecord& record, const Run& run);

}  // namespace seawall::ops
