#include "ops/verify_archive.hh"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>

#include "archive/layout.hh"
#include "archive/timeline_tree.hh"
#include "base/time_text.hh"
#include "ops/archive_identity.hh"
#include "ops/backup_selection.hh"
#include "ops/backup_wal.hh"
#include "ops/verified_log.hh"
#include "ops/verify_backup.hh"
#include "ops/verify_wal.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

/// What the verification of WAL must know of a backup.
struct KnownBackup {
  ListedBackup listed;
  std::optional<archive::Sentinel> sentinel;
  bool permanent = false;
  std::optional<SegmentSpan> wal;
};

class ArchiveVerification {
 public:
  ArchiveVerification(const pipeline::Repository& repository, const VerifyRequest& request,
                      const VerifySettings& settings, const Run& run)
      : repository_(repository),
        request_(request),
        threads_(settings.download_concurrency()),
        segment_bytes_(settings.cluster.wal_segment_bytes()),
        run_(run),
        started_(std::chrono::floor<std::chrono::seconds>(run.clock.wall())),
        log_(repository, run) {}

  VerifyReport verify();

 private:
  void load_backups();
  void load_backup(const ListedBackup& listed);
  void load_histories();
  void choose_wal();
  void verify_backup_of(const KnownBackup& backup);
  void verify_backups();
  std::optional<std::uint64_t> owner();
  void verify_wal();
  void add_wal_lines();
  void add_wal_line(archive::Timeline timeline, archive::NumberRange range, Soundness soundness, Time at, bool again);
  void judge_gaps();
  void judge_gap(archive::Timeline timeline, archive::NumberRange missing);
  bool recovery_needs(archive::Timeline timeline, std::uint64_t number) const;
  void judge_backups();
  void report(Soundness soundness, std::string object, std::string text);
  void take(Findings& findings);
  std::string segment_name(archive::Timeline timeline, std::uint64_t number) const {
    return archive::Segment{timeline, number}.name(segment_bytes_);
  }
  VerifiedLine* line_of(std::string_view backup);

  const pipeline::Repository& repository_;
  const VerifyRequest& request_;
  const unsigned threads_;
  std::uint64_t segment_bytes_;
  const Run& run_;
  const Time started_;
  VerifiedLog log_;

  std::vector<KnownBackup> backups_;  // asked for, oldest first
  std::optional<archive::WalListing> wal_;
  archive::TimelineTree timelines_;
  WalRanges wanted_, whole_;  // segments that are to be judged; that were found whole now
  std::mutex whole_mutex_;
  VerifyReport report_;
};

VerifyReport ArchiveVerification::verify() {
  try {
    load_backups();
    // As likely as a new archive is the wrong address: nobody should take the answer for his archive being whole.
    if (backups_.empty()) {
      report(Soundness::incomplete, std::string(archive::backups_folder),
             fmt::format("there is no backup: nothing can be restored from {}", archive_address(repository_)));
    }
    wal_ = list_wal(repository_, segment_bytes_, run_);
    load_histories();
    choose_wal();
    verify_backups();
    verify_wal();
    judge_gaps();
    judge_backups();
  } catch (const Error&) {
    log_.save(true);
    run_.log.info("what was found whole is remembered; 'verify --since {}' goes on from there",
                  rfc3339(request_.since.value_or(started_)));
    throw;
  }
  log_.save(true);
  run_.progress.done();
  return std::move(report_);
}

void ArchiveVerification::report(Soundness soundness, std::string object, std::string text) {
  report_.soundness = std::max(report_.soundness, soundness);
  report_.findings.push_back({soundness, std::move(object), std::move(text)});
}

void ArchiveVerification::take(Findings& findings) {
  for (Finding& finding : findings.take())
    report(finding.soundness, std::move(finding.object), std::move(finding.text));
}

void ArchiveVerification::load_backup(const ListedBackup& listed) {
  KnownBackup backup{.listed = listed, .sentinel = {}, .wal = {}};
  try {
    backup.sentinel = read_sentinel(repository_, listed.name, run_);
    backup.permanent = backup.sentinel->is_permanent;
    if (const auto metadata = read_backup_metadata(repository_, listed.name, run_))
      backup.permanent = metadata->is_permanent;
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return;  // removed since it was listed
    // Said when the backup itself is verified.
    if (error.code() != Errc::corrupt) throw;
  }
  backups_.push_back(std::move(backup));
}

void ArchiveVerification::load_backups() {
  if (request_.backup.empty()) {
    for (const ListedBackup& listed : list_sentinels(repository_, run_)) load_backup(listed);
  } else {
    std::optional<std::string> name = resolve_backup(repository_, request_.backup, run_);
    while (name) {
      const std::string current = *name;
      name.reset();
      const auto object = repository_.store->stat(repository_.key(archive::sentinel_object(current)), run_.stop);
      const bool seen = std::any_of(backups_.begin(), backups_.end(),
                                    [&](const KnownBackup& each) { return each.listed.name == current; });
      if (!object || seen) break;
      load_backup({current, object->modified});
      if (backups_.back().sentinel) name = backups_.back().sentinel->delta_from;
    }
    std::reverse(backups_.begin(), backups_.end());
  }
  for (KnownBackup& backup : backups_) {
    if (!backup.sentinel) continue;
    if (&backup == &backups_.front())
      segment_bytes_ = segment_bytes_of(backup.listed.name, *backup.sentinel, segment_bytes_);
    try {
      backup.wal = wal_of_backup(backup.listed.name, *backup.sentinel, segment_bytes_);
    } catch (const Error& error) {
      report(Soundness::damaged, archive::sentinel_object(backup.listed.name), error.what());
    }
  }
}

/// What cannot be read is said when WAL is verified.
void ArchiveVerification::load_histories() {
  for (const archive::HistoryObject& history : wal_->histories()) {
    if (history.name.ends_with(".json")) continue;
    storage::ObjectInfo object;
    object.key = repository_.key(archive::wal_object(history.name));
    object.bytes = history.bytes;
    std::vector<archive::HistoryEntry> entries;
    try {
      StringSink text;
      const bool plain = history.name.ends_with(".history");
      pipeline::pull(repository_, object, plain ? *codec::find_codec("none") : pipeline::codec_of_key(object.key), text,
                     run_.stop);
      entries = archive::parse_history(text.text(), history.name);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt && error.code() != Errc::unsupported && error.code() != Errc::not_found) throw;
    }
    timelines_.add(history.timeline, std::move(entries));
  }
}

void ArchiveVerification::choose_wal() {
  if (request_.backup.empty()) {
    for (const auto& [timeline, wal] : wal_->timelines()) wanted_[timeline] = wal.listed;
  } else if (!backups_.empty() && backups_.back().wal) {
    wanted_[backups_.back().wal->timeline].add(backups_.back().wal->range);
  }
}

VerifiedLine* ArchiveVerification::line_of(std::string_view backup) {
  const auto found = std::find_if(report_.lines.begin(), report_.lines.end(),
                                  [&](const VerifiedLine& line) { return !line.is_wal && line.name == backup; });
  return found == report_.lines.end() ? nullptr : &*found;
}

void ArchiveVerification::verify_backup_of(const KnownBackup& backup) {
  const auto known = log_.known().backup(backup.listed.name, backup.listed.modified);
  VerifiedLine line{.name = backup.listed.name, .last = {}, .at = started_};
  if (request_.since && known && *known >= *request_.since) {
    line.at = *known;
    line.again = false;
    report_.lines.push_back(std::move(line));
    return;
  }
  run_.log.info("Verifying backup {}", backup.listed.name);
  Findings findings;
  const BackupReading reading = verify_backup(repository_, backup.listed.name, threads_, findings, run_);
  line.objects = reading.objects;
  line.stored_bytes = reading.stored_bytes;
  line.soundness = findings.worst();
  report_.pages += reading.pages;
  if (line.soundness == Soundness::whole) log_.add_backup(line.name, backup.listed.modified, started_);
  report_.lines.push_back(std::move(line));
  take(findings);
  log_.save(false);
}

void ArchiveVerification::verify_backups() {
  run_.progress.phase("verify backups", std::nullopt);
  for (const KnownBackup& backup : backups_) verify_backup_of(backup);
}

std::optional<std::uint64_t> ArchiveVerification::owner() {
  try {
    return find_archive_identity(repository_, run_);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    report(Soundness::damaged, std::string(identity_object), error.what());
    return std::nullopt;
  }
}

void ArchiveVerification::verify_wal() {
  run_.progress.phase("verify WAL", std::nullopt);
  Findings findings;
  WalVerification verification(repository_, *wal_, timelines_, owner(), findings,
                               [this](archive::Timeline timeline, archive::NumberRange range) {
                                 {
                                   std::lock_guard lock(whole_mutex_);
                                   whole_[timeline].add(range);
                                 }
                                 log_.add_wal(timeline, range, started_);
                                 log_.save(false);
                               });
  WalRanges unread = wanted_;
  if (request_.since) {
    const archive::Verified known = log_.known();
    for (auto& [timeline, ranges] : unread) ranges = ranges.without(known.wal(timeline, *request_.since));
  }
  const WalReading reading = verification.verify(unread, threads_, run_);
  report_.records = reading.records;
  if (request_.backup.empty()) verification.verify_others(threads_, run_);
  take(findings);
  add_wal_lines();
}

void ArchiveVerification::add_wal_line(archive::Timeline timeline, archive::NumberRange range, Soundness soundness,
                                       Time at, bool again) {
  VerifiedLine line{.is_wal = true,
                    .name = segment_name(timeline, range.first),
                    .last = segment_name(timeline, range.last),
                    .timeline = timeline,
                    .soundness = soundness,
                    .at = at,
                    .again = again};
  for (const archive::WalStream& stream : wal_->streams()) {
    if (!again || stream.kind() != archive::WalObjectKind::segment || stream.timeline() != timeline) continue;
    stream.visit(range, [&](std::uint64_t, std::uint64_t bytes) {
      ++line.objects;
      line.stored_bytes += bytes;
    });
  }
  report_.lines.push_back(std::move(line));
}

void ArchiveVerification::add_wal_lines() {
  const archive::Verified known = log_.known();
  for (const auto& [timeline, wanted] : wanted_) {
    const archive::TimelineWal* wal = wal_->timeline(timeline);
    if (wal == nullptr) continue;
    const std::size_t first_line = report_.lines.size();
    const archive::NumberRanges judged = wal->listed.common(wanted);
    const archive::NumberRanges& now = whole_[timeline];
    archive::NumberRanges before;
    if (const auto ranges = known.wal().find(timeline); request_.since && ranges != known.wal().end()) {
      for (const archive::Verified::Wal& each : ranges->second) {
        if (each.at < *request_.since) continue;
        archive::NumberRanges one;
        one.add(each.range);
        const archive::NumberRanges part = one.common(judged).without(now);
        for (const archive::NumberRange& range : part.all())
          add_wal_line(timeline, range, Soundness::whole, each.at, false);
        before.add(each.range);
      }
    }
    const archive::NumberRanges read = judged.common(now);
    for (const archive::NumberRange& range : read.all()) {
      add_wal_line(timeline, range, Soundness::whole, started_, true);
    }
    const archive::NumberRanges bad = judged.without(now).without(before);
    for (const archive::NumberRange& range : bad.all()) {
      add_wal_line(timeline, range, Soundness::damaged, started_, true);
    }
    const archive::NumberRanges empty = wal->listed.common(wanted).without(wal->usable);
    for (const archive::NumberRange& range : empty.all()) {
      report(Soundness::damaged, archive::wal_object(segment_name(timeline, range.first)),
             fmt::format("{} objects of 0 bytes: what they held is lost", range.count()));
    }
    std::sort(report_.lines.begin() + static_cast<std::ptrdiff_t>(first_line), report_.lines.end(),
              [](const VerifiedLine& a, const VerifiedLine& b) { return a.name < b.name; });
  }
}

/// Does recovery of a backup that retention has not set apart lead through this segment?
bool ArchiveVerification::recovery_needs(archive::Timeline timeline, std::uint64_t number) const {
  const auto& path = timelines_.path(timeline);
  return std::any_of(backups_.begin(), backups_.end(), [&](const KnownBackup& backup) {
    if (backup.permanent || !backup.wal || backup.wal->range.first > number) return false;
    const auto ancestor = std::find_if(path.begin(), path.end(), [&](const archive::HistoryEntry& entry) {
      return entry.timeline == backup.wal->timeline;
    });
    return backup.wal->timeline == timeline ||
           (ancestor != path.end() && ancestor->end.value > backup.wal->range.first * segment_bytes_);
  });
}

void ArchiveVerification::judge_gap(archive::Timeline timeline, archive::NumberRange missing) {
  const std::string object = archive::wal_object(segment_name(timeline, missing.first));
  const std::string what = missing.count() == 1 ? std::string("the segment is missing")
                                                : fmt::format("{} segments up to {} are missing", missing.count(),
                                                              segment_name(timeline, missing.last));
  if (recovery_needs(timeline, missing.first)) {
    report(Soundness::incomplete, object, what + "; recovery cannot pass it");
  } else {
    report(Soundness::whole, object, what + "; no backup before it is kept for recovery through it");
  }
}

void ArchiveVerification::judge_gaps() {
  if (!request_.backup.empty()) return;
  for (const auto& [timeline, wal] : wal_->timelines()) {
    if (wal.listed.empty()) continue;
    for (const archive::NumberRange& gap : wal.listed.gaps({wal.listed.first(), wal.listed.last()})) {
      judge_gap(timeline, gap);
    }
    if (timeline == 1) continue;
    if (!wal_->has_history(timeline)) {
      // An archive that began on this timeline never got it, and recovery does without.
      const bool first = wal_->timelines().begin()->first == timeline;
      report(first ? Soundness::whole : Soundness::incomplete, archive::wal_object(archive::history_name(timeline)),
             "the timeline's history is missing: nobody knows what it stems from");
      continue;
    }
    const auto parent = timelines_.parent(timeline);
    if (!parent) continue;
    // The segment in which it began is its own; those before are its parent's.
    const std::uint64_t begin = parent->end.value / segment_bytes_;
    if (wal.listed.first() > begin) judge_gap(timeline, {begin, wal.listed.first() - 1});
    const archive::TimelineWal* before = wal_->timeline(parent->timeline);
    if (before != nullptr && !before->listed.empty() && begin > 0 && before->listed.last() + 1 < begin) {
      judge_gap(parent->timeline, {before->listed.last() + 1, begin - 1});
    }
  }
}

/// A backup is no better than what it stands on, and than the WAL that makes it consistent.
void ArchiveVerification::judge_backups() {
  for (const KnownBackup& backup : backups_) {
    VerifiedLine* line = line_of(backup.listed.name);
    if (line == nullptr || !backup.sentinel) continue;
    const std::string sentinel = archive::sentinel_object(backup.listed.name);
    const auto worse = [&](Soundness soundness, std::string text) {
      line->soundness = std::max(line->soundness, soundness);
      report(soundness, sentinel, std::move(text));
    };
    if (const auto& parent = backup.sentinel->delta_from) {
      const VerifiedLine* below = line_of(*parent);
      if (below != nullptr && below->soundness != Soundness::whole) {
        worse(below->soundness, fmt::format("it stands on {}, which is {}", *parent, name_of(below->soundness)));
      }
    }
    if (!backup.wal || (!request_.backup.empty() && &backup != &backups_.back())) continue;
    const auto [timeline, range] = *backup.wal;
    const archive::TimelineWal* wal = wal_->timeline(timeline);
    const archive::NumberRanges none;
    const auto missing = (wal != nullptr ? wal->listed : none).gaps(range);
    if (!missing.empty()) {
      worse(Soundness::incomplete, fmt::format("without WAL segment {}, which is missing, it cannot become consistent",
                                               segment_name(timeline, missing.front().first)));
    }
    for (const VerifiedLine& each : report_.lines) {
      if (!each.is_wal || each.timeline != timeline || each.soundness == Soundness::whole) continue;
      if (each.last < segment_name(timeline, range.first) || each.name > segment_name(timeline, range.last)) continue;
      worse(Soundness::damaged, fmt::format("WAL that makes it consistent is damaged: {}", each.name));
      break;
    }
  }
}

}  // namespace

VerifyReport verify_archive(const pipeline::Repository& repository, const VerifyRequest& request,
                            const VerifySettings& settings, const Run& run) {
  return ArchiveVerification(repository, request, settings, run).verify();
}

}  // namespace seawall::ops
