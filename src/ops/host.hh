#pragma once

#include <cstdint>
#include <string>

namespace seawall::ops {

/// This machine's name, as WAL-G records it in sentinels; "unknown" if the system has none.
std::string host_name();

/// The largest resident size that this process has had, in bytes: for the final report of long work.
std::uint64_t peak_memory_bytes() noexcept;

}  // namespace seawall::ops
