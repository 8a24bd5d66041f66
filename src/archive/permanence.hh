#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "archive/catalogue.hh"

namespace seawall::archive {

/// backup-mark: the backups whose metadata.json is to be changed, in that order; none: all is as wanted already.
/// Permanent: the backup and all it stands on, the full one first. Impermanent: only itself.
/// Errc::not_found: no such backup. Errc::incomplete: one of them has no metadata.json, or a parent is missing.
/// Errc::corrupt: one that cannot be read. Errc::usage: a permanent delta stands on what is to become impermanent.
std::vector<std::size_t> backups_to_mark(const Catalogue& catalogue, std::string_view name, bool permanent);

/// A metadata.json with another permanence and everything else of it, also what is unknown here, as it was.
/// Errc::corrupt naming `origin` if it is no such document.
std::string with_permanence(std::string_view metadata_json, bool permanent, std::string_view origin);

}  // namespace seawall::archive
