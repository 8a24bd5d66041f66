#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "archive/verified.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// What is remembered in an archive of verifications (archive/verified.hh). Each run writes documents of its own and
/// removes those that it replaces: nothing stored is changed. Any thread.
class VerifiedLog {
 public:
  /// Reads what is there; what cannot be read is said to the log and counts as unknown.
  VerifiedLog(const pipeline::Repository& repository, const Run& run);

  archive::Verified known() const;
  void add_backup(std::string_view name, Time stored, Time at);
  void add_wal(archive::Timeline timeline, archive::NumberRange range, Time at);
  /// Writes what was added, at most every half minute unless `now`. Where that fails, a warning says so, once.
  void save(bool now);

 private:
  void write();

  const pipeline::Repository& repository_;
  const Run run_;
  mutable std::mutex mutex_;
  archive::Verified verified_;
  std::vector<std::string> written_;  // keys that the next document replaces
  unsigned count_ = 0;
  bool changed_ = false;
  bool failed_ = false;
  std::chrono::steady_clock::time_point saved_;
};

}  // namespace seawall::ops
