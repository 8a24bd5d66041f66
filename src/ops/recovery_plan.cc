#include "ops/recovery_plan.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "ops/backup_selection.hh"
#include "ops/wal_inventory.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

using Kind = RecoveryTarget::Kind;

struct Candidate {
  std::string name;
  archive::BackupMetadata metadata;
  archive::Timeline timeline = 0;
};

Error missing_segment(std::string_view name, std::string_view why) {
  return {Errc::incomplete, fmt::format("WAL segment {} is not in the archive: {}", name, why)};
}

std::string needed_by(const Candidate& candidate) {
  return fmt::format("backup {} cannot become consistent without it", candidate.name);
}

/// Counts what passes.
class CountingSink final : public Sink {
 public:
  void write(Bytes data) override { bytes_ += data.size(); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::uint64_t bytes_ = 0;
};

/// The segment size with which the start LSN falls into the segment that the backup is named after. In the first
/// MiB of 4 GiB it does so with every size: then the segment itself tells.
std::uint64_t segment_bytes_of(const Candidate& candidate, const pipeline::Repository& repository, const Run& run) {
  const std::string segment = archive::segment_name_of_backup(candidate.name);
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t bytes = std::uint64_t{1} << 20; archive::is_segment_size(bytes); bytes *= 2) {
    if (archive::segment_of(candidate.timeline, *candidate.metadata.start_lsn, bytes).name(bytes) == segment) {
      sizes.push_back(bytes);
    }
  }
  if (sizes.empty()) {
    throw Error(Errc::corrupt, fmt::format("backup {} starts at LSN {}, which lies in no segment {} of any size",
                                           candidate.name, candidate.metadata.start_lsn->text(), segment));
  }
  if (sizes.size() == 1) return sizes.front();
  const auto found = pipeline::find_encoded(repository, archive::wal_object(segment), run.stop);
  if (!found) throw missing_segment(segment, needed_by(candidate));
  CountingSink content;
  pipeline::pull(repository, found->object, *found->codec, content, run.stop);
  if (std::find(sizes.begin(), sizes.end(), content.bytes()) == sizes.end()) {
    throw Error(Errc::corrupt,
                fmt::format("{} holds {} bytes, which is no segment's size", found->object.key, content.bytes()));
  }
  return content.bytes();
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
  if (target.kind == Kind::time) {
    return candidate.metadata.finish_time != Time{} && candidate.metadata.finish_time <= *target.time;
  }
  return true;
}

std::string after_target(const Candidate& candidate) {
  const Time end = candidate.metadata.finish_time;
  if (end == Time{}) return fmt::format("when backup {} ended is not recorded", candidate.name);
  return fmt::format("backup {} ends at {} ({}), after the target", candidate.name,
                     candidate.metadata.finish_lsn->text(), rfc3339(end));
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
      throw missing_segment(segment(number).name(segment_bytes_), why);
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
  archive::Segment segment(std::uint64_t number) const { return {path_.timeline_of(number, segment_bytes_), number}; }
  const WalInventory& wal_;
  const TimelinePath path_;
  const std::uint64_t segment_bytes_;
};

void check_wal(const Candidate& candidate, const RecoveryTarget& target, const WalCheck& wal, const Run& run) {
  const std::uint64_t first = wal.number_of(*candidate.metadata.start_lsn);
  const std::uint64_t consistent = wal.number_of({candidate.metadata.finish_lsn->value - 1});
  wal.require(first, consistent, needed_by(candidate));
  switch (target.kind) {
    case Kind::immediate:
      return;
    case Kind::lsn:
      wal.require(consistent, wal.number_of(*target.lsn),
                  fmt::format("the target LSN {} cannot be reached", target.text));
      return;
    case Kind::xid:
    case Kind::name:
    case Kind::end:
      wal.require(consistent, wal.last(consistent), "there is a gap between the backup and the end of the archive");
      return;
    case Kind::time:
      break;
  }
  const std::uint64_t last = wal.last(consistent);
  for (std::uint64_t number = consistent; number <= last; ++number) {
    wal.require(number, number, fmt::format("the target time {} lies behind this gap, or may do so", target.text));
    if (*wal.stored(number) > *target.time) return;
  }
  run.log.warning("no WAL segment was archived after {}: recovery may end before that, with {} (archived {})",
                  target.text, wal.name(last), rfc3339(*wal.stored(last)));
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
    // Not by the sentinels' age alone: marking a backup as permanent writes its sentinel anew.
    std::stable_sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
      return archive::segment_name_of_backup(a) > archive::segment_name_of_backup(b);
    });
  }
  std::string reason = "the archive holds no backup";
  for (const std::string& name : names) {
    const std::optional<Candidate> candidate = candidate_of(repository, name, run);
    if (!candidate) continue;
    if (!ends_before(*candidate, target)) {
      reason = after_target(*candidate);
      continue;
    }
    const std::uint64_t segment_bytes = segment_bytes_of(*candidate, repository, run);
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
