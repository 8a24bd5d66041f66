#pragma once

#include <filesystem>
#include <string_view>

#include "base/clock.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// WAL-G's WALG_UPLOAD_WAL_METADATA: a small JSON object that tells when a WAL file was written.
enum class WalMetadataLevel { none, individual, bulk };
/// "NOMETADATA", "INDIVIDUAL", "BULK"; Errc::config on anything else.
WalMetadataLevel parse_wal_metadata_level(std::string_view text);

/// Stores `wal_005/NAME.json` (individual), or keeps it in `folder` and stores what was kept of 16 segments as
/// `wal_005/<first 23 digits>.json` with the last of them (bulk; other files than segments are passed over).
/// `folder`: of local state; without one (empty) bulk is refused with Errc::config.
void store_wal_metadata(const pipeline::Repository& repository, WalMetadataLevel level, std::string_view name,
                        Time written, const std::filesystem::path& folder, const Run& run);

}  // namespace seawall::ops
