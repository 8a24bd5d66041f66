#include "storage/contract/store_contract.hh"

#include "storage/contract/subject.hh"

namespace seawall::storage::contract {
namespace {

/// Removes everything below the prefix when the check is over.
class Sweep {
 public:
  Sweep(storage::Store& store, std::string_view prefix) : store_(store), prefix_(prefix) {}
  ~Sweep() {
    try {
      sweep();
    } catch (const Error&) {
      // The check that failed before has more to tell.
    }
  }
  void sweep() {
    std::vector<std::string> keys;
    store_.list({.prefix = prefix_},
                [&](const storage::ObjectInfo& object) { return keys.push_back(object.key), true; }, {});
    const auto failures = store_.remove(keys, {});
    if (!failures.empty()) throw Error(Errc::bug, fmt::format("{}: {}", failures[0].key, failures[0].reason));
  }

 private:
  storage::Store& store_;
  std::string prefix_;
};

}  // namespace

std::span<const StoreCheck> store_checks() {
  static const std::vector<StoreCheck> all = [] {
    std::vector<StoreCheck> checks;
    for (const auto part : {object_checks(), upload_checks(), list_checks(), thread_checks()}) {
      checks.insert(checks.end(), part.begin(), part.end());
    }
    return checks;
  }();
  return all;
}

void run_check(const StoreCheck& check, storage::Store& store, std::string_view prefix) {
  Subject subject(store, prefix);
  expect_equal(subject.list(), {}, "nothing is there before the check");
  Sweep sweep(store, prefix);
  check.run(store, prefix);
  sweep.sweep();
  expect_equal(subject.list(), {}, "remove() leaves nothing of what was put");
}

}  // namespace seawall::storage::contract
