#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace seawall::config {

/// A directory whose files are environment variables, as daemontools' envdir reads it: the name is the file's, the
/// value its first line without blanks and tabs at the end, NULs in it standing for line breaks. An empty file unsets
/// the variable: no value. Files whose names begin with a dot are passed over. In byte order.
/// Errc::not_found and denied naming the directory or file, config for a name with '=' and for what is no file.
std::vector<std::pair<std::string, std::optional<std::string>>> read_envdir(const std::string& directory);

}  // namespace seawall::config
