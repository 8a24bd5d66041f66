#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hh"
#include "base/file.hh"

namespace seawall::schedule {

enum class Outcome {
  started,  ///< and not ended, or the scheduler was killed
  ok,
  failed,
  stopped,  ///< ended because the scheduler was
  skipped,  ///< due while its last run, or another job that waited, was not done
  missed,   ///< due while no scheduler ran
};
std::string_view name_of(Outcome outcome) noexcept;

/// One run that was due.
struct Entry {
  std::string job;
  Outcome outcome = Outcome::started;
  Time due{};
  Time started{};      ///< Time{}: never
  Time finished{};     ///< Time{}: not yet
  int status = 0;      ///< exit status of the command that failed
  std::string detail;  ///< its last line, or why it did not run
};

/// A directory of one scheduler: its lock, and a file to which a line is appended whenever a run starts or ends. What
/// is there is kept for the last 1000 lines.
class History {
 public:
  explicit History(std::filesystem::path directory) : directory_(std::move(directory)) {}

  /// Creates the directory, and holds the lock as long as the result is open, by whomever. Errc::in_use if another
  /// scheduler holds it.
  Fd lock() const;
  /// Does somebody hold it?
  bool is_locked() const;

  void append(const Entry& entry) const;
  /// Each run once, as it was told last, in the order in which they were first told. What cannot be read is left out.
  std::vector<Entry> read() const;
  /// Drops all but the last lines. Only with the lock.
  void trim() const;

 private:
  std::filesystem::path file() const { return directory_ / "schedule.tsv"; }
  std::filesystem::path lock_file() const { return directory_ / "schedule.lock"; }

  const std::filesystem::path directory_;
};

}  // namespace seawall::schedule
