#pragma once

#include <filesystem>
#include <string_view>

#include "storage/s3/s3_store.hh"

namespace seawall::storage::s3 {

/// Keeps the answer in a small file of its own: one line for the store that `place` names (Store::description() or the
/// settings that make it up). Another store's line, a torn one and a file that cannot be written only cost requests.
/// Several processes may share it.
PutIfAbsentCache put_if_absent_in(std::filesystem::path file, std::string_view place);

}  // namespace seawall::storage::s3
