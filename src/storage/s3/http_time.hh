#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.hh"

namespace seawall::storage::s3 {

/// The date of HTTP's headers, "Sat, 21 Nov 2026 05:12:22 GMT"; nothing on anything else.
std::optional<Time> parse_http_time(std::string_view text);

/// "bytes 1-2/300".
struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  ///< inclusive
  std::uint64_t whole = 0;
};
/// Nothing on anything else, nor on numbers that contradict each other.
std::optional<ContentRange> parse_content_range(std::string_view text);

}  // namespace seawall::storage::s3
