#pragma once

#include <string_view>

namespace seawall::detail {

/// Writes to a descriptor that belongs to the user (stderr, a terminal), in one write(2) unless that falls short.
/// What cannot be written is dropped: there is nobody left to tell, and the work must go on.
void put_line(int fd, std::string_view line) noexcept;

}  // namespace seawall::detail
