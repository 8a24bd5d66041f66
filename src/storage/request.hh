#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <string_view>

#include "storage/store.hh"

namespace seawall::storage {

/// What every driver checks before it acts on a request.

/// Why `key` cannot be a key; empty if it can.
std::string_view key_fault(std::string_view key) noexcept;

/// Errc::cancelled once `stop` was requested; `operation` and `key` say what is not done.
void check_stop(const std::stop_token& stop, std::string_view operation, std::string_view key);

/// check_stop, check_key, and Errc::usage for options that contradict each other.
void check_put(const std::stop_token& stop, std::string_view operation, std::string_view key,
               const PutOptions& options);

/// The size of the object that `parts` make. Errc::bug unless they are numbered from 1 and each starts where the one
/// before ends.
std::uint64_t total_bytes(std::string_view key, std::span<const Part> parts);

/// Errc::differs naming `key` unless `current` is that version.
void check_version(std::string_view key, const ObjectInfo* current, std::string_view version);

/// `range` within an object of `bytes`: where it starts and how much of it there is.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
Extent clip(const Range& range, std::uint64_t bytes) noexcept;

}  // namespace seawall::storage
