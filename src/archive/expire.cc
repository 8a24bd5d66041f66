#include "archive/expire.hh"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>
#include <vector>

#include "archive/backup_order.hh"
#include "archive/detail/kept_set.hh"
#include "base/error.hh"

namespace seawall::archive {
namespace {

using Kind = KeepReason::Kind;
using Order = std::vector<std::size_t>;  ///< backups of one cluster, oldest first
using Days = std::chrono::sys_days;

/// Clocks differ a little; a backup from further ahead was made by a wrong one.
constexpr std::chrono::hours tolerated_future{1};

/// The ISO week's Thursday decides its year; the week is named by its Monday.
Days week_of(Days day) { return day - (std::chrono::weekday(day) - std::chrono::Monday); }
Days month_of(Days day) {
  const std::chrono::year_month_day date(day);
  return Days(date.year() / date.month() / std::chrono::day(1));
}
Days year_of(Days day) { return Days(std::chrono::year_month_day(day).year() / std::chrono::January / 1); }

class Expiry {
 public:
  Expiry(const Catalogue& catalogue, const ExpireRules& rules)
      : catalogue_(catalogue), rules_(rules), kept_(catalogue) {}

  DeletionPlan plan() {
    for (const bool by_lineage : {false, true}) {
      const Order all = by_lineage ? order_by_lineage(catalogue_, BackupTime::finished)
                                   : order_by_time(catalogue_, BackupTime::finished);
      for (const Order& cluster : clusters(all)) {
        keep_newest_fulls(cluster);
        keep_window(cluster);
        keep_periods(cluster);
      }
      for (const Order& cluster : clusters(all)) keep_at_least(cluster);
      for (const Order& cluster : clusters(all)) keep_young_damaged(cluster);
    }
    return kept_.plan(KeptSet::Sweep::backups_and_wal, sweepable_remains(catalogue_, std::nullopt));
  }

 private:
  Time time(std::size_t backup) const { return catalogue_.backups()[backup].finish_time(); }
  bool restorable(std::size_t backup) const { return catalogue_.backups()[backup].restorable; }
  bool in_future(std::size_t backup) const { return time(backup) > catalogue_.settings().now + tolerated_future; }

  /// Backups of each cluster that count, and damaged ones; those of the future stay and are in no rule's way.
  std::vector<Order> clusters(const Order& all) {
    std::vector<std::optional<std::uint64_t>> systems{std::nullopt};
    systems.insert(systems.end(), catalogue_.systems().begin(), catalogue_.systems().end());
    std::vector<Order> orders;
    for (const auto& system : systems) {
      Order order;
      for (const std::size_t backup : all) {
        if (catalogue_.backups()[backup].system_identifier() != system) continue;
        if (in_future(backup)) {
          kept_.keep(backup, Kind::future);
        } else {
          order.push_back(backup);
        }
      }
      orders.push_back(std::move(order));
    }
    return orders;
  }

  void keep_newest_fulls(const Order& order) {
    if (rules_.keep_full.value_or(0) == 0) return;
    const std::string rule = fmt::format("keep-full {}", *rules_.keep_full);
    unsigned found = 0;
    std::size_t from = 0;
    for (std::size_t i = order.size(); i-- > 0 && found < *rules_.keep_full;) {
      if (!restorable(order[i]) || catalogue_.backups()[order[i]].is_delta()) continue;
      ++found;
      from = i;
    }
    // Fewer than asked for: everything is newer than the oldest one that is missing.
    if (found < *rules_.keep_full) from = 0;
    for (std::size_t i = from; i < order.size(); ++i) kept_.keep(order[i], Kind::rule, rule);
  }

  /// Everything of the window, and on each way to its end the last backup before it.
  void keep_window(const Order& order) {
    if (rules_.keep_days.value_or(0) == 0) return;
    const std::string rule = fmt::format("keep-days {}", *rules_.keep_days);
    const Time start = catalogue_.settings().now - std::chrono::hours(24) * *rules_.keep_days;
    for (const std::size_t backup : order) {
      if (time(backup) > start) kept_.keep(backup, Kind::rule, rule);
    }
    for (const Timeline end : living_timelines(order, start)) keep_way_to(end, order, start, rule);
    for (std::size_t i = order.size(); i-- > 0;) {
      if (!restorable(order[i]) || time(order[i]) > start) continue;
      kept_.keep(order[i], Kind::rule, rule);
      return;
    }
  }

  /// Timelines on which a moment of the window may lie: WAL of them came since it began.
  std::set<Timeline> living_timelines(const Order& order, Time start) const {
    std::set<Timeline> living;
    for (const auto& [timeline, wal] : catalogue_.wal().timelines()) {
      if (wal.last_modified >= start) living.insert(timeline);
    }
    for (const std::size_t backup : order) {
      if (time(backup) > start && catalogue_.backups()[backup].wal) {
        living.insert(catalogue_.backups()[backup].wal->timeline);
      }
    }
    return living;
  }

  /// The last backup before the window that recovery can reach `end` from. Where no history says which that is, of each
  /// timeline that it may be on: the last, and the last that ended before `end` can have begun.
  void keep_way_to(Timeline end, const Order& order, Time start, const std::string& rule) {
    std::set<Timeline> perhaps;
    std::set<Timeline> surely;
    for (std::size_t i = order.size(); i-- > 0;) {
      const std::optional<BackupWal>& wal = catalogue_.backups()[order[i]].wal;
      if (!wal || !restorable(order[i]) || time(order[i]) > start) continue;
      const TimelineTree::Reach reach = catalogue_.timelines().reaches(wal->timeline, wal->reach, end);
      if (reach == TimelineTree::Reach::no) continue;
      if (reach == TimelineTree::Reach::unknown) {
        const bool last = perhaps.insert(wal->timeline).second;
        const bool before = wal->last <= first_segment(wal->timeline, end) && surely.insert(wal->timeline).second;
        if (!last && !before) continue;
      }
      kept_.keep(order[i], Kind::rule, rule);
      if (reach == TimelineTree::Reach::yes) return;
    }
  }

  /// The lowest segment of the timelines after `after` up to `last`.
  std::uint64_t first_segment(Timeline after, Timeline last) const {
    std::uint64_t first = no_last;
    for (const auto& [timeline, wal] : catalogue_.wal().timelines()) {
      if (timeline > after && timeline <= last) first = std::min(first, wal.listed.first());
    }
    return first;
  }

  void keep_periods(const Order& order) {
    keep_last_of(order, rules_.keep_daily, "daily", Kind::rule, [](Days day) { return day; });
    keep_last_of(order, rules_.keep_weekly, "weekly", Kind::long_rule, week_of);
    keep_last_of(order, rules_.keep_monthly, "monthly", Kind::long_rule, month_of);
    keep_last_of(order, rules_.keep_yearly, "yearly", Kind::long_rule, year_of);
  }

  void keep_last_of(const Order& order, std::optional<unsigned> count, std::string_view name, Kind kind,
                    const std::function<Days(Days)>& period_of) {
    std::set<Days> periods;
    for (std::size_t i = order.size(); i-- > 0;) {
      if (!restorable(order[i])) continue;
      const Days period = period_of(std::chrono::floor<std::chrono::days>(time(order[i])));
      if (periods.contains(period)) continue;
      if (periods.size() >= count.value_or(0)) continue;
      periods.insert(period);
      kept_.keep(order[i], kind, fmt::format("keep-{} {}", name, *count));
    }
  }

  std::size_t family_of(std::size_t backup) const {
    const std::vector<std::size_t> ancestors = catalogue_.ancestors(backup);
    return ancestors.empty() ? backup : ancestors.back();
  }

  /// Deltas of one full backup are lost together with it: only families count.
  void keep_at_least(const Order& order) {
    if (rules_.keep_at_least.value_or(0) == 0) return;
    std::set<std::size_t> families;
    for (const std::size_t backup : order) {
      if (kept_.kept(backup) && restorable(backup)) families.insert(family_of(backup));
    }
    for (std::size_t i = order.size(); i-- > 0 && families.size() < *rules_.keep_at_least;) {
      if (!restorable(order[i]) || !families.insert(family_of(order[i])).second) continue;
      kept_.keep(order[i], Kind::rule, fmt::format("keep-at-least {}", *rules_.keep_at_least));
    }
  }

  void keep_young_damaged(const Order& order) {
    bool younger = false;
    for (const std::size_t backup : order) {
      younger = younger || (kept_.kept(backup) && restorable(backup) && !kept_.kept_for_long(backup));
      if (younger && !restorable(backup)) kept_.keep(backup, Kind::damaged);
    }
    // A cluster of which nothing restores is not swept unseen.
    if (!std::any_of(order.begin(), order.end(), [&](std::size_t backup) { return restorable(backup); })) {
      for (const std::size_t backup : order) kept_.keep(backup, Kind::damaged);
    }
  }

  const Catalogue& catalogue_;
  const ExpireRules& rules_;
  KeptSet kept_;
};

}  // namespace

DeletionPlan plan_expire(const Catalogue& catalogue, const ExpireRules& rules) {
  const auto wants = [](const std::optional<unsigned>& rule) { return rule.value_or(0) != 0; };
  if (!wants(rules.keep_full) && !wants(rules.keep_days) && !wants(rules.keep_daily) && !wants(rules.keep_weekly) &&
      !wants(rules.keep_monthly) && !wants(rules.keep_yearly) && !wants(rules.keep_at_least)) {
    throw Error(Errc::usage, "no rule says what to keep: give --keep-full, --keep-days or another");
  }
  return Expiry(catalogue, rules).plan();
}

}  // namespace seawall::archive
