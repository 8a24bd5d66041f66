#include "ops/recovery_plan.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "ops/backup_selection.hh"
#include "ops/wal_inventory.hh"

namespace seawall::ops {
namespace {

using Kind = RecoveryTarget::Kind;

struct Candidate {
  std::string name;
  archive::BackupMetadata metadata;
  archive::Timeline timeline = 0;
};

/// The segment size with which the start LSN falls into the segment that the backup is named after.
std::uint64_t segment_bytes_of(const Candidate& candidate) {
  const std::string segment = archive::segment_name_of_backup(candidate.name);
  for (std::uint64_t bytes = std::uint64_t{1} << 20; archive::is_segment_size(bytes); bytes *= 2) {
    if (archive::segment_of(candidate.timeline, *candidate.metadata.start_lsn, bytes).name(bytes) == segment) return bytes;
  }
  throw Error(Errc::corrupt, fmt::format("backup {} starts at LSN {}, which lies in no segment {} of any size",
                                         candidate.name, candidate.metadata.start_lsn->text(), segment));
}

std::optional<Candidate> candidate_of(const pipeline::Repository& repository, const std::string& name, const Run& run) {
  Candidate candidate{.name = name, .metadata = {}};
  if (auto metadata = read_backup_metadata(repository, name, run)) {
    candidate.metadata = std::move(*metadata);
  } else {
    const archive::Sentinel sentinel = read_sentinel(repository, name, run);
    candidate.metadata.pg_version = sentinel.pg_version;
    candidate.metadata.start_lsn = sentinel.start_lsn;
    candidate.metadata.finish_lsn = sentinel.finish_lsn;
    candidate.metadata.finish_time = sentinel.finish_time;
  }
  const std::string segment = archive::segment_name_of_backup(name);
  const auto timeline = parse_int<archive::Timeline>(segment.substr(0, 8), 16);
  if (!timeline || !candidate.metadata.start_lsn || !candidate.metadata.finish_lsn) {
    run.log.warning("backup {} is passed over: its LSNs are unknown", name);
    return std::nullopt;
  }
  candidate.timeline = *timeline;
  return candidate;
}

/// Is the backup whole before the target is reached?
bool ends_before(const Candidate& candidate, const RecoveryTarget& target) {
  if (target.kind == Kind::lsn) return *candidate.metadata.finish_lsn <= *target.lsn;
  if (target.kind == Kind::time) return candidate.metadata.finish_time <= *target.time;
  return true;
}

archive::Timeline target_timeline(const RecoveryTarget& target, const Candidate& candidate, const WalInventory& wal) {
  if (target.timeline == "current") return candidate.timeline;
  if (target.timeline != "latest") return *parse_int<archive::Timeline>(target.timeline);
  // As the server does it (timeline.c, findNewestTimeLine): upwards while history files follow one another.
  archive::Timeline newest = candidate.timeline;
  while (std::binary_search(wal.histories().begin(), wal.histories().end(), newest + 1)) ++newest;
  return newest;
}

class WalCheck {
 public:
  WalCheck(const WalInventory& wal, TimelinePath path, std::uint64_t segment_bytes)
      : wal_(wal), path_(std::move(path)), segment_bytes_(segment_bytes) {}

  std::uint64_t number_of(archive::Lsn lsn) const { return lsn.value / segment_bytes_; }
  std::optional<Time> stored(std::uint64_t number) const { return wal_.stored(segment(number)); }

  void require(std::uint64_t from, std::uint64_t to, std::string_view why) const {
    for (std::uint64_t number = from; number <= to; ++number) {
      if (stored(number)) continue;
      throw Error(Errc::incomplete, fmt::format("WAL segment {} is not in the archive: {}",
                                                segment(number).name(segment_bytes_), why));
    }
  }

  /// The last segment stored on the way, from `from` on.
  std::uint64_t last(std::uint64_t from) const {
    std::uint64_t last = wal_.last(path_.target).value_or(0);
    for (const archive::HistoryEntry& ancestor : path_.ancestors) {
      const std::uint64_t end = number_of(ancestor.end);
      if (end > 0) last = std::max(last, std::min(end - 1, wal_.last(ancestor.timeline).value_or(0)));
    }
    return std::max(last, from);
  }

  std::string name(std::uint64_t number) const { return segment(number).name(segment_bytes_); }

 private:
  archive::Segment segment(std::uint64_t number) const {
    return {path_.timeline_of(number, segment_bytes_), number};
  }
  const WalInventory& wal_;
  const TimelinePath path_;
  const std::uint64_t segment_bytes_;
};

void check_wal(const Candidate& candidate, const RecoveryTarget& target, const WalCheck& wal, const Run& run) {
  const std::uint64_t first = wal.number_of(*candidate.metadata.start_lsn);
  const std::uint64_t consistent = wal.number_of({candidate.metadata.finish_lsn->value - 1});
  wal.require(first, consistent, fmt::format("backup {} cannot become consistent without it", candidate.name));
  switch (target.kind) {
    case Kind::immediate: return;
    case Kind::lsn:
      wal.require(consistent, wal.number_of(*target.lsn), fmt::format("the target LSN {} cannot be reached", target.text));
      return;
    case Kind::xid:
    case Kind::name:
      wal.require(consistent, wal.last(consistent), "there is a gap between the backup and the end of the archive");
      return;
    case Kind::time: break;
  }
  const std::uint64_t last = wal.last(consistent);
  for (std::uint64_t number = consistent; number <= last; ++number) {
    wal.require(number, number, fmt::format("the target time {} lies behind this gap, or may do so", target.text));
    if (*wal.stored(number) > *target.time) return;
  }
  run.log.warning("no WAL segment was archived after {}: recovery may end before that, with {} (archived {})", target.text,
                  wal.name(last), rfc3339(*wal.stored(last)));
}

}  // namespace

RecoveryPlan plan_recovery(const pipeline::Repository& repository, const std::optional<std::string>& backup,
                           const RecoveryTarget& target, const Run& run) {
  std::vector<std::string> names;
  if (backup) {
    names.push_back(*backup);
  } else {
    for (const ListedBackup& listed : list_sentinels(repository, run)) names.push_back(listed.name);
    std::reverse(names.begin(), names.end());
  }
  std::string reason = "the archive holds no backup";
  for (const std::string& name : names) {
    const std::optional<Candidate> candidate = candidate_of(repository, name, run);
    if (!candidate) continue;
    if (!ends_before(*candidate, target)) {
      reason = fmt::format("backup {} ends at {} ({}), after the target", name, candidate->metadata.finish_lsn->text(),
                           rfc3339(candidate->metadata.finish_time));
      continue;
    }
    const std::uint64_t segment_bytes = segment_bytes_of(*candidate);
    const WalInventory wal(repository, segment_bytes, run);
    const TimelinePath path = wal.path_to(target_timeline(target, *candidate, wal));
    if (!path.passes(candidate->timeline, *candidate->metadata.finish_lsn)) {
      reason = fmt::format("timeline {} does not come from where backup {} ends", path.target, name);
      continue;
    }
    check_wal(*candidate, target, WalCheck(wal, path, segment_bytes), run);
    run.log.info("Recovery starts from backup {} and follows timeline {}", name, path.target);
    return {.backup = name, .pg_version = candidate->metadata.pg_version, .target = target};
  }
  throw Error(Errc::not_found, fmt::format("no backup leads to the target: {}", reason));
}

}  // namespace seawall::ops
