#include "archive/backup_order.hh"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace seawall::archive {
namespace {

/// Backups of one timeline of one cluster, by start LSN.
using Branches = std::map<std::pair<std::optional<std::uint64_t>, Timeline>, std::vector<std::size_t>>;

/// "This one came before that one", as far as the WAL tells.
class Precedence {
 public:
  explicit Precedence(const Catalogue& catalogue)
      : catalogue_(catalogue), later_(catalogue.backups().size()), waits_for_(catalogue.backups().size()) {
    const Branches branches = find_branches();
    for (const auto& [branch, backups] : branches) {
      for (std::size_t i = 1; i < backups.size(); ++i) add(backups[i - 1], backups[i]);
      for (const HistoryEntry& ancestor : path_to(branch.second)) {
        const auto older = branches.find({branch.first, ancestor.timeline});
        if (older != branches.end()) add_switch(older->second, ancestor.end, backups.front());
      }
    }
    for (std::size_t i = 0; i < later_.size(); ++i) {
      if (const auto parent = catalogue.backups()[i].parent) add(*parent, i);
    }
  }

  const std::vector<std::size_t>& later(std::size_t backup) const { return later_[backup]; }
  std::vector<std::size_t> waits_for() const { return waits_for_; }

 private:
  Branches find_branches() const {
    Branches branches;
    for (std::size_t i = 0; i < catalogue_.backups().size(); ++i) {
      const Backup& backup = catalogue_.backups()[i];
      if (!backup.wal || !backup.sentinel || !backup.sentinel->start_lsn) continue;
      branches[{backup.system_identifier(), backup.wal->timeline}].push_back(i);
    }
    const auto start = [&](std::size_t i) {
      return std::pair(*catalogue_.backups()[i].sentinel->start_lsn, catalogue_.backups()[i].modified);
    };
    for (auto& [branch, backups] : branches) {
      std::sort(backups.begin(), backups.end(), [&](std::size_t a, std::size_t b) { return start(a) < start(b); });
    }
    return branches;
  }

  /// Histories of several clusters cannot be told apart.
  std::vector<HistoryEntry> path_to(Timeline timeline) const {
    return catalogue_.systems().size() > 1 ? std::vector<HistoryEntry>() : catalogue_.timelines().path(timeline);
  }

  void add_switch(const std::vector<std::size_t>& older, Lsn end, std::size_t first_after) {
    std::optional<std::size_t> last_before;
    for (const std::size_t backup : older) {
      if (catalogue_.backups()[backup].wal->reach <= end) last_before = backup;
    }
    if (last_before) add(*last_before, first_after);
  }

  void add(std::size_t before, std::size_t after) {
    if (before == after) return;
    later_[before].push_back(after);
    ++waits_for_[after];
  }

  const Catalogue& catalogue_;
  std::vector<std::vector<std::size_t>> later_;
  std::vector<std::size_t> waits_for_;
};

}  // namespace

Time time_of(const Backup& backup, BackupTime which) noexcept {
  switch (which) {
    case BackupTime::started:
      return backup.start_time();
    case BackupTime::finished:
      return backup.finish_time();
    case BackupTime::modified:
      break;
  }
  return backup.modified;
}

std::vector<std::size_t> order_by_time(const Catalogue& catalogue, BackupTime which) {
  std::vector<std::size_t> order(catalogue.backups().size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // The catalogue's own order decides between equal times: by modification, then by name.
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return time_of(catalogue.backups()[a], which) < time_of(catalogue.backups()[b], which);
  });
  return order;
}

std::vector<std::size_t> order_by_lineage(const Catalogue& catalogue, BackupTime which) {
  const Precedence precedence(catalogue);
  const std::vector<std::size_t> by_time = order_by_time(catalogue, which);
  std::vector<std::size_t> rank(by_time.size());
  for (std::size_t i = 0; i < by_time.size(); ++i) rank[by_time[i]] = i;
  std::vector<std::size_t> waits_for = precedence.waits_for();
  std::set<std::size_t> waiting;
  std::set<std::size_t> ready;
  for (std::size_t i = 0; i < rank.size(); ++i) (waits_for[i] == 0 ? ready : waiting).insert(rank[i]);
  std::vector<std::size_t> order;
  while (order.size() < rank.size()) {
    // Contradictions among the documents can make circles; time decides there.
    std::set<std::size_t>& from = ready.empty() ? waiting : ready;
    const std::size_t backup = by_time[*from.begin()];
    from.erase(from.begin());
    order.push_back(backup);
    for (const std::size_t later : precedence.later(backup)) {
      if (waits_for[later] == 0 || --waits_for[later] != 0) continue;
      if (waiting.erase(rank[later]) != 0) ready.insert(rank[later]);
    }
  }
  return order;
}

}  // namespace seawall::archive
