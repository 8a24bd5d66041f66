#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/number_ranges.hh"
#include "archive/wal_name.hh"
#include "base/clock.hh"

namespace seawall::archive {

/// Where the documents of `seawall verify` lie; each run writes its own (docs/formats/verified.md).
inline constexpr std::string_view verified_folder = "seawall_005/verified/";

/// What of an archive was found whole, and when: to the second, so that segments of one run are one range.
class Verified {
 public:
  /// `stored`: when its sentinel was, so that a backup that took the name of a removed one is another.
  void add_backup(std::string_view name, Time stored, Time at);
  void add_wal(Timeline timeline, NumberRange range, Time at);
  /// What the other knows and this does not, or not of as late a time.
  void merge(const Verified& other);

  /// When; nothing if that is not known.
  std::optional<Time> backup(std::string_view name, Time stored) const;
  /// The segments that were found whole at `since` or later.
  NumberRanges wal(Timeline timeline, Time since) const;

  struct Backup {
    Time stored{};
    Time at{};
  };
  struct Wal {
    NumberRange range;
    Time at{};
  };
  const std::map<std::string, Backup, std::less<>>& backups() const noexcept { return backups_; }
  const std::map<Timeline, std::vector<Wal>>& wal() const noexcept { return wal_; }  ///< ascending, without overlaps

 private:
  std::map<std::string, Backup, std::less<>> backups_;
  std::map<Timeline, std::vector<Wal>> wal_;
};

std::string print_verified(const Verified& verified);
/// Unknown members are passed over. Errc::corrupt naming `origin`, Errc::unsupported for a later version.
Verified parse_verified(std::string_view json, std::string_view origin);

}  // namespace seawall::archive
