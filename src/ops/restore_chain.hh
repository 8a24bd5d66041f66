#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "archive/files_metadata.hh"
#include "archive/manifest.hh"
#include "archive/sentinel.hh"
#include "base/run.hh"
#include "ops/member_set.hh"
#include "ops/restore_only.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// Which files of a backup a restore is to bring.
class RestoreFilter {
 public:
  /// `mask`: glob over paths within the directory; empty: everything. Errc::usage if it is malformed.
  explicit RestoreFilter(std::string mask);

  bool wants(std::string_view relative) const;
  bool wants_everything() const noexcept { return mask_.empty() && !only; }
  bool has_mask() const noexcept { return !mask_.empty(); }

  std::optional<RestoreOnly> only;  ///< sealed

 private:
  std::string mask_;
};

/// pg_control, backup_label and tablespace_map: members that belong to a backup and not to its list of files, although
/// backups over the replication protocol list them.
bool is_utility(std::string_view relative) noexcept;
/// A member's name without "/" and "./" before it, as the two kinds of backups spell it.
std::string_view without_root(std::string_view member_name) noexcept;

/// One backup of the chain with what its documents say of it.
struct RestoreLevel {
  std::string name;
  archive::Sentinel sentinel;
  std::vector<storage::ObjectInfo> parts;  ///< largest first
  std::optional<MemberSet> files;          ///< without utilities and what the filter leaves out; nothing: no list
  std::string lists_key;                   ///< of the object that holds Files and TarFileSets
  std::optional<archive::Manifest> manifest;
  std::set<std::string, std::less<>> listed_parts;  ///< that TarFileSets names
  bool has_control_part = true;                     ///< WAL-E's backups have pg_control among the files
  std::optional<std::uint64_t> wal_e_bytes;         ///< of the files that WAL-E set out to store
  bool needs_label = true;                          ///< false: WAL-E's, of a cluster that was shut down
};

/// The backup to restore, and those that it stands on.
class RestoreChain {
 public:
  /// Reads every document, and says what can be known to be missing: Errc::not_found, incomplete, corrupt, naming the
  /// object. `only`: the value of --restore-only, empty if not given.
  static RestoreChain load(const pipeline::Repository& repository, const std::string& backup, RestoreFilter filter,
                           std::string_view only, const Run& run);

  /// Full backup first.
  std::vector<RestoreLevel>& levels() noexcept { return levels_; }
  const std::vector<RestoreLevel>& levels() const noexcept { return levels_; }
  RestoreLevel& newest() noexcept { return levels_.back(); }
  const RestoreFilter& filter() const noexcept { return filter_; }

  /// Does every backup above this one leave the file to those below? True of the newest.
  bool asked_for(std::size_t index, MemberSet::Key file) const noexcept;
  /// Where files were to come from this level and did not. `backwards`: what is complete is no matter.
  void check_brought(std::size_t index, bool backwards) const;
  /// The last word, whatever the older backups listed: each file of the newest one is there.
  void check_complete() const;
  /// Parts of which something is wanted that is not complete yet. Parts whose content is not listed count as wanted.
  std::set<std::string, std::less<>> useful_parts(std::size_t index) const;
  /// Errc::corrupt if the backup's seawall.json does not have the part.
  const archive::ManifestObject* manifest_of(const RestoreLevel& level, const storage::ObjectInfo& part) const;
  /// Stored before the backup was begun, so that another attempt under its name may have left it. Only what has no
  /// lists of parts is judged by its time.
  bool may_be_left_over(const RestoreLevel& level, const storage::ObjectInfo& part) const noexcept;
  /// "part_001.tar.lz4"
  std::string_view file_of(const RestoreLevel& level, const storage::ObjectInfo& part) const;

 private:
  RestoreChain(const pipeline::Repository& repository, RestoreFilter filter, const Run& run)
      : repository_(repository), filter_(std::move(filter)), run_(run) {}
  void load_level(RestoreLevel& level, std::string_view only);
  void load_manifest(RestoreLevel& level) const;
  void read_lists(const RestoreLevel& level, Source& source, const archive::FilesMetadataEvents& events) const;
  void load_stop_of_wal_e(RestoreLevel& level) const;
  std::unique_ptr<Source> open_lists(RestoreLevel& level) const;
  void choose(RestoreLevel& level, std::string_view only);
  void load_files(RestoreLevel& level);
  void check_volumes(RestoreLevel& level) const;
  void load_parts(RestoreLevel& level);
  /// Two pushes from one restart point of a standby have one name, and the second, or a second try, overwrites only
  /// what it has as well. Takes out parts that this backup's lists show to be another attempt's.
  void drop_leftovers(RestoreLevel& level);
  bool listed_parts_bring_everything(RestoreLevel& level);
  void check_parts(RestoreLevel& level) const;
  void check_manifest(const RestoreLevel& level) const;
  void check_bases() const;
  /// The first name that is `wanted`, for a message.
  std::string first_of(const RestoreLevel& level,
                       const std::function<bool(MemberSet::Key, std::uint8_t)>& wanted) const;

  const pipeline::Repository& repository_;
  RestoreFilter filter_;
  const Run& run_;
  std::vector<RestoreLevel> levels_;
};

}  // namespace seawall::ops
