#include "ops/delete_objects.hh"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "archive/deletion_invariant.hh"
#include "archive/layout.hh"

namespace seawall::ops {
namespace {

/// S3 takes at most 1,000 keys a request; other stores do not mind.
constexpr std::size_t keys_per_batch = 1000;

class Deletion {
 public:
  Deletion(const pipeline::Repository& repository, const Run& run) : repository_(repository), run_(run) {}

  void add(const std::string& key) {
    batch_.push_back(repository_.key(key));
    if (batch_.size() == keys_per_batch) flush();
  }

  void flush() {
    if (batch_.empty()) return;
    run_.check();
    const std::vector<storage::RemoveFailure> failures = repository_.store->remove(batch_, run_.stop);
    done_ += batch_.size() - failures.size();
    failed_ += failures.size();
    if (first_failure_.empty() && !failures.empty()) {
      first_failure_ = fmt::format("{}: {}", failures.front().key, failures.front().reason);
    }
    batch_.clear();
  }

  /// Whatever could not be removed ends the deletion here.
  void require_all_gone(std::string_view what) const {
    if (failed_ == 0) return;
    throw Error(Errc::denied, fmt::format("{} of {} could not be removed, {} objects are gone: {}", failed_, what,
                                          done_, first_failure_));
  }

  std::uint64_t done() const noexcept { return done_; }

 private:
  const pipeline::Repository& repository_;
  const Run& run_;
  std::vector<std::string> batch_;
  std::uint64_t done_ = 0;
  std::uint64_t failed_ = 0;
  std::string first_failure_;
};

/// Names are used again: a sentinel that is younger than the plan's is another backup's.
void require_same_backups(const archive::Catalogue& then, const archive::Catalogue& now,
                          const archive::DeletionPlan& plan) {
  for (const std::size_t index : plan.backups) {
    const archive::Backup& backup = then.backups()[index];
    const auto found = now.find(backup.name);
    if (!found || now.backups()[*found].modified == backup.modified) continue;
    throw Error(Errc::in_use,
                fmt::format("{} was made anew while the plan was made, so nothing is deleted", backup.name));
  }
}

}  // namespace

void require_safe(const archive::Catalogue& catalogue, const archive::DeletionPlan& plan, bool in_flight_may_go) {
  const auto violation = archive::first_violation(catalogue, plan, in_flight_may_go);
  if (!violation) return;
  throw Error(Errc::bug, fmt::format("the plan is not safe, so nothing is deleted: {}", *violation));
}

std::uint64_t delete_planned(const pipeline::Repository& repository, const archive::Catalogue& catalogue,
                             const archive::DeletionPlan& plan, const CatalogueRequest& request, bool in_flight_may_go,
                             const Run& run) {
  require_safe(catalogue, plan, in_flight_may_go);
  const auto keys = [&](const auto& visit) { plan.visit(catalogue, visit); };
  {
    const archive::Catalogue now = load_catalogue(repository, request, run);
    require_same_backups(catalogue, now, plan);
    const archive::InvariantScope scope{.long_term = plan.long_term(catalogue), .in_flight_may_go = in_flight_may_go};
    if (const auto violation = archive::first_violation(now, keys, scope)) {
      throw Error(Errc::in_use,
                  fmt::format("the archive changed while the plan was made, so nothing is deleted: {}", *violation));
    }
  }
  Deletion deletion(repository, run);
  std::size_t position = 0;
  std::size_t depth = 0;
  plan.visit(catalogue, [&](const std::string& key) {
    if (position < plan.sentinels()) {
      // One request removes its keys in no order: so one for every level of the chains.
      const std::size_t stands_on = catalogue.ancestors(plan.backups[position]).size();
      if (stands_on != depth) {
        deletion.flush();
        deletion.require_all_gone("the sentinels");
      }
      depth = stands_on;
    } else if (position == plan.sentinels()) {
      deletion.flush();
      deletion.require_all_gone("the sentinels");
    }
    ++position;
    deletion.add(key);
  });
  deletion.flush();
  deletion.require_all_gone("the objects");
  return deletion.done();
}

}  // namespace seawall::ops
