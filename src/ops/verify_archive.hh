#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "archive/wal_name.hh"
#include "base/run.hh"
#include "ops/concurrency_settings.hh"
#include "ops/findings.hh"
#include "ops/postgres_settings.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

struct VerifySettings : DownloadSettings {
  PostgresSettings cluster;
};

struct VerifyRequest {
  std::string backup;         ///< a name or LATEST, with what it stands on and the WAL it needs; empty: everything
  std::optional<Time> since;  ///< what was found whole since then is not read again
};

/// One backup, or WAL segments in a row that stand alike.
struct VerifiedLine {
  bool is_wal = false;
  std::string name;  ///< of the backup, or the first segment
  std::string last;  ///< segment
  archive::Timeline timeline = 0;
  std::uint64_t objects = 0;       ///< read now
  std::uint64_t stored_bytes = 0;  ///< of them
  Soundness soundness = Soundness::whole;
  Time at{};          ///< when it was verified
  bool again = true;  ///< false: not now, but since `VerifyRequest::since`
};

struct VerifyReport {
  Soundness soundness = Soundness::whole;
  std::vector<VerifiedLine> lines;
  std::vector<Finding> findings;
  std::uint64_t records = 0;  ///< of WAL
  std::uint64_t pages = 0;    ///< whose checksum was looked at
};

/// Reads an archive back: backups (ops/verify_backup.hh), WAL (ops/verify_wal.hh), and whether segments are missing:
/// those that a backup needs to become consistent, gaps behind the oldest backup that is not permanent, what is missing
/// between a timeline and the one it stems from, and histories. Gaps before that are remarks: retention leaves them.
///
/// What was found whole is remembered in the archive under seawall_005/verified/, every half minute and at the end; if
/// the archive cannot be written, a warning says so. Errors that are no property of the archive (no network, no key, a
/// stop) escape, after that; a run that was stopped is continued by one with `since` at its start.
VerifyReport verify_archive(const pipeline::Repository& repository, const VerifyRequest& request,
                            const VerifySettings& settings, const Run& run);

}  // namespace seawall::ops
