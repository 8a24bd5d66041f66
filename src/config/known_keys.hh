#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace seawall::config {

/// A key of WAL-G for PostgreSQL. All of them are accepted, so that an existing configuration needs no edits; those
/// that no Setting declares are not acted on. A Setting of the same name comes first everywhere.
struct KnownKey {
  enum class Spelling {
    exact,    ///< as `name` says
    walg,     ///< WALG_name and WALE_name
    storage,  ///< name, WALG_name and WALE_name
  };
  std::string_view name;  ///< without the prefix unless `exact`
  Spelling spelling;
  std::string_view doc;
  bool secret = false;
};

std::span<const KnownKey> known_keys() noexcept;
/// The row that `key` (upper case) is a spelling of; null if there is none.
const KnownKey* find_known_key(std::string_view key) noexcept;
/// "WALG_S3_PREFIX", the spelling to use in help; and all of them, this one first.
std::string preferred_name(const KnownKey& key);
std::vector<std::string> spellings(const KnownKey& key);

/// PG*, AWS_* and OpenStack's OS_*: read by libraries from the environment (Sources::to_export), so every such name is
/// accepted.
bool is_library_key(std::string_view key) noexcept;

}  // namespace seawall::config
