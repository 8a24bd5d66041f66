#pragma once

#include <string>
#include <string_view>

#include "ops/dump.hh"

namespace seawall::ops {

/// "pg_dump", or the one that SEAWALL_PG_BINDIR says.
std::string client_program(const DumpSettings& settings, std::string_view name);
/// `database "app"`, or "the globals", for messages.
std::string spoken_database(std::string_view database);

}  // namespace seawall::ops
