#pragma once

#include <memory>

#include "storage/store.hh"

namespace seawall::storage {

/// Objects in memory: for tests of everything above. Modification times come from `clock`.
std::unique_ptr<Store> make_memory_store(Clock& clock);

}  // namespace seawall::storage
