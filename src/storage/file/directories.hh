#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "base/clock.hh"
#include "base/file.hh"

namespace seawall::storage {

/// The directories of a file store: made when an object needs them, durably, and removed when the last object is gone.
/// Named by what the keys in them begin with: "" for the root, "some/where/". Thread-safe; other processes may make and
/// remove directories meanwhile.
class Directories {
 public:
  /// `description` names the store in messages; `clock` must outlive this.
  Directories(Fd root, std::string description, Clock& clock)
      : root_(std::move(root)), description_(std::move(description)), clock_(clock) {}

  const Fd& root() const noexcept { return root_; }
  /// Errc::config if the root itself was removed: then nothing may pass for absent. For whoever found nothing.
  void check_root() const;
  /// Opens a directory to write in, made if it is missing. When it comes back, the way to it is durable.
  Fd open(const std::string& directory);
  /// Removes `directory` if it is empty, then its parents likewise.
  void prune(std::string directory) noexcept;
  /// After objects of `directories` were removed: prunes what is empty and makes the removals durable.
  void settle(std::set<std::string, std::greater<>> directories);

 private:
  Fd make(const std::string& directory);
  bool changed_lately(const Fd& directory) const;
  bool remove(const std::string& directory) noexcept;

  Fd root_;
  std::string description_;
  Clock& clock_;
  std::mutex mutex_;
  // Directories whose way from the root is durable. Whoever made them may have died before syncing, hence their first
  // use in this process syncs what is not old enough to be on disk anyway, and later ones cost this look-up.
  std::set<std::string, std::less<>> durable_;
};

/// "some/where/" of "some/where/x" and of "some/where/x/"; "" of "x".
std::string parent_of(std::string_view key);

}  // namespace seawall::storage
