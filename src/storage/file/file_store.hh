#pragma once

#include <filesystem>
#include <memory>

#include "storage/store.hh"

namespace seawall::storage {

/// A directory as a store, laid out as WAL-G's file storage: WALG_FILE_PREFIX, the key is the relative path.
///
/// An object is written to `<name>.tmp.<YYYYMMDDThhmmssZ>-<16 hex>` in its directory, past the page cache where that
/// works, fsynced, renamed, and the directory fsynced. Such temporary names are hidden from listings. Directories are
/// made when the first object needs them (0755) and removed when the last one is gone; reading makes none.
/// `root` must exist, and stay: Errc::config otherwise, for a path misspelt or a volume not mounted must not be filled
/// silently. `clock` must outlive it. if_version is exact among stores of this kind, in any process; not against a
/// plain put.
std::unique_ptr<Store> make_file_store(const std::filesystem::path& root, Clock& clock);

}  // namespace seawall::storage
