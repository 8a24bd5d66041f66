#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "archive/sentinel.hh"

namespace seawall::ops {

/// The directory that a restore fills, from the first check to the moment when everything in it is durable.
class RestoreDestination {
 public:
  /// Checks without changing anything: no server runs on `directory`; it is absent, empty, or holds nothing but
  /// configuration, recovery.conf and signal files, which stay, and the links of `spec` in pg_tblspc, made beforehand.
  /// The same for every tablespace location of `spec`, which must hold nothing at all. Errors: in_use, exists (naming
  /// what is in the way), denied.
  RestoreDestination(std::filesystem::path directory, archive::TablespaceSpec spec);

  /// Creates what is missing, the marker first, and the links of the tablespaces under this directory.
  void prepare();
  /// Flushes every file system concerned, gives pg_control its name and removes the marker. `durable` false (
  /// WALG_TAR_DISABLE_FSYNC) leaves the flushing to the operator.
  void finish(bool durable);

  const std::filesystem::path& directory() const noexcept { return directory_; }
  /// Files that stood there before, by name within the directory.
  const std::vector<std::string>& kept() const noexcept { return kept_; }

  static constexpr std::string_view marker = "seawall_restore_incomplete";

 private:
  void check_directory();
  void check_prepared_links() const;
  void check_location(const std::filesystem::path& location) const;

  const std::filesystem::path directory_;
  const archive::TablespaceSpec spec_;
  std::vector<std::string> kept_;
};

}  // namespace seawall::ops
