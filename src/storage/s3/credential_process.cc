#include "storage/s3/credential_process.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.hh"
#include "base/file.hh"
#include "storage/s3/token_answers.hh"

namespace seawall::storage::s3 {
namespace {

constexpr std::size_t most_bytes = std::size_t{64} << 10;
constexpr std::chrono::milliseconds look{50};  // how often a stop and the time limit are looked at

/// A shell in a process group of its own, killed with all it started unless it was waited for.
class Child {
 public:
  Child(const std::string& command, int output, std::string_view where) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    // This program ignores SIGPIPE and may hold back signals in this thread: neither is for the child to inherit.
    sigset_t none;
    sigset_t usual;
    ::sigemptyset(&none);
    ::sigemptyset(&usual);
    ::sigaddset(&usual, SIGPIPE);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &usual);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::array<std::string, 3> words{"sh", "-c", command};
    std::array<char*, 4> arguments{words[0].data(), words[1].data(), words[2].data(), nullptr};
    const int failure = ::posix_spawn(&id_, "/bin/sh", &files, &attributes, arguments.data(), ::environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (failure != 0) throw Error(Errc::config, fmt::format("{}: /bin/sh: {}", where, std::strerror(failure)));
  }
  ~Child() {
    if (ended_) return;
    ::kill(-id_, SIGKILL);
    while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) continue;
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Has it ended? Then status() tells how.
  bool ended() {
    if (!ended_) ended_ = ::waitpid(id_, &status_, WNOHANG) == id_;
    return ended_;
  }
  int status() const { return status_; }

 private:
  pid_t id_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

class Watch {
 public:
  Watch(std::string_view where, Clock& clock, std::stop_token stop, std::chrono::nanoseconds limit)
      : where_(where), clock_(clock), stop_(std::move(stop)), limit_(limit), start_(clock.steady()) {}

  void check() const {
    if (stop_.stop_requested()) throw Error(Errc::cancelled, fmt::format("{}: stopped on request", where_));
    if (clock_.steady() - start_ >= limit_) {
      throw Error(Errc::timeout, fmt::format("{}: no end after {} s, so it was killed", where_,
                                             std::chrono::duration_cast<std::chrono::seconds>(limit_).count()));
    }
  }

 private:
  std::string_view where_;
  Clock& clock_;
  std::stop_token stop_;
  std::chrono::nanoseconds limit_;
  std::chrono::steady_clock::time_point start_;
};

std::string read_all(const Fd& from, std::string_view where, const Watch& watch) {
  std::string text(most_bytes + 1, '\0');
  std::size_t done = 0;
  for (;;) {
    watch.check();
    pollfd ready{.fd = from.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, static_cast<int>(look.count())) <= 0) continue;
    const ssize_t n = ::read(from.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) throw system_error(errno, where);
    if (n == 0) break;
    if (n > 0) done += static_cast<std::size_t>(n);
    if (done > most_bytes) throw Error(Errc::config, fmt::format("{}: it writes more than 64 KiB", where));
  }
  text.resize(done);
  return text;
}

}  // namespace

Credentials run_credential_process(const std::string& command, std::string_view where, Clock& clock,
                                   std::stop_token stop, std::chrono::nanoseconds limit) {
  const Watch watch(where, clock, stop, limit);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error(errno, where);
  const Fd output(ends[0]);
  Fd input(ends[1]);
  Child child(command, input.get(), where);
  input.close();
  const std::string text = read_all(output, where, watch);
  while (!child.ended()) {
    watch.check();
    clock.sleep(std::chrono::milliseconds(1), stop);
  }
  if (child.status() != 0) {
    const bool exited = WIFEXITED(child.status());
    throw Error(Errc::config, fmt::format("{}: it ended with {} {}; run it by hand to see what it says", where,
                                          exited ? "status" : "signal",
                                          exited ? WEXITSTATUS(child.status()) : WTERMSIG(child.status())));
  }
  if (version_from_json(text) != 1) {
    throw Error(Errc::config, fmt::format("{}: it must write a JSON object with \"Version\": 1", where));
  }
  return credentials_from_json(text, where);
}

}  // namespace seawall::storage::s3
