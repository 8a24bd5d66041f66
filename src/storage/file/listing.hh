#pragma once

#include <stop_token>
#include <string>

#include "base/file.hh"
#include "storage/store.hh"

namespace seawall::storage {

/// What a file's status says of the object `key`.
ObjectInfo info_of(std::string key, const struct stat& status);

/// Lists the objects below the open directory `root` as Store::list() asks, in byte order of whole keys. One directory
/// is read and sorted at a time, about 40 bytes per entry; files are looked at only when their turn comes.
/// `description` names the store in messages.
void list_files(const Fd& root, const std::string& description, const ListOptions& options, const Store::Visit& visit,
                const Store::VisitPrefix& visit_prefix, const std::stop_token& stop);

}  // namespace seawall::storage
