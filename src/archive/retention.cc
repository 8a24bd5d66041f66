#include "archive/retention.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "archive/backup_order.hh"
#include "archive/detail/kept_set.hh"
#include "archive/layout.hh"
#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::archive {
namespace {

using Kind = KeepReason::Kind;

/// The two ways in which backups follow each other.
struct Orders {
  BackupTime time = BackupTime::modified;
  std::array<std::vector<std::size_t>, 2> each;  ///< by time, by lineage; oldest first
};

Orders orders_of(const Catalogue& catalogue, const DeleteOptions& options) {
  Orders orders;
  const bool all_known = std::all_of(catalogue.backups().begin(), catalogue.backups().end(),
                                     [](const Backup& b) { return b.metadata && b.metadata->start_time != Time{}; });
  if (options.use_sentinel_time && all_known) orders.time = BackupTime::started;
  orders.each = {order_by_time(catalogue, orders.time), order_by_lineage(catalogue, orders.time)};
  return orders;
}

std::size_t position_of(const std::vector<std::size_t>& order, std::size_t backup) {
  return static_cast<std::size_t>(std::find(order.begin(), order.end(), backup) - order.begin());
}

void refuse_delta(const Catalogue& catalogue, std::size_t backup) {
  if (!catalogue.backups()[backup].is_delta()) return;
  throw Error(Errc::usage, fmt::format("{} is a delta, so what it stands on cannot go. FIND_FULL takes the full backup "
                                       "that it stands on as the boundary.",
                                       catalogue.backups()[backup].name));
}

/// The older of the backup there and the full one that it stands on; only a wrong clock makes the full one younger.
std::size_t position_with_base(const Catalogue& catalogue, const std::vector<std::size_t>& order,
                               std::size_t position) {
  return std::min(position, position_of(order, catalogue.base_of(order[position])));
}

/// Everything from `position` on stays, in one of the orders.
void keep_from(const Catalogue& catalogue, const std::vector<std::size_t>& order, std::size_t position, KeptSet& kept) {
  const std::string& name = catalogue.backups()[order[position]].name;
  for (std::size_t i = position; i < order.size(); ++i) kept.keep(order[i], Kind::not_older, name);
  kept.keep_wal_from(order[position]);
}

/// `positions`: of the oldest backup that stays, in each of the orders.
DeletionPlan plan_from(const Catalogue& catalogue, const Orders& orders, const std::array<std::size_t, 2>& positions) {
  KeptSet kept(catalogue);
  Time oldest = catalogue.settings().now;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    keep_from(catalogue, orders.each[i], positions[i], kept);
    oldest = std::min(oldest, catalogue.backups()[orders.each[i][positions[i]]].modified);
  }
  return kept.plan(KeptSet::Sweep::backups_and_wal, sweepable_remains(catalogue, oldest));
}

std::optional<std::size_t> newest_with_prefix(const Catalogue& catalogue, const std::vector<std::size_t>& order,
                                              std::string_view name) {
  for (std::size_t i = order.size(); i-- > 0;) {
    if (catalogue.backups()[order[i]].name.starts_with(name)) return order[i];
  }
  return std::nullopt;
}

/// The oldest backup made at `time` or later, of full ones only if asked for.
std::optional<std::size_t> oldest_since(const Catalogue& catalogue, const Orders& orders, std::size_t which, Time time,
                                        bool full_only) {
  for (std::size_t i = 0; i < orders.each[which].size(); ++i) {
    const Backup& backup = catalogue.backups()[orders.each[which][i]];
    if (time_of(backup, orders.time) >= time && !(full_only && backup.is_delta())) return i;
  }
  return std::nullopt;
}

void refuse_time_to_come(const Catalogue& catalogue, const Boundary& boundary) {
  if (!boundary.time || *boundary.time <= catalogue.settings().now) return;
  throw Error(Errc::usage, fmt::format("{} is still to come: nothing can be older than that", boundary.text));
}

/// Where the `count`-th newest backup stands among those that count; nothing if there are fewer.
std::optional<std::size_t> position_of_nth(const Catalogue& catalogue, const std::vector<std::size_t>& order,
                                           std::size_t count, bool full_only) {
  std::size_t found = 0;
  for (std::size_t i = order.size(); i-- > 0;) {
    const Backup& backup = catalogue.backups()[order[i]];
    if (!backup.restorable || (full_only && backup.is_delta())) continue;
    if (++found == count) return i;
  }
  return std::nullopt;
}

/// Position that --after stands for: the first backup, from the oldest on, that has the name or is that young.
std::optional<std::size_t> position_after(const Catalogue& catalogue, const Orders& orders, std::size_t which,
                                          const Boundary& after, bool full_only) {
  if (after.time) return oldest_since(catalogue, orders, which, *after.time, full_only);
  const std::vector<std::size_t>& order = orders.each[which];
  const auto named = newest_with_prefix(catalogue, order, after.text);
  if (!named) throw Error(Errc::not_found, fmt::format("no backup's name begins with {}", after.text));
  for (std::size_t i = position_of(order, *named); i < order.size(); ++i) {
    if (!(full_only && catalogue.backups()[order[i]].is_delta())) return i;
  }
  return std::nullopt;
}

std::size_t named_backup(const Catalogue& catalogue, const DeletionTarget& target) {
  if (catalogue.backups().empty()) throw Error(Errc::not_found, "the archive holds no backup");
  if (!target.user_data_json.empty()) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < catalogue.backups().size(); ++i) {
      const std::string_view data = catalogue.backups()[i].user_data_json();
      if (!data.empty() && same_user_data(data, target.user_data_json)) found.push_back(i);
    }
    if (found.size() == 1) return found.front();
    if (found.empty()) {
      throw Error(Errc::not_found, fmt::format("no backup carries the user data {}", target.user_data_json));
    }
    throw Error(Errc::usage, fmt::format("{} backups carry the user data {}, {} and {} among them: give a name",
                                         found.size(), target.user_data_json, catalogue.backups()[found[0]].name,
                                         catalogue.backups()[found[1]].name));
  }
  if (target.name == "LATEST") return catalogue.backups().size() - 1;
  if (const auto found = catalogue.find(target.name)) return *found;
  std::vector<std::string> names;
  for (const Backup& backup : catalogue.backups()) names.push_back(backup.name);
  const auto near = nearest(target.name, names);
  throw Error(Errc::not_found, fmt::format("Backup '{}' does not exist.{}", target.name,
                                           near ? fmt::format(" Did you mean {}?", *near) : ""));
}

void refuse_needed(const Catalogue& catalogue, const std::vector<std::size_t>& targets) {
  for (const std::size_t target : targets) {
    const Backup& backup = catalogue.backups()[target];
    if (backup.permanent || !backup.permanence_known) {
      throw Error(Errc::usage,
                  fmt::format("{} is {}: nothing is deleted. 'backup-mark --impermanent {}' allows it.", backup.name,
                              backup.permanent ? "permanent" : "perhaps permanent, for its metadata.json is unreadable",
                              backup.name));
    }
  }
  const auto target_under = [&](std::string_view delta) -> const Backup* {
    for (const std::size_t parent : catalogue.parents_by_name(delta)) {
      if (std::find(targets.begin(), targets.end(), parent) != targets.end()) return &catalogue.backups()[parent];
    }
    return nullptr;
  };
  for (const UnfinishedBackup& unfinished : catalogue.unfinished()) {
    const Backup* parent = unfinished.in_flight ? target_under(unfinished.name) : nullptr;
    if (parent == nullptr) continue;
    throw Error(Errc::in_use,
                fmt::format("{} is being made on {}: wait until it has ended", unfinished.name, parent->name));
  }
  for (std::size_t i = 0; i < catalogue.backups().size(); ++i) {
    const Backup& backup = catalogue.backups()[i];
    if (backup.sentinel || std::find(targets.begin(), targets.end(), i) != targets.end()) continue;
    if (const Backup* parent = target_under(backup.name)) {
      throw Error(
          Errc::incomplete,
          fmt::format("{} cannot be read, but by its name it stands on {}: delete it first if it is worth nothing",
                      sentinel_object(backup.name), parent->name));
    }
  }
}

}  // namespace

Boundary parse_boundary(std::string_view text) { return {std::string(text), parse_rfc3339(text)}; }

std::optional<DeletionPlan> plan_before(const Catalogue& catalogue, const Boundary& boundary, Modifier modifier,
                                        const DeleteOptions& options) {
  catalogue.require_segment_size();
  if (modifier == Modifier::full) throw Error(Errc::usage, "'delete before' takes FIND_FULL, but not FULL");
  refuse_time_to_come(catalogue, boundary);
  const Orders orders = orders_of(catalogue, options);
  std::array<std::size_t, 2> positions{};
  for (std::size_t i = 0; i < positions.size(); ++i) {
    std::optional<std::size_t> found;
    if (boundary.time) {
      const auto position = oldest_since(catalogue, orders, i, *boundary.time, false);
      if (!position) return std::nullopt;
      found = orders.each[i][*position];
    } else {
      found = newest_with_prefix(catalogue, orders.each[i], boundary.text);
      if (!found)
        throw Error(Errc::not_found, fmt::format("not found: no backup's name begins with {}", boundary.text));
    }
    if (modifier == Modifier::none && i == 0) refuse_delta(catalogue, *found);
    positions[i] = position_of(orders.each[i], *found);
    if (modifier == Modifier::find_full) positions[i] = position_with_base(catalogue, orders.each[i], positions[i]);
  }
  return plan_from(catalogue, orders, positions);
}

std::optional<DeletionPlan> plan_retain(const Catalogue& catalogue, std::size_t count, Modifier modifier,
                                        const std::optional<Boundary>& after, const DeleteOptions& options) {
  catalogue.require_segment_size();
  if (count == 0) throw Error(Errc::usage, "'delete retain' keeps one backup at least; see 'delete everything'");
  const Orders orders = orders_of(catalogue, options);
  std::array<std::size_t, 2> positions{};
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const auto nth = position_of_nth(catalogue, orders.each[i], count, modifier == Modifier::full);
    if (!nth) return std::nullopt;
    positions[i] = *nth;
    if (modifier == Modifier::find_full) positions[i] = position_with_base(catalogue, orders.each[i], *nth);
    if (after) {
      const auto other = position_after(catalogue, orders, i, *after, modifier != Modifier::none);
      positions[i] = std::min(positions[i], other.value_or(positions[i]));
    }
    if (i == 0 && modifier != Modifier::find_full) refuse_delta(catalogue, orders.each[i][positions[i]]);
  }
  return plan_from(catalogue, orders, positions);
}

DeletionPlan plan_everything(const Catalogue& catalogue, bool force) {
  if (!force) {
    for (const Backup& backup : catalogue.backups()) {
      if (!backup.permanent && backup.permanence_known) continue;
      throw Error(Errc::usage, fmt::format("{} is permanent: nothing is deleted. FORCE deletes it too.", backup.name));
    }
    for (const UnfinishedBackup& unfinished : catalogue.unfinished()) {
      if (!unfinished.in_flight) continue;
      throw Error(Errc::usage, fmt::format("{} is being made: nothing is deleted. FORCE deletes what there is of it.",
                                           unfinished.name));
    }
  }
  DeletionPlan plan;
  for (std::size_t i = 0; i < catalogue.backups().size(); ++i) plan.backups.push_back(i);
  order_leaves_first(catalogue, plan.backups);
  for (std::size_t i = 0; i < catalogue.unfinished().size(); ++i) plan.unfinished.push_back(i);
  for (std::size_t i = 0; i < catalogue.wal().streams().size(); ++i) plan.wal.push_back({i, {0, no_last}});
  for (const HistoryObject& history : catalogue.wal().histories()) {
    plan.others.push_back(wal_object(history.name));
  }
  for (const OtherObject& other : catalogue.others()) plan.others.push_back(other.key);
  std::stable_partition(plan.others.begin(), plan.others.end(),
                        [](const std::string& key) { return key.ends_with(sentinel_suffix); });
  count_plan(catalogue, plan);
  plan.objects += catalogue.wal().objects() + catalogue.others().size();
  plan.bytes += catalogue.wal().bytes().bytes();
  plan.bytes_exact = catalogue.wal().bytes().exact();
  for (const OtherObject& other : catalogue.others()) plan.bytes += other.bytes;
  return plan;
}

DeletionPlan plan_target(const Catalogue& catalogue, const DeletionTarget& target) {
  std::size_t root = named_backup(catalogue, target);
  if (target.find_full) root = catalogue.base_of(root);
  DeletionPlan plan;
  plan.backups = catalogue.descendants(root);
  plan.backups.push_back(root);
  refuse_needed(catalogue, plan.backups);
  order_leaves_first(catalogue, plan.backups);
  for (std::size_t i = 0; i < catalogue.backups().size(); ++i) {
    if (std::find(plan.backups.begin(), plan.backups.end(), i) != plan.backups.end()) continue;
    plan.kept.push_back(
        {.backup = i, .reasons = {{Kind::not_named, {}}}, .long_term = catalogue.backups()[i].permanent});
  }
  count_plan(catalogue, plan);
  return plan;
}

std::optional<DeletionPlan> plan_garbage(const Catalogue& catalogue, GarbageScope scope, bool without_backup_check) {
  const bool any = std::any_of(catalogue.backups().begin(), catalogue.backups().end(),
                               [](const Backup& backup) { return !backup.permanent; });
  if (!any && !without_backup_check) return std::nullopt;
  KeptSet kept(catalogue);
  for (std::size_t i = 0; i < catalogue.backups().size(); ++i) {
    if (!catalogue.backups()[i].permanent) kept.keep(i, Kind::not_named);
  }
  if (without_backup_check) kept.sweep_all_wal();
  const auto sweep = scope == GarbageScope::backups    ? KeptSet::Sweep::backups
                     : scope == GarbageScope::archives ? KeptSet::Sweep::wal
                                                       : KeptSet::Sweep::backups_and_wal;
  return kept.plan(sweep, sweepable_remains(catalogue, std::nullopt));
}

}  // namespace seawall::archive
