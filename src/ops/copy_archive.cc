#include "ops/copy_archive.hh"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "archive/layout.hh"
#include "archive/manifest.hh"
#include "archive/wal_listing.hh"
#include "base/text.hh"
#include "ops/archive_identity.hh"
#include "ops/backup_selection.hh"
#include "ops/backup_wal.hh"
#include "ops/copy_objects.hh"

namespace seawall::ops {
namespace {

/// As the last number of a range: what follows it is a number still.
constexpr std::uint64_t without_end = archive::no_last - 1;
constexpr std::size_t batch_items = 4096;

class Copy {
 public:
  Copy(const pipeline::Repository& from, const pipeline::Repository& to, const CopyRequest& request, const Run& run)
      : from_(from), to_(to), request_(request), run_(run), copier_(from, to) {}

  CopyResult copy();

 private:
  void choose();
  void add_chain(const std::string& backup);
  SegmentSpan need_of(const std::string& backup) const {
    return wal_of_backup(backup, sentinels_.at(backup), source_wal_->segment_bytes());
  }
  std::vector<SegmentSpan> needs_of(const std::string& backup) const;
  void require_wal(const std::string& backup) const;
  void require_without_gaps(archive::Timeline timeline, std::uint64_t from) const;
  std::map<std::string, storage::ObjectInfo> folder_of(const pipeline::Repository& repository,
                                                       const std::string& backup) const;
  void check_conflicts(const std::string& backup) const;
  void check_sentinel(const std::string& backup) const;
  void check_wal_conflicts() const;
  std::vector<CopyItem> items_of(const std::string& backup) const;
  void copy_backup(const std::string& backup);
  void check_closure(const std::string& backup) const;
  void each_batch(const SegmentSpan& need, const std::function<void(std::vector<CopyItem>)>& take) const;
  void copy_wal(const SegmentSpan& need);
  void copy_histories();
  void copy_items(std::vector<CopyItem> items);
  std::uint64_t bytes_there(const archive::WalStream& stream, std::uint64_t number) const;

  const pipeline::Repository& from_;
  const pipeline::Repository& to_;
  const CopyRequest& request_;
  const Run& run_;
  ObjectCopier copier_;
  std::vector<std::string> asked_;  // by name or all, oldest first
  std::vector<std::string> order_;  // with their parents, parents first
  std::map<std::string, archive::Sentinel> sentinels_;
  std::optional<archive::WalListing> source_wal_, target_wal_;
  std::map<archive::Timeline, archive::NumberRanges> copied_wal_;
};

[[noreturn]] void conflict(std::string_view name, std::uint64_t source, std::uint64_t target) {
  throw Error(Errc::differs,
              fmt::format("destination object '{}' conflicts with the source: it has {} bytes there and {} here", name,
                          target, source));
}

CopyResult Copy::copy() {
  if (archive_address(from_) == archive_address(to_)) {
    throw Error(Errc::usage, fmt::format("source and destination are the same archive, {}", archive_address(to_)));
  }
  choose();
  const auto owner = find_archive_identity(from_, run_);
  const auto target_owner = find_archive_identity(to_, run_);
  if (owner && target_owner && *owner != *target_owner) {
    throw Error(Errc::foreign, fmt::format("{} is the archive of the cluster with system identifier {}, {} that of {}",
                                           archive_address(from_), *owner, archive_address(to_), *target_owner));
  }
  const std::string& oldest = asked_.front();
  source_wal_ = list_wal(from_, segment_bytes_of(oldest, sentinels_.at(oldest), request_.segment_bytes), run_);
  target_wal_ = list_wal(to_, source_wal_->segment_bytes(), run_);
  for (const std::string& backup : asked_) require_wal(backup);
  for (const std::string& backup : order_) check_conflicts(backup);
  check_wal_conflicts();
  if (owner) check_archive_identity(to_, *owner, run_);
  copy_histories();
  for (const std::string& backup : order_) copy_backup(backup);
  return {.objects = copier_.objects, .bytes = copier_.bytes, .there = copier_.there};
}

void Copy::choose() {
  if (request_.backup.empty()) {
    for (const ListedBackup& backup : list_sentinels(from_, run_)) asked_.push_back(backup.name);
    if (asked_.empty()) throw Error(Errc::not_found, "No backups found in " + from_.store->description());
  } else {
    asked_.push_back(resolve_backup(from_, request_.backup, run_));
  }
  for (const std::string& backup : asked_) add_chain(backup);
}

void Copy::add_chain(const std::string& backup) {
  std::vector<std::string> chain;
  std::optional<std::string> name = backup;
  while (name && !sentinels_.contains(*name)) {
    if (!chain.empty() && !from_.store->stat(from_.key(archive::sentinel_object(*name)), run_.stop)) {
      throw Error(Errc::incomplete, fmt::format("backup {} cannot be copied: {}, which it stands on, is not in {}",
                                                backup, *name, from_.store->description()));
    }
    chain.push_back(*name);
    name = sentinels_.emplace(chain.back(), read_sentinel(from_, chain.back(), run_)).first->second.delta_from;
  }
  if (name && std::find(chain.begin(), chain.end(), *name) != chain.end()) {
    throw Error(Errc::corrupt, fmt::format("the backups that {} stands on form a circle at {}", backup, *name));
  }
  order_.insert(order_.end(), chain.rbegin(), chain.rend());
}

/// What of the WAL a backup brings along.
std::vector<SegmentSpan> Copy::needs_of(const std::string& backup) const {
  std::vector<SegmentSpan> needs{need_of(backup)};
  if (!request_.with_history) return needs;
  needs.front().range.last = without_end;
  for (const auto& [timeline, wal] : source_wal_->timelines()) {
    if (timeline > needs.front().timeline) needs.push_back({timeline, {0, without_end}});
  }
  return needs;
}

void Copy::require_wal(const std::string& backup) const {
  const SegmentSpan need = need_of(backup);
  const archive::TimelineWal* wal = source_wal_->timeline(need.timeline);
  const auto name = [&](std::uint64_t number) {
    return archive::Segment{need.timeline, number}.name(source_wal_->segment_bytes());
  };
  const archive::NumberRanges none;
  const auto gaps = (wal == nullptr ? none : wal->usable).gaps(need.range);
  if (!gaps.empty()) {
    throw Error(Errc::incomplete,
                fmt::format("backup {} cannot be copied: it needs the WAL segments {} to {}, and {} is "
                            "missing",
                            backup, name(need.range.first), name(need.range.last), name(gaps.front().first)));
  }
  if (!request_.with_history) return;
  for (const auto& [timeline, each] : source_wal_->timelines()) {
    if (timeline == need.timeline) require_without_gaps(timeline, need.range.first);
    if (timeline > need.timeline && !each.usable.empty()) require_without_gaps(timeline, each.usable.first());
  }
}

void Copy::require_without_gaps(archive::Timeline timeline, std::uint64_t from) const {
  const archive::NumberRanges& usable = source_wal_->timeline(timeline)->usable;
  const auto gaps = usable.gaps({from, usable.last()});
  if (gaps.empty()) return;
  throw Error(
      Errc::incomplete,
      fmt::format("gap in the WAL of timeline {:08X}: segment {} is missing, so that with its history the backup "
                  "would not reach the newest WAL",
                  timeline, archive::Segment{timeline, gaps.front().first}.name(source_wal_->segment_bytes())));
}

/// Without leases, which say that a backup is on its way.
std::map<std::string, storage::ObjectInfo> Copy::folder_of(const pipeline::Repository& repository,
                                                           const std::string& backup) const {
  std::map<std::string, storage::ObjectInfo> objects;
  repository.store->list(
      {.prefix = repository.key(archive::backups_folder) + backup + "/"},
      [&](const storage::ObjectInfo& object) {
        const std::string name = object.key.substr(repository.prefix.size());
        if (name != archive::lease_object(backup)) objects.emplace(name, object);
        return true;
      },
      run_.stop);
  return objects;
}

void Copy::check_conflicts(const std::string& backup) const {
  const auto source = folder_of(from_, backup);
  for (const auto& [name, there] : folder_of(to_, backup)) {
    const auto here = source.find(name);
    if (name == archive::metadata_object(backup) || here == source.end()) continue;
    if (here->second.bytes != there.bytes) conflict(name, here->second.bytes, there.bytes);
  }
  check_sentinel(backup);
}

/// A sentinel with another content is another backup of the same name.
void Copy::check_sentinel(const std::string& backup) const {
  const std::string name = archive::sentinel_object(backup);
  const auto there = to_.store->stat(to_.key(name), run_.stop);
  if (!there) return;
  const auto here = from_.store->stat(from_.key(name), run_.stop);
  if (here && here->bytes != there->bytes) conflict(name, here->bytes, there->bytes);
  if (copier_.same({.name = name, .bytes = there->bytes}, run_)) return;
  throw Error(Errc::differs, fmt::format("{} is in {} already, and is another backup than that of {}", backup,
                                         archive_address(to_), archive_address(from_)));
}

std::uint64_t Copy::bytes_there(const archive::WalStream& stream, std::uint64_t number) const {
  std::uint64_t found = archive::no_last;
  for (const archive::WalStream& target : target_wal_->streams()) {
    if (target.kind() != stream.kind() || target.timeline() != stream.timeline() || target.rest() != stream.rest())
      continue;
    target.visit({number, number}, [&](std::uint64_t, std::uint64_t bytes) { found = bytes; });
  }
  return found;
}

/// Whatever belongs to the segments, labels, partial segments and metadata as well; a million names are many.
void Copy::each_batch(const SegmentSpan& need, const std::function<void(std::vector<CopyItem>)>& take) const {
  std::vector<CopyItem> items;
  const auto flush = [&] { take(std::exchange(items, {})); };
  for (const archive::WalStream& stream : source_wal_->streams()) {
    if (stream.timeline() != need.timeline) continue;
    stream.visit(need.range, [&](std::uint64_t number, std::uint64_t bytes) {
      CopyItem item{.name = archive::wal_object(stream.object_name(number, source_wal_->segment_bytes())),
                    .bytes = bytes};
      const std::uint64_t there = bytes_there(stream, number);
      if (there != archive::no_last && there != bytes) conflict(item.name, bytes, there);
      item.there = there != archive::no_last;
      items.push_back(std::move(item));
      if (items.size() == batch_items) flush();
    });
  }
  flush();
}

void Copy::check_wal_conflicts() const {
  for (const std::string& backup : asked_) {
    for (const SegmentSpan& need : needs_of(backup)) each_batch(need, [](const std::vector<CopyItem>&) {});
  }
}

void Copy::copy_items(std::vector<CopyItem> items) {
  std::size_t at = 0;
  copier_.copy_all(
      [&]() -> std::optional<CopyItem> {
        if (at == items.size()) return std::nullopt;
        return std::move(items[at++]);
      },
      run_);
}

void Copy::copy_wal(const SegmentSpan& need) {
  archive::NumberRanges wanted;
  wanted.add(need.range);
  archive::NumberRanges& done = copied_wal_[need.timeline];
  const archive::NumberRanges missing = wanted.without(done);
  for (const archive::NumberRange& range : missing.all()) {
    each_batch({need.timeline, range}, [&](std::vector<CopyItem> items) { copy_items(std::move(items)); });
  }
  done.add(need.range);
}

/// All of them, as WAL-G does: they are small, and say what the timelines are.
void Copy::copy_histories() {
  std::vector<CopyItem> items;
  for (const archive::HistoryObject& history : source_wal_->histories()) {
    const auto& there = target_wal_->histories();
    const auto same_name = [&](const archive::HistoryObject& each) { return each.name == history.name; };
    items.push_back({.name = archive::wal_object(history.name),
                     .bytes = history.bytes,
                     .there = std::any_of(there.begin(), there.end(), same_name)});
  }
  copy_items(std::move(items));
}

std::vector<CopyItem> Copy::items_of(const std::string& backup) const {
  std::map<std::string, Digest> digests;
  const std::string manifest = from_.key(archive::manifest_object(backup));
  if (const auto source = from_.store->try_open(manifest, {}, run_.stop)) {
    for (const archive::ManifestObject& object : archive::read_manifest(*source, manifest).objects) {
      digests.emplace(std::string(archive::backups_folder) + backup + "/" + object.name, object.digest);
    }
  }
  const auto there = folder_of(to_, backup);
  std::vector<CopyItem> items;
  for (const auto& [name, object] : folder_of(from_, backup)) {
    CopyItem item{.name = name, .bytes = object.bytes, .there = there.contains(name)};
    item.replaceable = name == archive::metadata_object(backup);
    if (const auto digest = digests.find(name); digest != digests.end()) item.digest = digest->second;
    items.push_back(std::move(item));
  }
  return items;
}

void Copy::copy_backup(const std::string& backup) {
  copy_items(items_of(backup));
  const bool asked = std::find(asked_.begin(), asked_.end(), backup) != asked_.end();
  if (asked) {
    for (const SegmentSpan& need : needs_of(backup)) copy_wal(need);
  } else {
    // The backups that it stands on are listed too, and shall restore if they did before.
    copy_wal(need_of(backup));
  }
  check_closure(backup);
  const std::string sentinel = archive::sentinel_object(backup);
  const auto here = from_.store->stat(from_.key(sentinel), run_.stop);
  if (!here) throw Error(Errc::not_found, fmt::format("backup {} was removed while it was copied", backup));
  const bool there = to_.store->stat(to_.key(sentinel), run_.stop).has_value();
  copier_.copy({.name = sentinel, .bytes = here->bytes, .there = there}, run_);
  if (!there) run_.log.info("Copied backup {}", backup);
}

/// The sentinel is the promise that the rest is there.
void Copy::check_closure(const std::string& backup) const {
  const auto there = folder_of(to_, backup);
  for (const auto& [name, object] : folder_of(from_, backup)) {
    const auto copied = there.find(name);
    if (copied == there.end() || copied->second.bytes != object.bytes) {
      throw Error(Errc::incomplete, fmt::format("{} is not in {} as it was copied; the backup is not finished there",
                                                name, archive_address(to_)));
    }
  }
}

}  // namespace

CopyResult copy_archive(const pipeline::Repository& from, const pipeline::Repository& to, const CopyRequest& request,
                        const Run& run) {
  return Copy(from, to, request, run).copy();
}

}  // namespace seawall::ops
