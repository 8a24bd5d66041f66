#pragma once

#include <span>
#include <string>
#include <vector>

namespace seawall {

/// Runs as WAL-E would: under the name wal-e, or as `seawall wal-e …`, of which `child_words` are the words that a
/// child of ours is to be given first. Returns the exit status.
int start_wal_e(std::span<const char* const> arguments, std::vector<std::string> child_words, const char* program_path);

}  // namespace seawall
