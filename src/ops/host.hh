#pragma once

#include <string>

namespace seawall::ops {

/// This machine's name, as WAL-G records it in sentinels; "unknown" if the system has none.
std::string host_name();

}  // namespace seawall::ops
