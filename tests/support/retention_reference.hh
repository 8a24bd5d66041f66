#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "archive/expire.hh"
#include "archive/retention.hh"
#include "support/retention_world.hh"

namespace seawall::test {

using namespace archive;  // NOLINT: the reference speaks of nothing else

using World = RetentionWorld;
using Indices = std::set<std::size_t>;  ///< of the world's backups

/// A command, and the least that it must leave: decided by the plainest reading of each rule, from what really happened
/// in the made-up world, not by the code under test.
struct RetentionCommand {
  std::string text;
  std::function<std::optional<DeletionPlan>(const Catalogue&)> plan;
  Indices stays;                        ///< backups that must stay for their own sake, recovery to now included
  Indices stays_long_term;              ///< that must stay, with the WAL that makes them consistent
  std::vector<Indices> some_stay;       ///< of each at least one, recovery to now included
  std::optional<std::size_t> boundary;  ///< WAL from here on stays, also if it is permanent
  bool exact = false;                   ///< in a plain world nothing else stays
  bool takes_wal = true;
  bool obeys = false;  ///< `target` and `everything`: LATEST and permanence do not protect unless refused
  bool everything = false;
  bool by_times_of_wal = false;
};

/// What had to stay.
class RetentionReference {
 public:
  explicit RetentionReference(const World& world) : world_(world) {
    for (std::size_t i = 0; i < world.backups.size(); ++i) {
      if (world.listed(world.backups[i]) && !world.backups[i].in_flight) listed_.push_back(i);
    }
    std::sort(listed_.begin(), listed_.end(), [&](std::size_t a, std::size_t b) {
      const auto& x = world_.backups[a];
      const auto& y = world_.backups[b];
      return x.spec.time != y.spec.time ? x.spec.time < y.spec.time : x.name < y.name;
    });
  }

  const std::vector<std::size_t>& listed() const { return listed_; }  ///< oldest first
  const World::Backup& at(std::size_t i) const { return world_.backups[i]; }
  bool full(std::size_t i) const { return !at(i).parent || !at(i).readable; }

  Indices since(std::optional<std::size_t> position) const {
    if (!position) return {listed_.begin(), listed_.end()};
    return {listed_.begin() + static_cast<std::ptrdiff_t>(*position), listed_.end()};
  }
  std::optional<std::size_t> nth_newest(std::size_t count, bool full_only) const {
    for (std::size_t i = listed_.size(); i-- > 0;) {
      if (!world_.restorable(at(listed_[i])) || (full_only && at(listed_[i]).parent)) continue;
      if (--count == 0) return i;
    }
    return std::nullopt;
  }
  std::optional<std::size_t> position_of(std::size_t backup) const {
    const auto found = std::find(listed_.begin(), listed_.end(), backup);
    if (found == listed_.end()) return std::nullopt;
    return static_cast<std::size_t>(found - listed_.begin());
  }
  std::size_t base_of(std::size_t backup) const {
    while (at(backup).parent) backup = *at(backup).parent;
    return backup;
  }
  /// On the same timeline of the same cluster, begun later.
  Indices later_on_timeline(std::size_t backup) const {
    Indices later;
    for (const std::size_t i : listed_) {
      const auto& other = at(i);
      if (other.readable && other.cluster == at(backup).cluster && other.spec.timeline == at(backup).spec.timeline &&
          other.spec.start > at(backup).spec.start) {
        later.insert(i);
      }
    }
    return later;
  }

  // What expire's rules want, cluster by cluster.
  std::vector<std::size_t> counted(unsigned cluster) const {
    std::vector<std::size_t> found;
    for (const std::size_t i : listed_) {
      if (at(i).cluster == cluster && at(i).readable && at(i).spec.time <= world_.now + std::chrono::hours(1)) {
        found.push_back(i);
      }
    }
    return found;
  }
  void keep_full(unsigned count, unsigned cluster, Indices& stays) const {
    const auto all = counted(cluster);
    std::size_t from = 0;
    unsigned found = 0;
    for (std::size_t i = all.size(); i-- > 0;) {
      if (at(all[i]).parent || !world_.restorable(at(all[i]))) continue;
      from = i;
      if (++found == count) break;
    }
    if (found < count) from = 0;
    stays.insert(all.begin() + static_cast<std::ptrdiff_t>(from), all.end());
  }
  void keep_days(unsigned days, unsigned cluster, Indices& stays, std::vector<Indices>& some_stay) const {
    const Time start = world_.now - std::chrono::hours(24 * days);
    std::vector<std::size_t> before;
    for (const std::size_t i : counted(cluster)) {
      if (at(i).spec.time > start) {
        stays.insert(i);
      } else if (world_.restorable(at(i))) {
        before.push_back(i);
      }
    }
    if (before.empty()) return;
    stays.insert(before.back());
    // Two clusters overwrite each other's WAL: there is no way that could be promised.
    if (world_.timelines.back().cluster != 0) return;
    for (std::size_t t = 0; t < world_.timelines.size(); ++t) {
      const World::Timeline& timeline = world_.timelines[t];
      if (timeline.cluster != cluster || timeline.next == timeline.switch_segment) continue;
      if (!alive_since(timeline.id, start)) continue;
      Indices some;
      for (const std::size_t i : before) {
        if (world_.way_is_there(at(i), t)) some.insert(i);
      }
      if (!some.empty()) some_stay.push_back(some);
    }
  }
  void keep_periods(unsigned count, unsigned cluster, const std::function<std::int64_t(Time)>& period,
                    Indices& stays) const {
    std::map<std::int64_t, std::size_t> last;
    for (const std::size_t i : counted(cluster)) {
      if (world_.restorable(at(i))) last[period(at(i).spec.time)] = i;
    }
    for (auto entry = last.rbegin(); entry != last.rend() && count > 0; ++entry, --count) stays.insert(entry->second);
  }

 private:
  bool alive_since(archive::Timeline timeline, Time start) const {
    Time latest{};
    std::uint64_t highest = 0;
    for (const auto& [key, object] : world_.listing.objects) {
      for (const char* suffix : World::suffixes) {
        const std::size_t digits = 24 + wal_folder.size();
        if (!key.starts_with(wal_folder) || key.size() < digits || key.substr(digits) != suffix) continue;
        const auto segment =
            parse_segment(std::string_view(key).substr(wal_folder.size(), 24), world_.listing.segment_bytes);
        if (!segment || segment->timeline != timeline || segment->number < highest) continue;
        highest = segment->number;
        latest = object.modified;
      }
    }
    return latest >= start;
  }

  const World& world_;
  std::vector<std::size_t> listed_;
};

/// Every deleting command with made-up arguments.
class RetentionCommands {
 public:
  RetentionCommands(World& world, const RetentionReference& reference) : world_(world), reference_(reference) {}

  std::vector<RetentionCommand> all() {
    std::vector<RetentionCommand> commands;
    for (const Modifier modifier : {Modifier::none, Modifier::full, Modifier::find_full}) {
      commands.push_back(retain(modifier));
    }
    for (const Modifier modifier : {Modifier::none, Modifier::find_full}) {
      commands.push_back(before_name(modifier));
      commands.push_back(before_time(modifier));
    }
    for (const GarbageScope scope : {GarbageScope::all, GarbageScope::archives, GarbageScope::backups}) {
      commands.push_back(garbage(scope));
    }
    for (const bool find_full : {false, true}) commands.push_back(target(find_full));
    commands.push_back(everything());
    for (int i = 0; i < 4; ++i) commands.push_back(expire());
    return commands;
  }

 private:
  const std::vector<std::size_t>& listed() const { return reference_.listed(); }

  RetentionCommand retain(Modifier modifier) {
    const std::size_t count = world_.number(1, 5);
    const bool with_after = world_.chance(0.3);
    const std::size_t after_at = world_.number(0, listed().size() - 1);
    const Boundary after{world_.backups[listed()[after_at]].name, std::nullopt};
    RetentionCommand command{.text = fmt::format("retain {} {}", static_cast<int>(modifier), count),
                             .exact = !with_after};
    command.plan = [=](const Catalogue& catalogue) {
      return plan_retain(catalogue, count, modifier, with_after ? std::optional(after) : std::nullopt, {});
    };
    auto position = reference_.nth_newest(count, modifier == Modifier::full);
    if (position) add_since(command, *position, modifier);
    if (!position) command.stays = reference_.since(std::nullopt);
    return command;
  }

  /// What is made at the position or after it must stay; with find_full from the base on.
  void add_since(RetentionCommand& command, std::size_t position, Modifier modifier) {
    std::size_t backup = listed()[position];
    if (modifier == Modifier::find_full) backup = reference_.base_of(backup);
    command.boundary = backup;
    const auto from = reference_.position_of(backup);
    command.stays = reference_.since(std::min(from.value_or(position), position));
    if (!reference_.at(listed()[position]).readable) return;
    for (const std::size_t later : reference_.later_on_timeline(listed()[position])) {
      // The other order has its own N-th backup: only what is named is the same in both.
      if (command.text.starts_with("before base")) command.stays.insert(later);
    }
  }

  RetentionCommand before_name(Modifier modifier) {
    const std::size_t position = world_.number(0, listed().size() - 1);
    const std::string name = world_.backups[listed()[position]].name;
    RetentionCommand command{.text = fmt::format("before {} {}", name, static_cast<int>(modifier)), .exact = true};
    command.plan = [=](const Catalogue& catalogue) {
      return plan_before(catalogue, {name, std::nullopt}, modifier, {});
    };
    // A name is the beginning of others' names: the newest of them is meant.
    std::size_t meant = position;
    for (std::size_t i = position; i < listed().size(); ++i) {
      if (world_.backups[listed()[i]].name.starts_with(name)) meant = i;
    }
    add_since(command, meant, modifier);
    return command;
  }

  RetentionCommand before_time(Modifier modifier) {
    const Time time = world_.now - std::chrono::hours(world_.number(0, 400));
    RetentionCommand command{.text = fmt::format("before a time {}", static_cast<int>(modifier)), .exact = true};
    command.plan = [=](const Catalogue& catalogue) {
      return plan_before(catalogue, {"a time", time}, modifier, {.use_sentinel_time = false});
    };
    for (std::size_t i = 0; i < listed().size(); ++i) {
      if (world_.backups[listed()[i]].spec.time < time) continue;
      add_since(command, i, modifier);
      return command;
    }
    command.stays = reference_.since(std::nullopt);
    return command;
  }

  RetentionCommand garbage(GarbageScope scope) {
    RetentionCommand command{.text = fmt::format("garbage {}", static_cast<int>(scope)),
                             .exact = true,
                             .takes_wal = scope != GarbageScope::backups};
    for (const std::size_t i : listed()) {
      (reference_.at(i).spec.permanent ? command.stays_long_term : command.stays).insert(i);
    }
    command.plan = [=](const Catalogue& catalogue) { return plan_garbage(catalogue, scope, false); };
    return command;
  }

  RetentionCommand target(bool find_full) {
    const std::string name = world_.backups[listed()[world_.number(0, listed().size() - 1)]].name;
    RetentionCommand command{
        .text = fmt::format("target {}{}", name, find_full ? " FIND_FULL" : ""), .takes_wal = false, .obeys = true};
    command.plan = [=](const Catalogue& catalogue) {
      return std::optional(plan_target(catalogue, {.name = name, .user_data_json = {}, .find_full = find_full}));
    };
    return command;
  }

  RetentionCommand everything() {
    const bool force = world_.chance(0.5);
    RetentionCommand command{
        .text = fmt::format("everything{}", force ? " FORCE" : ""), .obeys = true, .everything = true};
    command.plan = [=](const Catalogue& catalogue) { return std::optional(plan_everything(catalogue, force)); };
    return command;
  }

  std::optional<unsigned> sometimes() {
    if (!world_.chance(0.35)) return std::nullopt;
    return static_cast<unsigned>(world_.number(1, 5));
  }

  RetentionCommand expire() {
    const ExpireRules rules{.keep_full = sometimes(),
                            .keep_days = sometimes(),
                            .keep_daily = sometimes(),
                            .keep_weekly = sometimes(),
                            .keep_monthly = sometimes(),
                            .keep_yearly = sometimes(),
                            .keep_at_least = world_.chance(0.2) ? std::optional(2U) : std::nullopt};
    RetentionCommand command{
        .text = fmt::format("expire full {} days {} daily {} weekly {} monthly {} yearly {} at least {}",
                            rules.keep_full.value_or(0), rules.keep_days.value_or(0), rules.keep_daily.value_or(0),
                            rules.keep_weekly.value_or(0), rules.keep_monthly.value_or(0),
                            rules.keep_yearly.value_or(0), rules.keep_at_least.value_or(0)),
        .exact = !rules.keep_at_least,
        .by_times_of_wal = true};
    command.plan = [=](const Catalogue& catalogue) { return std::optional(plan_expire(catalogue, rules)); };
    for (unsigned cluster = 0; cluster < 2; ++cluster) add_rules(command, rules, cluster);
    for (const std::size_t i : listed()) {
      if (world_.backups[i].spec.time > world_.now + std::chrono::hours(1)) command.stays.insert(i);
    }
    return command;
  }

  void add_rules(RetentionCommand& command, const ExpireRules& rules, unsigned cluster) const {
    using namespace std::chrono;
    const auto day = [](Time time) { return floor<days>(time).time_since_epoch().count(); };
    const auto week = [&](Time time) { return (day(time) + 3) / 7; };  // 1970-01-01 was a Thursday
    const auto month = [](Time time) {
      const year_month_day date(floor<days>(time));
      return std::int64_t{12} * static_cast<int>(date.year()) + static_cast<unsigned>(date.month());
    };
    const auto year = [](Time time) {
      return std::int64_t{static_cast<int>(year_month_day(floor<days>(time)).year())};
    };
    if (rules.keep_full) reference_.keep_full(*rules.keep_full, cluster, command.stays);
    if (rules.keep_days) reference_.keep_days(*rules.keep_days, cluster, command.stays, command.some_stay);
    if (rules.keep_daily) reference_.keep_periods(*rules.keep_daily, cluster, day, command.stays);
    if (rules.keep_weekly) reference_.keep_periods(*rules.keep_weekly, cluster, week, command.stays_long_term);
    if (rules.keep_monthly) reference_.keep_periods(*rules.keep_monthly, cluster, month, command.stays_long_term);
    if (rules.keep_yearly) reference_.keep_periods(*rules.keep_yearly, cluster, year, command.stays_long_term);
  }

  World& world_;
  const RetentionReference& reference_;
};

}  // namespace seawall::test
