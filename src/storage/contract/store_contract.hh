#pragma once

#include <span>
#include <string_view>

#include "storage/store.hh"

namespace seawall::storage::contract {

/// One promise of storage::Store, tried out. No test framework is needed, so that the same checks can be run by a
/// command against a store in use.
struct StoreCheck {
  std::string_view name;  ///< "put_if_absent_keeps_what_is_there"
  /// Throws Error naming the promise that was broken. Touches only keys that begin with `prefix`.
  void (*run)(storage::Store& store, std::string_view prefix);
};

/// Every check that a driver or wrapper has to pass.
std::span<const StoreCheck> store_checks();

/// Runs `check` below `prefix` ("" or "some/where/", nothing else is there) and removes what it left, whatever happens.
void run_check(const StoreCheck& check, storage::Store& store, std::string_view prefix);

}  // namespace seawall::storage::contract
