#include "ops/backup_record.hh"

#include <algorithm>

#include "archive/layout.hh"

namespace seawall::ops {
namespace {

constexpr std::size_t corrupt_blocks_listed = 10;  // as WAL-G

}  // namespace

BackupRecord::BackupRecord(const pipeline::Repository& repository, std::string backup,
                           const archive::ManifestHeader& header, Options options, std::stop_token stop)
    : folder_(std::string(archive::backups_folder) + backup + "/"), options_(options) {
  if (options_.manifest) {
    manifest_object_.emplace(repository, archive::manifest_object(backup), storage::PutOptions{}, std::nullopt, stop);
    manifest_.emplace(*manifest_object_, header);
  }
  if (!options_.files_metadata) return;
  files_object_.emplace(repository, archive::files_metadata_object(backup), storage::PutOptions{}, std::nullopt, stop);
  files_.emplace(*files_object_);
}

void BackupRecord::add(const PackedPart& part, PartKind kind) {
  const bool in_tar_file_sets = kind == PartKind::files || kind == PartKind::labels;
  std::lock_guard lock(mutex_);
  if (manifest_) {
    manifest_->object({.name = "tar_partitions/" + part.object_name,
                       .bytes = part.stored.object.bytes,
                       .digest = part.stored.digest,
                       .raw_bytes = part.raw_bytes,
                       .raw_stride = part.block_stride,
                       .block_offsets = part.block_offsets});
  }
  PartNames names{part.object_name, {}};
  for (const PackedMember& member : part.members) {
    if (manifest_) {
      manifest_->member({.name = member.name, .offset = member.offset, .bytes = member.bytes, .digest = member.digest});
    }
    corrupt_blocks_ += member.corrupt_blocks.size();
    if (files_ && (kind == PartKind::files || (kind == PartKind::streamed && member.is_file))) {
      archive::FileEntry entry{.name = member.name, .modified = member.modified};
      entry.corrupt_count = member.corrupt_blocks.size();
      entry.corrupt_blocks = member.corrupt_blocks;
      if (!options_.all_corrupt_blocks && entry.corrupt_blocks.size() > corrupt_blocks_listed) {
        entry.corrupt_blocks.resize(corrupt_blocks_listed);
      }
      files_->file(entry);
    }
    if (files_ && in_tar_file_sets) names.names.append(member.name).push_back('\0');
  }
  if (in_tar_file_sets) parts_.push_back(std::move(names));
  objects_.push_back(part.stored.object);
  body_bytes_ += part.body_bytes;
  stored_bytes_ += part.stored.object.bytes;
}

archive::FilesMetadataWriter* BackupRecord::finish_files() {
  if (!files_) return nullptr;
  for (const PartNames& part : parts_) {
    files_->part(part.object_name);
    for (std::size_t at = 0; at < part.names.size(); at += std::string_view(part.names.c_str() + at).size() + 1) {
      files_->part_file(part.names.c_str() + at);
    }
  }
  parts_.clear();
  return &*files_;
}

void BackupRecord::finish_files_metadata() {
  if (!files_) return;
  files_->finish();
  add_object("files_metadata.json", files_object_->commit());
}

void BackupRecord::add_object(std::string_view name, const pipeline::Stored& stored,
                              std::optional<std::uint64_t> raw_bytes) {
  if (manifest_) {
    manifest_->object({.name = std::string(name),
                       .bytes = stored.object.bytes,
                       .digest = stored.digest,
                       .raw_bytes = raw_bytes.value_or(stored.object.bytes),
                       .raw_stride = 0,
                       .block_offsets = {}});
  }
  objects_.push_back(stored.object);
}

void BackupRecord::finish_manifest(std::string_view sentinel) {
  if (!manifest_) return;
  manifest_->finish(digest_of(bytes_of(sentinel)));
  objects_.push_back(manifest_object_->commit().object);
}

}  // namespace seawall::ops
