#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.hh"
#include "base/run.hh"

namespace seawall {

/// Another program, and what it is started with. No signal is blocked, and of our open files it has those named here
/// only.
struct ChildRequest {
  std::vector<std::string> arguments;  ///< [0]: its own name; found by PATH unless it has a '/'
  std::string program = {};            ///< the file to execute where that is not arguments[0]
  std::vector<std::pair<std::string, std::string>> environment = {};  ///< beside and before our own
  std::string directory = {};                                         ///< where it runs; empty: where we do
  struct User {
    uid_t uid;
    gid_t gid;
  };
  std::optional<User> user = {};  ///< whose rights it has; only root may ask. Its groups are that one alone
  int input = -1;                 ///< its stdin; -1: empty
  int output = -1;                ///< its stdout; -1: nowhere
  int errors = -1;                ///< its stderr; -1: nowhere
  int kept_open = -1;             ///< a file that stays open as long as it runs, for a lock
  int signal_when_orphaned = 0;   ///< what the kernel sends it when the thread that started it ends; 0: nothing
};

/// A process of ours. Its own process group, so that a terminal's ^C reaches us alone, and we decide.
class Child {
 public:
  /// Errc::not_found if there is no such program, Errc::denied or io if it cannot be started.
  explicit Child(const ChildRequest& request);
  /// Kills it with its group unless it has ended.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const noexcept { return pid_; }
  /// Its exit status, or 128 + the signal that killed it; nothing while it runs.
  std::optional<int> try_wait() noexcept;
  /// To all of its group.
  void signal(int number) noexcept;

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// Both ends of a pipe: it is read without waiting, and of the writing end a Child gets a copy.
struct Pipe {
  Pipe();
  Fd read_end;
  Fd write_end;
};
/// What is there to be read is appended to `text`. False: the other ends are closed.
bool read_available(const Fd& fd, std::string& text);

struct ChildResult {
  int status = 0;      ///< as Child's
  std::string output;  ///< stdout
  std::string errors;  ///< stderr
};
/// Runs a program to its end; `output` and `errors` of the request are not looked at. Of each stream the last MiB is
/// kept. A request to stop is passed on as SIGTERM, and the end is waited for; then Errc::cancelled. Errc::timeout,
/// and the program is killed, after `limit`.
ChildResult run_child(ChildRequest request, std::optional<std::chrono::nanoseconds> limit, const Run& run);

/// The file of this program.
std::string own_program();
/// The directories of PATH, of which an empty one is the present one.
std::vector<std::string> search_path();

}  // namespace seawall
