#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hh"

namespace seawall::archive {

/// Is `name` what seawall, WAL-G or WAL-E call a backup: base_ + 24 digits, then _D_ + 24 digits or _ + 8?
bool is_backup_name(std::string_view name) noexcept;

/// The objects under basebackups_005/NAME/, by one listing. Numbered parts are kept as ranges, so that a backup of
/// 10,000 parts takes no more than one of ten.
class BackupFolder {
 public:
  void add(std::string_view name, std::uint64_t bytes, Time modified);  ///< `name` under NAME/

  std::uint64_t objects() const noexcept { return objects_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  Time newest() const noexcept { return newest_; }  ///< modification time of its youngest object
  std::optional<Time> lease() const noexcept { return lease_; }
  bool has(std::string_view name) const noexcept;          ///< an object that is no numbered part
  bool has_part(std::string_view stem) const noexcept;     ///< tar_partitions/STEM with any codec's suffix
  std::uint64_t parts() const noexcept { return parts_; }  ///< under tar_partitions/
  /// Numbers that are missing among part_001 to the highest.
  std::vector<std::uint64_t> missing_parts() const;
  const std::vector<std::string>& empty_objects() const noexcept { return empties_; }  ///< parts of 0 bytes
  /// Every name under NAME/.
  void visit(const std::function<void(const std::string& name)>& visit) const;

 private:
  struct Parts {
    std::string suffix;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  void add_part(std::string_view part);

  std::vector<Parts> numbered_;
  std::vector<std::string> others_;
  std::vector<std::string> empties_;
  std::uint64_t objects_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t parts_ = 0;
  Time newest_{};
  std::optional<Time> lease_;
};

}  // namespace seawall::archive
