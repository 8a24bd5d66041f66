#include "ops/backup_wal.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "base/text.hh"

namespace seawall::ops {

std::uint64_t segment_bytes_of(std::string_view backup, const archive::Sentinel& sentinel, std::uint64_t usual) {
  const std::string name = archive::segment_name_of_backup(backup);
  const auto timeline = parse_int<archive::Timeline>(std::string_view(name).substr(0, 8), 16);
  if (!sentinel.start_lsn || !timeline) return usual;
  const auto fits = [&](std::uint64_t bytes) {
    return archive::segment_of(*timeline, *sentinel.start_lsn, bytes).name(bytes) == name;
  };
  if (fits(usual)) return usual;
  for (std::uint64_t bytes = std::uint64_t{1} << 20; archive::is_segment_size(bytes); bytes *= 2) {
    if (fits(bytes)) return bytes;
  }
  return usual;
}

SegmentSpan wal_of_backup(std::string_view backup, const archive::Sentinel& sentinel, std::uint64_t segment_bytes) {
  const auto first = archive::parse_segment(archive::segment_name_of_backup(backup), segment_bytes);
  if (!first) {
    throw Error(Errc::corrupt, fmt::format("backup {} has a name that tells no WAL segment of {}", backup,
                                           human_bytes(segment_bytes)));
  }
  const std::uint64_t last = sentinel.finish_lsn ? sentinel.finish_lsn->value / segment_bytes : first->number;
  return {first->timeline, {first->number, std::max(last, first->number)}};
}

archive::WalListing list_wal(const pipeline::Repository& repository, std::uint64_t segment_bytes, const Run& run) {
  archive::WalListing listing(segment_bytes);
  const std::string folder = repository.key(archive::wal_folder);
  repository.store->list(
      {.prefix = folder},
      [&](const storage::ObjectInfo& object) {
        listing.add(std::string_view(object.key).substr(folder.size()), object.bytes, object.modified);
        return true;
      },
      run.stop);
  listing.settle();
  return listing;
}

}  // namespace seawall::ops
