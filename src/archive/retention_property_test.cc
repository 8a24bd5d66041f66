// Made-up archives × every deleting command × an end at every step. What had to stay is decided here, from what really
// happened in the made-up world and by the plainest reading of each rule, not by the code under test.
//
// SEAWALL_RETENTION_ARCHIVES: how many archives (300 without it). SEAWALL_RETENTION_SEED: where to begin.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "archive/deletion_invariant.hh"
#include "archive/expire.hh"
#include "archive/retention.hh"
#include "base/error.hh"
#include "base/text.hh"
#include "support/retention_reference.hh"

namespace seawall::archive {
namespace {

using World = test::RetentionWorld;
using Command = test::RetentionCommand;
using Commands = test::RetentionCommands;
using Reference = test::RetentionReference;
using Indices = test::Indices;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : parse_int<std::uint64_t>(text).value();
}

class Trial {
 public:
  Trial(World& world, const Catalogue& catalogue, const Reference& reference)
      : world_(world), catalogue_(catalogue), reference_(reference) {
    for (std::size_t i = 0; i < world.backups.size(); ++i) {
      if (world.restorable(world.backups[i])) restorable_.push_back(i);
    }
  }

  /// How many objects went.
  std::size_t run(const Command& command) {
    SCOPED_TRACE(command.text);
    std::optional<DeletionPlan> plan;
    try {
      plan = command.plan(catalogue_);
    } catch (const Error& error) {
      EXPECT_THAT(error.code(), testing::AnyOf(Errc::usage, Errc::incomplete, Errc::in_use, Errc::not_found))
          << error.what();
    }
    if (!plan) return 0;
    EXPECT_EQ(std::nullopt, first_violation(catalogue_, *plan, command.everything));
    gone_.clear();
    gone_segments_.clear();
    plan->visit(catalogue_, [&](const std::string& key) {
      EXPECT_TRUE(gone_.emplace(key, gone_.size()).second) << key << " goes twice";
      EXPECT_TRUE(world_.exists(key)) << key;
      EXPECT_FALSE(world_.foreign.contains(key)) << key;
      note_segment(key);
    });
    EXPECT_EQ(plan->objects, gone_.size());
    EXPECT_EQ(catalogue_.backups().size(), plan->backups.size() + (command.everything ? 0 : plan->kept.size()));
    check_kills();
    if (!command.everything) check_in_flight(command);
    if (!command.obeys) check_stays(command);
    if (world_.plain && command.exact) check_exact(command);
    return gone_.size();
  }

 private:
  void note_segment(const std::string& key) {
    const std::size_t end = wal_folder.size() + 24;
    if (!key.starts_with(wal_folder) || key.size() < end) return;
    const auto segment =
        parse_segment(std::string_view(key).substr(wal_folder.size(), 24), world_.listing.segment_bytes);
    const bool is_segment = std::any_of(World::suffixes.begin(), World::suffixes.end(),
                                        [&](const char* suffix) { return key.substr(end) == suffix; });
    if (segment && is_segment) gone_segments_[segment->timeline].emplace(segment->number, key);
  }

  static constexpr std::size_t never = static_cast<std::size_t>(-1);
  std::size_t goes_at(const std::string& key) const {
    const auto found = gone_.find(key);
    return found == gone_.end() ? never : found->second;
  }

  /// Broken off after any number of objects: while its sentinel is there, nothing that a backup needs may be gone. Said
  /// once for all numbers: everything else goes after the sentinel. And in some archives it is really tried.
  void check_kills() {
    for (const std::size_t i : restorable_) {
      const World::Backup& backup = world_.backups[i];
      const std::size_t end = goes_at(sentinel_object(backup.name));
      const auto later = [&](const std::string& key) {
        if (key == sentinel_object(backup.name)) return;
        const std::size_t at = goes_at(key);
        EXPECT_TRUE(at == never || (end != never && at > end)) << backup.name << " loses " << key;
      };
      for (const World::Backup* at = &backup;; at = &world_.backups[*at->parent]) {
        for (const std::string& key : at->needed_keys) later(key);
        if (!at->parent) break;
      }
      for (std::uint64_t segment = backup.spec.start; segment <= backup.spec.finish; ++segment) {
        for (const char* suffix : World::suffixes) {
          later(world_.listing.segment_key(backup.spec.timeline, segment, suffix));
        }
      }
    }
    if (world_.chance(0.01)) really_kill();
  }

  void really_kill() {
    std::vector<std::string> order(gone_.size());
    for (const auto& [key, at] : gone_) order[at] = key;
    const auto objects = world_.listing.objects;
    for (const std::string& key : order) {
      world_.listing.objects.erase(key);
      for (const std::size_t i : restorable_) {
        const World::Backup& backup = world_.backups[i];
        EXPECT_TRUE(!world_.listed(backup) || world_.restorable(backup)) << backup.name << " after " << key;
      }
    }
    world_.listing.objects = objects;
  }

  bool young(const World::Backup& backup) const {
    const std::string folder = std::string(backups_folder) + backup.name + "/";
    Time newest{};
    for (auto at = world_.listing.objects.lower_bound(folder);
         at != world_.listing.objects.end() && at->first.starts_with(folder); ++at) {
      newest = std::max(newest, at->second.modified);
    }
    return newest > world_.now - std::chrono::hours(24);
  }

  void check_in_flight(const Command& command) {
    for (const World::Backup& backup : world_.backups) {
      if (!backup.in_flight || !young(backup)) continue;
      for (const auto& [key, at] : gone_) {
        EXPECT_FALSE(key.starts_with(std::string(backups_folder) + backup.name + "/")) << key;
      }
      if (backup.parent) expect_chain_stays(*backup.parent);
      if (command.takes_wal) expect_wal_to_now(backup);
    }
  }

  void expect_chain_stays(std::size_t i) {
    if (!world_.listed(world_.backups[i])) return;
    EXPECT_EQ(never, goes_at(sentinel_object(world_.backups[i].name))) << "needed by what stays";
    if (world_.backups[i].parent) expect_chain_stays(*world_.backups[i].parent);
  }

  void expect_wal_to_now(const World::Backup& backup) const {
    EXPECT_EQ("", wal_that_goes(backup)) << "is needed from " << backup.name << " on";
  }

  /// A segment that recovery from the backup to now may need; empty: all of it stays.
  std::string wal_that_goes(const World::Backup& backup) const {
    // Two clusters, but the backups tell of one only: nobody could know whose history it is.
    const bool two = world_.timelines.back().cluster != 0;
    if (two && catalogue_.systems().size() < 2) return {};
    for (std::size_t t = 0; t < world_.timelines.size(); ++t) {
      if (!world_.reaches(backup, t)) continue;
      const auto gone = gone_segments_.find(world_.timelines[t].id);
      if (gone == gone_segments_.end()) continue;
      const auto first = gone->second.lower_bound(backup.spec.start);
      if (first != gone->second.end() && first->first < world_.timelines[t].next) return first->second;
    }
    return {};
  }

  void check_stays(const Command& command) {
    Indices to_now = command.stays;
    Indices all = command.stays_long_term;
    all.insert(to_now.begin(), to_now.end());
    for (const std::size_t i : reference_.listed()) {
      if (world_.backups[i].spec.permanent) all.insert(i);
      if (!world_.backups[i].readable || !world_.backups[i].permanence_known) all.insert(i);
    }
    const std::size_t latest = reference_.listed().back();
    to_now.insert(latest);
    if (const auto newest = reference_.nth_newest(1, false)) to_now.insert(reference_.listed()[*newest]);
    all.insert(to_now.begin(), to_now.end());
    for (const std::size_t i : all) expect_chain_stays(i);
    for (const std::size_t i : to_now) {
      expect_wal_to_now(world_.backups[i]);
      for (auto at = world_.backups[i].parent; at; at = world_.backups[*at].parent) {
        // Beyond a parent that is gone the archive tells nothing.
        if (!world_.listed(world_.backups[*at]) || !world_.backups[*at].readable) break;
        if (!permanent(*at)) expect_wal_to_now(world_.backups[*at]);
      }
    }
    for (const Indices& some : command.some_stay) {
      EXPECT_TRUE(std::any_of(some.begin(), some.end(),
                              [&](std::size_t i) {
                                const World::Backup& backup = world_.backups[i];
                                return goes_at(sentinel_object(backup.name)) == never && wal_that_goes(backup).empty();
                              }))
          << "none of " << some.size() << " stays, " << world_.backups[*some.begin()].name << " among them";
    }
  }

  /// By metadata.json; if that is lost the sentinel says so too.
  bool permanent(std::size_t i) const {
    return world_.backups[i].spec.permanent || !world_.backups[i].permanence_known;
  }

  /// One timeline, and nothing wrong anywhere: exactly what the rules name goes.
  void check_exact(const Command& command) {
    Indices kept = command.stays;
    Indices to_now = command.stays;
    kept.insert(command.stays_long_term.begin(), command.stays_long_term.end());
    kept.insert(reference_.listed().back());
    to_now.insert(reference_.listed().back());
    for (const std::size_t i : reference_.listed()) {
      if (permanent(i)) kept.insert(i);
    }
    for (const std::size_t i : Indices(kept)) {
      for (auto at = world_.backups[i].parent; at; at = world_.backups[*at].parent) {
        kept.insert(*at);
        if (to_now.contains(i) && !permanent(*at)) to_now.insert(*at);
      }
    }
    std::uint64_t floor = command.boundary ? world_.backups[*command.boundary].spec.start : no_last;
    for (const std::size_t i : reference_.listed()) {
      const World::Backup& backup = world_.backups[i];
      EXPECT_EQ(kept.contains(i), goes_at(sentinel_object(backup.name)) == never) << backup.name;
      if (kept.contains(i) && to_now.contains(i)) floor = std::min(floor, backup.spec.start);
    }
    if (!command.takes_wal || floor == no_last) return;
    std::set<std::uint64_t> islands;
    for (const std::size_t i : kept) {
      for (std::uint64_t n = world_.backups[i].spec.start; n <= world_.backups[i].spec.finish; ++n) islands.insert(n);
    }
    for (std::uint64_t n = 0; n < world_.timelines[0].next; ++n) {
      for (const char* suffix : World::suffixes) {
        const std::string key = world_.listing.segment_key(1, n, suffix);
        if (!world_.exists(key)) continue;
        EXPECT_EQ(n < floor && !islands.contains(n), goes_at(key) != never) << key << " floor " << floor;
      }
    }
  }

  World& world_;
  const Catalogue& catalogue_;
  const Reference& reference_;
  std::vector<std::size_t> restorable_;
  std::unordered_map<std::string, std::size_t> gone_;
  std::map<Timeline, std::map<std::uint64_t, std::string>> gone_segments_;
};

/// What the catalogue thinks of each backup is what is true.
void expect_faults_seen(const World& world, const Catalogue& catalogue) {
  for (const World::Backup& backup : world.backups) {
    const auto found = catalogue.find(backup.name);
    if (backup.replaced) continue;
    EXPECT_EQ(world.listed(backup), found.has_value()) << backup.name;
    if (found) {
      EXPECT_EQ(world.restorable(backup), catalogue.backups()[*found].restorable) << backup.name;
    }
  }
  EXPECT_EQ(world.foreign.size(), catalogue.foreign().objects);
}

TEST(RetentionProperty, NothingThatIsNeededEverGoes) {
  const std::uint64_t archives = from_environment("SEAWALL_RETENTION_ARCHIVES", 300);
  const std::uint64_t seed = from_environment("SEAWALL_RETENTION_SEED", 1);
  std::uint64_t commands = 0;
  std::uint64_t deleting = 0;
  for (std::uint64_t i = 0; i < archives && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE(fmt::format("SEAWALL_RETENTION_SEED={} SEAWALL_RETENTION_ARCHIVES=1", seed + i));
    World world(seed + i);
    const Catalogue catalogue = world.listing.catalogue(world.now);
    // As files are listed for `delete`; expire goes by when WAL was stored, and is given all.
    constexpr std::size_t sizes_one_of = 3;
    const Catalogue sampled = world.listing.catalogue(world.now, sizes_one_of);
    expect_faults_seen(world, catalogue);
    expect_faults_seen(world, sampled);
    const Reference reference(world);
    if (reference.listed().empty()) continue;
    Trial whole(world, catalogue, reference);
    Trial partly(world, sampled, reference);
    for (const Command& command : Commands(world, reference).all()) {
      ++commands;
      if ((command.by_times_of_wal ? whole : partly).run(command) != 0) ++deleting;
    }
  }
  // Else it would have proved little.
  EXPECT_GT(deleting * 3, commands);
}

}  // namespace
}  // namespace seawall::archive
