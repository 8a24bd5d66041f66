#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/io.hh"

namespace seawall::archive {

/// A file that a server's backup_manifest lists. The view lives as long as the call that hands it over.
struct ServerManifestFile {
  std::string_view path;  ///< "base/1/1259", "pg_tblspc/16385/PG_15_202209061/5/16390"
  std::uint64_t bytes = 0;
  std::optional<std::uint32_t> crc32c;  ///< nothing: another kind of checksum, or none
};

/// Reads backup_manifest as servers from 13 on write it (PostgreSQL's documentation, "Backup Manifest Format"), one
/// file at a time. Errc::corrupt naming `origin` if it is no such document.
void read_server_manifest(Source& from, std::string_view origin,
                          const std::function<void(const ServerManifestFile&)>& visit);

}  // namespace seawall::archive
