#include "archive/permanence.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "base/error.hh"

namespace seawall::archive {

std::vector<std::size_t> backups_to_mark(const Catalogue& catalogue, std::string_view name, bool permanent) {
  const std::vector<Backup>& backups = catalogue.backups();
  const auto found = catalogue.find(name);
  if (!found) throw Error(Errc::not_found, fmt::format("Backup '{}' does not exist.", name));
  std::vector<std::size_t> wanted{*found};
  if (permanent) {
    catalogue.base_of(*found);
    const std::vector<std::size_t> ancestors = catalogue.ancestors(*found);
    wanted.insert(wanted.end(), ancestors.begin(), ancestors.end());
    std::reverse(wanted.begin(), wanted.end());
  } else {
    for (const std::size_t child : backups[*found].children) {
      if (!backups[child].permanent) continue;
      throw Error(Errc::usage,
                  fmt::format("{} stays permanent: {}, which stands on it, is", name, backups[child].name));
    }
  }
  std::vector<std::size_t> marked;
  for (const std::size_t backup : wanted) {
    if (!backups[backup].permanence_known) {
      throw Error(Errc::corrupt, fmt::format("{} cannot be read", metadata_object(backups[backup].name)));
    }
    if (!backups[backup].metadata) {
      throw Error(Errc::incomplete, fmt::format("{} is missing: there is nothing to mark {} in",
                                                metadata_object(backups[backup].name), backups[backup].name));
    }
    if (backups[backup].permanent != permanent) marked.push_back(backup);
  }
  return marked;
}

}  // namespace seawall::archive
