#include "ops/part_packer.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "archive/wal_e.hh"

namespace seawall::ops {

PartWriter::PartWriter(const pipeline::Repository& repository, std::string_view backup, std::string_view name,
                       std::stop_token stop, const PartAlone& alone, BackupLayout layout)
    : layout_(layout),
      part_{.object_name = pipeline::with_suffix(name, *repository.codec), .block_stride = part_index_stride},
      writer_(repository, archive::parts_folder(backup) + std::string(name), {},
              {.key = part_.object_name,
               .size_hint = alone.expected_bytes,
               .pool = alone.pool,
               .block_index = &part_.block_offsets,
               .index_stride = part_index_stride},
              std::move(stop)) {}

void PartWriter::put(Bytes data) {
  writer_.filter().write(data);
  raw_bytes_ += data.size();
}

void PartWriter::put_zeros(std::size_t n) {
  static constexpr std::array<std::byte, archive::tar_trailer_bytes> zeros{};
  put(Bytes(zeros).first(n));
}

void PartWriter::begin(const archive::Member& header) {
  part_.members.push_back({.name = header.name, .offset = raw_bytes_, .bytes = header.bytes});
  part_.members.back().is_file = header.type == archive::MemberType::file;
  if (layout_ == BackupLayout::wal_g) return put(bytes_of(archive::tar_header(header)));
  archive::Member spelled = header;
  spelled.name = archive::wal_e_member_name(header.name, header.type == archive::MemberType::directory);
  put(bytes_of(archive::tar_header(spelled)));
}

void PartWriter::add(PendingMember& member) {
  const archive::Member& header = member.header();
  begin(header);
  codec::Filter& filter = writer_.filter();
  Digester digester;
  for (std::uint64_t left = header.bytes; left > 0;) {
    MutableBytes room = filter.space();
    room = room.first(static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), left)));
    member.read(room);
    digester.update(room);
    filter.filled(room.size());
    left -= room.size();
  }
  raw_bytes_ += header.bytes;
  put_zeros(archive::tar_padding(header.bytes));
  PackedMember& packed = part_.members.back();
  packed.modified = member.modified();
  packed.digest = digester.value();
  packed.corrupt_blocks = member.corrupt_blocks();
  part_.body_bytes += header.bytes;
}

void PartWriter::add(const archive::Member& header, Time modified, Bytes body) {
  begin(header, modified);
  this->body(body);
  end();
}

void PartWriter::begin(const archive::Member& header, Time modified) {
  begin(header);
  part_.members.back().modified = modified;
  digester_.reset();
}

void PartWriter::body(Bytes data) {
  put(data);
  digester_.update(data);
}

void PartWriter::end() {
  PackedMember& packed = part_.members.back();
  put_zeros(archive::tar_padding(packed.bytes));
  packed.digest = digester_.value();
  part_.body_bytes += packed.bytes;
}

PackedPart PartWriter::finish() {
  put_zeros(archive::tar_trailer_bytes);
  part_.stored = writer_.commit();
  part_.raw_bytes = raw_bytes_;
  return std::move(part_);
}

std::string PackingPlan::next_part_name() {
  const unsigned number = ++last_part;
  return layout == BackupLayout::wal_e ? archive::wal_e_part_name(number - 1) : archive::part_name(number);
}

namespace {

void tell_of(const PackedPart& part, std::chrono::duration<double> took, const Run& run) {
  const auto bytes = static_cast<double>(part.stored.object.bytes);
  run.log.event({.action = "push-part",
                 .state = "complete",
                 .name = part.object_name,
                 .key = part.stored.object.key,
                 .file = {},
                 .bytes_per_second = took.count() > 0 ? bytes / took.count() : 0},
                LogLevel::debug, fmt::format("stored {}", part.stored.object.key));
}

}  // namespace

void pack_members(MemberSource& source, PackingPlan& plan, BackupRecord& record, const Run& run) {
  std::optional<PartWriter> part;
  std::chrono::steady_clock::time_point started{};
  const auto close = [&] {
    const PackedPart packed = part->finish();
    tell_of(packed, run.clock.steady() - started, run);
    record.add(packed, PartKind::files);
    part.reset();
  };
  while (const std::unique_ptr<PendingMember> member = source.next()) {
    if (!part) {
      const std::uint64_t bytes = member->header().bytes;
      PartAlone alone;
      if (plan.pool != nullptr && bytes >= plan.pool_from_bytes) alone = {.pool = plan.pool, .expected_bytes = bytes};
      part.emplace(plan.repository, plan.backup, plan.next_part_name(), run.stop, alone, plan.layout);
      started = run.clock.steady();
    }
    part->add(*member);
    for (const std::uint32_t block : member->corrupt_blocks()) {
      run.log.error("{}: page {} has a wrong checksum; the backup goes on and records it", member->header().name,
                    block);
    }
    if (part->body_bytes() > plan.part_threshold) close();
  }
  if (part) close();
}

}  // namespace seawall::ops
