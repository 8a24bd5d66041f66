#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.hh"

namespace seawall::ops {

/// What a wal-push leaves for the later calls of the neighbours that it archived on the way.
struct Receipt {
  std::string name;  ///< of the WAL file, in full
  Digest digest;     ///< of its content
  std::uint64_t bytes = 0;
  std::string repository;               ///< archive_address()
  std::uint64_t system_identifier = 0;  ///< 0 for a file that carries none
  bool operator==(const Receipt&) const = default;
};

/// The folder `walg_archive_status` of receipts, one small JSON file each (docs/formats/receipts.md). A receipt is a
/// claim to be checked against the file, never a proof: what is lost, torn or left by another tool only costs time.
/// Any thread, as long as no two write the same name.
class Receipts {
 public:
  explicit Receipts(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Nothing if there is none; a file that is no receipt (WAL-G's markers are empty) is removed.
  std::optional<Receipt> find(std::string_view name) const;
  bool holds(std::string_view name) const;
  /// Whole or not at all, but not durable: after a crash the file is just pushed again.
  void write(const Receipt& receipt) const;
  void remove(std::string_view name) const noexcept;

  const std::filesystem::path& folder() const noexcept { return folder_; }

 private:
  std::filesystem::path folder_;
};

/// Where WAL-G keeps such state: PGDATA/pg_wal/walg_data (pg_xlog before 10) if `pgdata` is a data directory, else
/// walg_data beside `wal_file` if that lies in a pg_wal or has an archive_status beside it. Nothing otherwise: there is
/// no place that nobody else could write to.
std::optional<std::filesystem::path> wal_state_folder(const std::filesystem::path& pgdata,
                                                      const std::filesystem::path& wal_file);

}  // namespace seawall::ops
