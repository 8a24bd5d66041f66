#pragma once

#include <spawn.h>

#include <string>
#include <vector>

namespace seawall::commands {

/// The attributes and open files of a process that must outlive this one and be no bother to PostgreSQL, which waits
/// for whoever holds restore_command's output.
class DetachedSpawn {
 public:
  explicit DetachedSpawn(bool with_stderr);
  ~DetachedSpawn();
  DetachedSpawn(const DetachedSpawn&) = delete;
  DetachedSpawn& operator=(const DetachedSpawn&) = delete;

  /// 0, or the error number. `arguments[0]` is found by PATH if this program's own file cannot be told from /proc.
  int start(std::vector<std::string>& arguments);

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace seawall::commands
