#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// Lists the archive's folder and looks for `names` in it. Errc::not_found naming those that are missing.
void check_reading(const pipeline::Repository& repository, std::span<const std::string> names, const Run& run);

/// Puts a small object of a new name, reads it back and removes it. Errc::corrupt if other bytes came back.
void check_writing(const pipeline::Repository& repository, const Run& run);

/// One promise that every storage of seawall's must keep, tried out.
struct StorageCheck {
  std::string_view name;  ///< "put_if_absent_keeps_what_is_there"
  std::string failure;    ///< empty: kept
};

/// Tries every promise under a new name in the archive, which is removed again, and hands each result to `visit`.
/// What the storage is refused altogether (Errc::denied, network, …) escapes.
void check_contract(const pipeline::Repository& repository, const std::function<void(const StorageCheck&)>& visit,
                    const Run& run);

}  // namespace seawall::ops
