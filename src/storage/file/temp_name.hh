#pragma once

#include <string>
#include <string_view>

#include "base/clock.hh"

namespace seawall::storage {

/// The name under which `name` is written until it is whole: `<name>.tmp.<YYYYMMDDThhmmssZ>-<16 random hex digits>`.
/// WAL-G hides exactly such names from its listings, and so do we.
std::string temp_name(std::string_view name, Time now);

/// Whether the last component of `key` has exactly that form. Names that only contain ".tmp." are objects.
bool is_temp_name(std::string_view key) noexcept;

}  // namespace seawall::storage
