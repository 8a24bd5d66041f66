#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/backup_folder.hh"
#include "archive/sentinel.hh"
#include "archive/timeline_tree.hh"
#include "archive/wal_listing.hh"
#include "base/clock.hh"

namespace seawall::archive {

/// One line of a listing. The key is relative to the repository's prefix.
struct ListedObject {
  std::string_view key;
  std::optional<std::uint64_t> bytes = 0;  ///< nothing: not known; under wal_005/ only
  Time modified{};
};

/// Reads documents for the catalogue; nothing: the object is not there. What they throw passes through. They are
/// called in the order of the backups, so that whoever implements them can read ahead.
struct CatalogueLoader {
  std::function<std::optional<std::string>(std::string_view backup)> sentinel;
  std::function<std::optional<std::string>(std::string_view backup)> metadata;
  std::function<std::optional<std::string>(Timeline)> history;  ///< the text, decoded
  /// Of segments that a backup needs and whose size was not listed. Empty: they count as whole.
  WalListing::SizeOf wal_bytes = {};
};

struct CatalogueSettings {
  std::uint64_t segment_bytes = std::uint64_t{16} << 20;
  Time now{};
  /// A folder without sentinel whose youngest object is no older than this is a backup on its way.
  std::chrono::nanoseconds in_flight_for = std::chrono::hours(24);
};

/// What is wrong with a backup.
struct BackupFault {
  enum class Kind {
    sentinel_unreadable,
    metadata_missing,       ///< a note: it restores without
    metadata_unreadable,    ///< a note: but nobody knows whether it is permanent
    name_and_lsn_disagree,  ///< it does not start in the segment that its name says
    no_parts,
    part_missing,
    part_empty,
    control_missing,
    file_list_missing,  ///< of a full a note: everything in the parts is restored
    parent_missing,
    parent_damaged,
    parent_differs,  ///< a backup of the parent's name, but not the one that it was made on
    parents_form_circle,
    wal_missing,  ///< between its start and its end: it cannot become consistent
  };
  Kind kind;
  bool damages = true;  ///< false: a note, the backup restores
  std::string text;     ///< in words, naming the object
};
std::string_view name_of(BackupFault::Kind kind) noexcept;  ///< stable: "part_missing"

/// The WAL that makes a backup consistent.
struct BackupWal {
  Timeline timeline = 0;
  std::uint64_t first = 0;
  std::uint64_t last = no_last;  ///< no_last: its end is not known
  Lsn reach;                     ///< recovery must pass this LSN before it may leave the timeline
};

struct Backup {
  std::string name;
  Time modified{};  ///< of the sentinel
  BackupFolder folder;
  std::uint64_t sentinel_bytes = 0;
  std::optional<Sentinel> sentinel;        ///< nothing: unreadable
  std::optional<BackupMetadata> metadata;  ///< nothing: absent or unreadable
  bool permanence_known = true;            ///< false: metadata.json is unreadable
  bool permanent = false;                  ///< by metadata.json; by the sentinel only where there is none
  std::optional<Segment> segment;          ///< by the name
  std::optional<BackupWal> wal;            ///< nothing: not known, so all WAL must be thought to be needed
  std::optional<std::size_t> parent;
  std::vector<std::size_t> children;
  std::vector<BackupFault> faults;
  bool restorable = false;  ///< nothing of it, its chain and its WAL is known to be missing

  bool is_delta() const noexcept { return sentinel && sentinel->is_delta(); }
  std::optional<std::uint64_t> system_identifier() const noexcept;
  Time start_time() const noexcept;   ///< by metadata.json, else the sentinel; Time{}: unknown
  Time finish_time() const noexcept;  ///< as before, else when the sentinel was stored
  std::uint64_t stored_bytes() const noexcept { return folder.bytes() + sentinel_bytes; }
  std::string_view user_data_json() const noexcept;  ///< empty: none
};

/// Objects of a backup that has no sentinel: on its way, broken off, or half deleted.
struct UnfinishedBackup {
  std::string name;
  BackupFolder folder;
  std::optional<Segment> segment;
  bool in_flight = false;
};

/// Known, but neither backup nor WAL: catchup_005/, seawall_005/, the storage check's probe.
struct OtherObject {
  std::string key;
  std::uint64_t bytes = 0;
};

/// What an archive holds: the one model that listing, verification and retention work on. Filled by one listing, then
/// by load(); after that it is a value that never changes. 500 backups and a million segments take about 10 MB.
class Catalogue {
 public:
  explicit Catalogue(const CatalogueSettings& settings);
  Catalogue(Catalogue&&) = default;
  Catalogue& operator=(Catalogue&&) = default;

  /// In any order, before load(); in the order of keys it is fastest. Temporary names of drivers must be left out.
  void add(const ListedObject& object);
  void load(const CatalogueLoader& loader);

  const CatalogueSettings& settings() const noexcept { return settings_; }
  /// By the sentinel's modification time, equal ones by name: the last is LATEST.
  const std::vector<Backup>& backups() const noexcept { return backups_; }
  const std::vector<UnfinishedBackup>& unfinished() const noexcept { return unfinished_; }  ///< by name
  const WalListing& wal() const noexcept { return wal_; }
  const TimelineTree& timelines() const noexcept { return timelines_; }
  const std::vector<OtherObject>& others() const noexcept { return others_; }
  /// What could not be read besides the backups: "wal_005/00000002.history: …".
  const std::vector<std::string>& complaints() const noexcept { return complaints_; }

  /// Objects that nobody here understands. They are never touched.
  struct Foreign {
    std::uint64_t objects = 0;
    std::uint64_t bytes = 0;
    std::vector<std::string> examples;  ///< the first twenty keys
  };
  const Foreign& foreign() const noexcept { return foreign_; }

  std::optional<std::size_t> find(std::string_view name) const noexcept;
  /// The backups that `backup` stands on, nearest first, as far as they exist; each once, also in a circle.
  std::vector<std::size_t> ancestors(std::size_t backup) const;
  /// Every backup that stands on it, directly or not, in no particular order; each once.
  std::vector<std::size_t> descendants(std::size_t backup) const;
  /// Backups that a delta of this name is made on as far as the name tells: by "_D_" + the parent's segment.
  std::vector<std::size_t> parents_by_name(std::string_view delta) const;
  /// The full backup at the base. Errc::incomplete if a parent is missing, unreadable or another one than it was made
  /// on, or the chain is a circle.
  std::size_t base_of(std::size_t backup) const;
  /// System identifiers of the readable backups, ascending, each once.
  const std::vector<std::uint64_t>& systems() const noexcept { return systems_; }

  /// Errc::config if the backups' names and start LSNs say that segments have another size than the settings do: then
  /// every segment number is wrong, and nothing may be deleted by it.
  void require_segment_size() const;

 private:
  friend class CatalogueLinker;

  void add_to_backups(std::string_view rest, const ListedObject& object);
  void add_foreign(const ListedObject& object);
  BackupFolder& folder(std::string_view name);
  void load_histories(const CatalogueLoader& loader);
  void sort_backups();

  CatalogueSettings settings_;
  std::vector<Backup> backups_;
  std::vector<UnfinishedBackup> unfinished_;
  WalListing wal_;
  TimelineTree timelines_;
  std::vector<OtherObject> others_;
  std::vector<std::string> complaints_;
  Foreign foreign_;
  std::vector<std::uint64_t> systems_;
  std::optional<std::uint64_t> other_segment_bytes_;          ///< what the backups say, if it is not the setting
  std::map<std::string, BackupFolder, std::less<>> folders_;  ///< while it is filled
  std::pair<const std::string, BackupFolder>* last_folder_ = nullptr;
  std::map<std::string, std::size_t, std::less<>> names_;
};

}  // namespace seawall::archive
