#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/wal_name.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// Where recovery is to end.
struct RecoveryTarget {
  enum class Kind { time, lsn, xid, name, immediate, end };  ///< end: of the archive
  Kind kind = Kind::immediate;
  std::string text;                      ///< as the user gave it, for the settings
  std::optional<Time> time = {};         ///< of Kind::time
  std::optional<archive::Lsn> lsn = {};  ///< of Kind::lsn
  std::string timeline = "latest";       ///< "latest", "current" or a number
  std::string action = "pause";          ///< "pause", "promote" or "shutdown"
};

/// The target that the flags name; nothing if they name none. Errc::usage if two do, or a value is malformed.
/// Times: RFC 3339 with an offset, or PostgreSQL's "2026-11-21 03:12:00+00"; without an offset: local time.
struct TargetFlags {
  std::optional<std::string> time, lsn, xid, name, timeline, action;
  bool immediate = false;
};
std::optional<RecoveryTarget> parse_target(const TargetFlags& flags);

struct RecoveryPlan {
  std::string backup;  ///< to be restored
  int pg_version = 0;
  RecoveryTarget target;
};

/// Chooses the backup (the newest that ends before the target and from whose timeline the target is reached, unless
/// `backup` names one) and checks that the WAL from its start is in the archive without a gap: to the target's segment
/// for an LSN; to the first segment stored after it for a time, saying so if there is none; to the archive's end for
/// xid and name; to the backup's stop for immediate. Histories of the timelines on the way must be there.
/// Errc::not_found if no backup suits, Errc::incomplete naming the first missing segment or history.
RecoveryPlan plan_recovery(const pipeline::Repository& repository, const std::optional<std::string>& backup,
                           const RecoveryTarget& target, const Run& run);

/// Writes recovery.signal and settings in postgresql.auto.conf (12 and later) or recovery.conf (11 and earlier) into
/// `directory`, durably. recovery_target* and restore_command settings left in postgresql.auto.conf are removed.
/// `restore_command`: as PostgreSQL will run it.
void write_recovery_settings(const std::string& directory, const RecoveryPlan& plan, const std::string& restore_command,
                             const Run& run);

/// A value as the server's configuration files want it, in quotes.
std::string conf_quoted(std::string_view value);

}  // namespace seawall::ops
