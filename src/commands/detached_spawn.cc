#include "commands/detached_spawn.hh"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>

extern char** environ;  // NOLINT: POSIX

namespace seawall::commands {

DetachedSpawn::DetachedSpawn(bool with_stderr) {
  posix_spawn_file_actions_init(&files_);
  posix_spawnattr_init(&attributes_);
  posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  if (!with_stderr) posix_spawn_file_actions_addopen(&files_, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  // This process blocks the signals it waits for, and a child would inherit that.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes_, &none);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigdefault(&attributes_, &all);
  posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

DetachedSpawn::~DetachedSpawn() {
  posix_spawnattr_destroy(&attributes_);
  posix_spawn_file_actions_destroy(&files_);
}

int DetachedSpawn::start(std::vector<std::string>& arguments) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int failure = posix_spawn(&child, "/proc/self/exe", &files_, &attributes_, pointers.data(), environ);
  if (failure == 0) return 0;
  return posix_spawnp(&child, pointers[0], &files_, &attributes_, pointers.data(), environ);
}

}  // namespace seawall::commands
