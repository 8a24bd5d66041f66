#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace seawall::config {

/// What the content of a variable's file comes to: its first line without blanks and tabs at the end, NULs in it
/// standing for line breaks.
std::string envdir_value(std::string_view content);

/// A directory whose files are environment variables, as daemontools' envdir reads it: the name is the file's, the
/// value envdir_value() of its content. An empty file unsets the variable: no value. Files whose names begin with a dot
/// are passed over. In byte order. Errc::not_found and denied naming the directory or file, config for a name with '='
/// and for what is no file.
std::vector<std::pair<std::string, std::optional<std::string>>> read_envdir(const std::string& directory);

}  // namespace seawall::config
