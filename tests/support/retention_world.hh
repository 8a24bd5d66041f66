#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "support/archive_listing.hh"

namespace seawall::test {

/// A made-up life of one or two clusters that share an archive, and what is really true of it: who stems from whom,
/// which backup was made on which, what each needs to be restored. The archive itself shows only names and documents.
class RetentionWorld {
 public:
  struct Backup {
    ArchiveListing::BackupSpec spec;
    std::string name;
    unsigned cluster = 0;
    std::optional<std::size_t> parent;     ///< index, of the very backup that it was made on
    std::vector<std::string> needed_keys;  ///< its own, the sentinel included
    bool replaced = false;                 ///< its name was used again
    bool in_flight = false;
    bool readable = true;          ///< its sentinel
    bool permanence_known = true;  ///< its metadata
  };
  struct Timeline {
    unsigned cluster = 0;
    archive::Timeline id = 1;
    std::optional<std::size_t> parent;
    std::uint64_t switch_segment = 0;  ///< it left its parent within that segment
    std::uint64_t next = 0;            ///< the segment that is written now
  };

  explicit RetentionWorld(std::uint64_t seed) : random_(seed) {
    listing.segment_bytes = std::uint64_t{16} << 20;
    plain = chance(0.3);
    const unsigned clusters = !plain && chance(0.15) ? 2 : 1;
    for (unsigned cluster = 0; cluster < clusters; ++cluster) {
      clock_ = Time(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + std::chrono::hours(number(0, 500));
      live(cluster);
    }
    if (!plain) damage();
    now = latest_ + std::chrono::minutes(number(1, 2000));
  }

  ArchiveListing listing;
  std::vector<Backup> backups;
  std::vector<Timeline> timelines;
  std::set<std::string> foreign;
  Time now{};
  bool plain = false;  ///< one cluster, one timeline, nothing damaged, in flight or out of order

  std::uint64_t number(std::uint64_t from, std::uint64_t to) {
    return std::uniform_int_distribution<std::uint64_t>(from, to)(random_);
  }
  bool chance(double probability) { return std::bernoulli_distribution(probability)(random_); }

  bool exists(const std::string& key) const { return listing.objects.contains(key); }
  bool listed(const Backup& backup) const { return !backup.replaced && exists(archive::sentinel_object(backup.name)); }
  bool segment_usable(archive::Timeline timeline, std::uint64_t segment) const {
    return std::any_of(suffixes.begin(), suffixes.end(), [&](const char* suffix) {
      const auto found = listing.objects.find(listing.segment_key(timeline, segment, suffix));
      return found != listing.objects.end() && found->second.bytes != 0;
    });
  }
  /// Its own objects and its chain's, not the WAL.
  bool whole(const Backup& backup) const {
    if (!listed(backup) || !backup.readable) return false;
    for (const std::string& key : backup.needed_keys) {
      const auto found = listing.objects.find(key);
      if (found == listing.objects.end() || found->second.bytes == 0) return false;
    }
    return !backup.parent || whole(backups[*backup.parent]);
  }
  bool restorable(const Backup& backup) const {
    if (!whole(backup)) return false;
    for (std::uint64_t segment = backup.spec.start; segment <= backup.spec.finish; ++segment) {
      if (!segment_usable(backup.spec.timeline, segment)) return false;
    }
    return true;
  }
  /// Can recovery from the backup really follow to that timeline?
  bool reaches(const Backup& backup, std::size_t timeline) const {
    if (timelines[timeline].cluster != backup.cluster) return false;
    std::uint64_t least = archive::no_last;
    for (std::optional<std::size_t> at = timeline; at; at = timelines[*at].parent) {
      if (timelines[*at].id == backup.spec.timeline) return backup.spec.finish <= least;
      least = std::min(least, timelines[*at].switch_segment);
    }
    return false;
  }

  /// Does it really lead there, and is every segment of the way stored, up to the last that there is?
  bool way_is_there(const Backup& backup, std::size_t timeline) const {
    if (!restorable(backup) || !reaches(backup, timeline)) return false;
    std::uint64_t end = timelines[timeline].next;
    for (std::optional<std::size_t> at = timeline; at; at = timelines[*at].parent) {
      const bool own = timelines[*at].id == backup.spec.timeline;
      const std::uint64_t from = own ? backup.spec.start : timelines[*at].switch_segment;
      for (std::uint64_t segment = from; segment < end; ++segment) {
        if (!segment_usable(timelines[*at].id, segment)) return false;
      }
      if (own) return true;
      end = std::min(end, timelines[*at].switch_segment);
    }
    return false;
  }

  static constexpr std::array<const char*, 3> suffixes{".lz4", ".zst", ""};

 private:
  void pass_time(std::uint64_t most_hours) {
    clock_ += std::chrono::minutes(number(1, most_hours * 60));
    // Someone sets the clock, and perhaps sets it back.
    if (!plain && chance(0.03)) clock_ += std::chrono::hours(24) * (static_cast<int>(number(0, 80)) - 40);
    latest_ = std::max(latest_, clock_);
  }

  void live(unsigned cluster) {
    const std::size_t first = timelines.size();
    timelines.push_back({.cluster = cluster, .id = 1, .parent = {}, .switch_segment = 0, .next = number(1, 8)});
    std::size_t current = first;
    const std::uint64_t steps = number(3, 22);
    for (std::uint64_t step = 0; step < steps; ++step) {
      pass_time(40);
      const std::uint64_t what = number(0, 9);
      if (what <= 4) {
        back_up(cluster, current);
      } else if (what <= 7 || plain) {
        write_wal(timelines[current], number(1, 4));
      } else {
        current = promote(cluster, first, current);
      }
    }
    if (!plain && chance(0.3)) start_backup(cluster, timelines[current]);
    write_wal(timelines[current], number(0, 3));
  }

  void write_wal(Timeline& timeline, std::uint64_t segments) {
    for (std::uint64_t i = 0; i < segments; ++i) {
      clock_ += std::chrono::minutes(number(1, 30));
      latest_ = std::max(latest_, clock_);
      const std::uint64_t segment = timeline.next++;
      // Never archived, or lost.
      if (!plain && chance(0.02)) continue;
      const char* suffix = suffixes[number(0, 20) == 0 ? number(1, 2) : 0];
      const std::string key = listing.segment_key(timeline.id, segment, suffix);
      if (!exists(key)) listing.put(key, clock_, 16);
      if (chance(0.05)) listing.put(listing.segment_key(timeline.id, segment, ".json"), clock_, 1);
      if (chance(0.05)) listing.put(listing.segment_key(timeline.id, segment & ~15ULL, "_delta.lz4"), clock_, 1);
    }
  }

  std::optional<std::size_t> choose_parent(unsigned cluster) {
    std::vector<std::size_t> candidates;
    for (std::size_t i = 0; i < backups.size(); ++i) {
      if (backups[i].cluster == cluster && listed(backups[i])) candidates.push_back(i);
    }
    if (candidates.empty() || chance(0.4)) return std::nullopt;
    return chance(0.7) ? candidates.back() : candidates[number(0, candidates.size() - 1)];
  }

  ArchiveListing::BackupSpec new_spec(unsigned cluster, const Timeline& timeline) {
    return {.timeline = timeline.id,
            .start = timeline.next,
            .finish = timeline.next + number(0, 2),
            .time = clock_,
            .permanent = chance(0.15),
            .system = std::uint64_t{7000000000000000001} + cluster,
            .parts = static_cast<unsigned>(number(2, 4)),
            .offset = 0x28 + 8 * ++starts_};  // no LSN is met twice
  }

  void back_up(unsigned cluster, std::size_t current) {
    Timeline& timeline = timelines[current];
    // On a standby two backups can begin in the same segment; then names may be used again.
    if (!plain && chance(0.07) && timeline.next > timeline.switch_segment + 1) --timeline.next;
    Backup backup{.spec = new_spec(cluster, timeline), .cluster = cluster, .parent = choose_parent(cluster)};
    if (backup.parent) backup.spec.parent = backups[*backup.parent].name;
    // WAL-G makes permanent only what stands on permanent ones.
    if (backup.parent && !backups[*backup.parent].spec.permanent) backup.spec.permanent = false;
    backup.name = listing.name_of(backup.spec);
    // Of what would stand on itself nothing sensible can be said.
    if (backup.spec.parent == backup.name) return;
    for (Backup& other : backups) {
      if (other.name == backup.name) other.replaced = true;
    }
    const std::set<std::string> before = keys_of(backup.name);
    for (const std::string& key : before) listing.objects.erase(key);
    write_wal(timeline, backup.spec.finish - backup.spec.start + 1);
    backup.spec.time = clock_;
    listing.backup(backup.spec);
    for (const std::string& key : keys_of(backup.name)) {
      const bool only_wanted = key == archive::metadata_object(backup.name) ||
                               (!backup.parent && key == archive::files_metadata_object(backup.name));
      if (!only_wanted) backup.needed_keys.push_back(key);
    }
    backups.push_back(std::move(backup));
  }

  std::set<std::string> keys_of(const std::string& name) const {
    std::set<std::string> keys;
    const std::string folder = std::string(archive::backups_folder) + name + "/";
    for (auto at = listing.objects.lower_bound(folder); at != listing.objects.end() && at->first.starts_with(folder);
         ++at) {
      keys.insert(at->first);
    }
    if (exists(archive::sentinel_object(name))) keys.insert(archive::sentinel_object(name));
    return keys;
  }

  void start_backup(unsigned cluster, Timeline& timeline) {
    Backup backup{.spec = new_spec(cluster, timeline), .cluster = cluster, .parent = choose_parent(cluster)};
    if (backup.parent) backup.spec.parent = backups[*backup.parent].name;
    backup.name = listing.name_of(backup.spec);
    if (!keys_of(backup.name).empty()) return;
    backup.in_flight = true;
    pass_time(1);
    backup.spec.time = latest_;
    listing.backup_without_sentinel(backup.spec);
    if (chance(0.5)) listing.put(archive::lease_object(backup.name), latest_);
    backups.push_back(std::move(backup));
  }

  std::size_t promote(unsigned cluster, std::size_t first, std::size_t current) {
    archive::Timeline id = 0;
    for (std::size_t i = first; i < timelines.size(); ++i) id = std::max(id, timelines[i].id);
    const std::size_t from = chance(0.8) ? current : number(first, timelines.size() - 1);
    const std::uint64_t least = timelines[from].switch_segment + 1;
    const std::uint64_t end = std::max(least, timelines[from].next);
    const std::uint64_t at = chance(0.6) ? end : number(least, end);
    timelines.push_back({.cluster = cluster, .id = id + 1, .parent = from, .switch_segment = at, .next = at});
    const std::string key = archive::wal_object(archive::history_name(id + 1)) + ".lz4";
    if (!exists(key) && chance(0.95)) listing.history(id + 1, rows(timelines.size() - 1), clock_);
    // The old primary may go on for a while.
    if (chance(0.3)) write_wal(timelines[from], number(1, 3));
    return timelines.size() - 1;
  }

  std::vector<archive::HistoryEntry> rows(std::size_t timeline) const {
    std::vector<archive::HistoryEntry> entries;
    for (std::size_t at = timeline; timelines[at].parent; at = *timelines[at].parent) {
      entries.push_back({timelines[*timelines[at].parent].id,
                         {timelines[at].switch_segment * listing.segment_bytes + listing.segment_bytes / 2}});
    }
    std::reverse(entries.begin(), entries.end());
    return entries;
  }

  void damage() {
    for (Backup& backup : backups) {
      if (backup.in_flight || backup.replaced || !chance(0.12)) continue;
      switch (number(0, 6)) {
        case 0:
          erase(archive::parts_folder(backup.name) + "part_001.tar.lz4");
          break;
        case 1:
          erase(archive::parts_folder(backup.name) + "pg_control.tar.lz4");
          break;
        case 2:
          erase(archive::sentinel_object(backup.name));
          break;
        case 3:
          erase(archive::metadata_object(backup.name));
          break;
        case 4:
          backup.readable = false;
          listing.objects.at(archive::sentinel_object(backup.name)).text = "{";
          break;
        case 5:
          backup.permanence_known = false;
          listing.objects.at(archive::metadata_object(backup.name)).text = "[]";
          break;
        default:
          listing.objects.at(archive::parts_folder(backup.name) + "part_002.tar.lz4").bytes = 0;
          break;
      }
    }
    for (const char* key : {"notes.txt", "wal_005/00000001000000000000000A.tmp", "basebackups_005/old/part_001.tar.lz4",
                            "wal_005/00000001000000000000000g.lz4", "base/wal_005/000000010000000000000001.lz4"}) {
      if (!chance(0.2)) continue;
      listing.put(key, clock_);
      foreign.insert(key);
    }
  }

  void erase(const std::string& key) { listing.objects.erase(key); }

  std::mt19937_64 random_;
  std::uint64_t starts_ = 0;
  Time clock_{};
  Time latest_{};
};

}  // namespace seawall::test
