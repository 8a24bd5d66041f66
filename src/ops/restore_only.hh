#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "archive/files_metadata.hh"

namespace seawall::ops {

/// Which files of a cluster `--restore-only` asks for. Databases and relations with numbers below 16384 belong to the
/// system and always come, as does every file that is no relation's; of other databases the relations that a key
/// matches. Fed with DatabasesByNames of the backup to be restored, then asked. Memory: 8 bytes a relation that comes.
class RestoreOnly {
 public:
  /// Keys between commas: "db", "db/table" (of schema public), "db/schema.table", "db/schema/table". '*' stands for any
  /// text, and a key is an extended regular expression otherwise, as WAL-G reads it. Errc::usage naming a key that is
  /// none of these.
  explicit RestoreOnly(std::string_view list);
  ~RestoreOnly();
  RestoreOnly(RestoreOnly&&) noexcept;
  RestoreOnly& operator=(RestoreOnly&&) noexcept;

  /// The relations of the database that database() ends.
  void relation(const archive::RelationEntry& relation);
  void database(std::string_view name, std::uint32_t oid);
  /// No more comes. False: no database came, so that nobody knows what belongs to which.
  bool seal();

  /// Of a path within the data directory. Of a user's database that was not listed (nobody could connect to it) every
  /// file is wanted: which of them are its catalogues is unknown.
  bool wants(std::string_view relative) const;

  struct Unmatched {
    std::string key;
    std::string nearest;  ///< a name that exists, or empty
  };
  /// The keys that no database or no relation matched.
  std::vector<Unmatched> unmatched() const;
  /// Is a key for single relations? Their indexes and TOAST tables are relations of their own.
  bool names_relations() const noexcept;

 private:
  struct Key;
  void keep(std::uint32_t database, std::uint32_t file_node);

  std::vector<Key> keys_;
  std::vector<archive::RelationEntry> pending_;  // of the database whose number is not known yet
  std::vector<std::uint64_t> kept_;              // database << 32 | file node; sorted once sealed
  std::vector<std::uint32_t> databases_;         // listed ones; sorted once sealed
};

}  // namespace seawall::ops
