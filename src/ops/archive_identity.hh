#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// Which cluster an archive belongs to: `seawall_005/identity.json`, made by the first push with a conditional put
/// (docs/formats/identity.md).
inline constexpr std::string_view identity_object = "seawall_005/identity.json";

/// The store and the prefix in it, without credentials: "file:///backups/cluster1".
std::string archive_address(const pipeline::Repository& repository);

/// The system identifier of the cluster whose archive this is: as the identity object says, else as the newest
/// sentinel, else as the first readable WAL segment. Nothing for an archive that holds none of them. Reads only.
/// Errc::corrupt if the identity object is no such document.
std::optional<std::uint64_t> find_archive_identity(const pipeline::Repository& repository, const Run& run);

/// Returns if the archive is that cluster's. An archive of nobody becomes this cluster's (of two that try at once the
/// store picks one). Errc::foreign, naming both, if it is another one's. Any thread.
///
/// `cache_file`: where the answer is kept for an hour, so that most pushes need not ask the store; its loss and its
/// content are harmless: it is believed only when it agrees. Empty: ask every time.
void check_archive_identity(const pipeline::Repository& repository, std::uint64_t system_identifier, const Run& run,
                            const std::filesystem::path& cache_file = {});

}  // namespace seawall::ops
