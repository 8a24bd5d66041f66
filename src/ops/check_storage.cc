#include "ops/check_storage.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <random>
#include <vector>

#include "pipeline/object_reader.hh"
#include "storage/contract/store_contract.hh"

namespace seawall::ops {
namespace {

constexpr std::string_view probe_content = "test";

std::string new_name() {
  std::random_device random;
  std::string name;
  for (int i = 0; i < 4; ++i) name += fmt::format("{:08x}", random());
  return name;
}

}  // namespace

void check_reading(const pipeline::Repository& repository, std::span<const std::string> names, const Run& run) {
  repository.store->list(
      {.prefix = repository.prefix}, [](const storage::ObjectInfo&) { return false; }, run.stop);
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (!repository.store->stat(repository.key(name), run.stop)) missing.push_back(name);
  }
  if (missing.empty()) return;
  throw Error(Errc::not_found, fmt::format("not in {}: {}", repository.store->description(), fmt::join(missing, ", ")));
}

void check_writing(const pipeline::Repository& repository, const Run& run) {
  const std::string name = new_name();
  const std::vector<std::string> keys{repository.key(name)};
  repository.store->put(keys.front(), bytes_of(probe_content), {}, run.stop);
  const std::optional<std::string> read = pipeline::try_get(repository, name, run.stop);
  for (const storage::RemoveFailure& failure : repository.store->remove(keys, run.stop)) {
    throw Error(Errc::denied, fmt::format("{} cannot be removed: {}", failure.key, failure.reason));
  }
  if (read == probe_content) return;
  throw Error(Errc::corrupt, fmt::format("{}: what was written does not come back", keys.front()));
}

void check_contract(const pipeline::Repository& repository, const std::function<void(const StorageCheck&)>& visit,
                    const Run& run) {
  const std::string prefix = repository.key("seawall_005/storage_check_" + new_name() + "/");
  for (const storage::contract::StoreCheck& check : storage::contract::store_checks()) {
    run.check();
    StorageCheck result{check.name, {}};
    try {
      storage::contract::run_check(check, *repository.store, prefix);
    } catch (const Error& error) {
      const bool is_about_the_promise = error.code() == Errc::bug || error.code() == Errc::unsupported;
      if (!is_about_the_promise) throw;
      result.failure = error.what();
    }
    visit(result);
  }
}

}  // namespace seawall::ops
