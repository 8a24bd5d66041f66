#include "crypto/program.hh"

#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/error.hh"
#include "base/file.hh"

namespace seawall::crypto {
namespace {

constexpr std::size_t largest_output = 16 << 20;

/// Both ends of a pair of sockets: a program that ends early must not raise SIGPIPE here, and pipes would.
std::pair<Fd, Fd> channel() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw system_error(errno, "socketpair");
  return {Fd(ends[0]), Fd(ends[1])};
}

class SpawnActions {
 public:
  SpawnActions() {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  ~SpawnActions() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  void connect(const Fd& here, int there) { posix_spawn_file_actions_adddup2(&files_, here.get(), there); }
  int spawn(pid_t& child, const std::string& program, std::vector<std::string>& arguments) {
    std::vector<char*> pointers;
    pointers.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    return posix_spawnp(&child, program.c_str(), &files_, &attributes_, pointers.data(), environ);
  }

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

/// Reads what is there; false at the end.
bool read_some(const Fd& from, Output& into) {
  SecretBytes buffer(std::size_t{64} << 10);
  const ssize_t n = recv(from.get(), buffer.data(), buffer.size(), 0);
  if (n < 0 && errno == EINTR) return true;
  if (n < 0 && errno != ECONNRESET) throw system_error(errno, "reading from a program");
  if (n <= 0) return false;
  into.append(Bytes(buffer.span()).first(static_cast<std::size_t>(n)));
  if (into.text().size() > largest_output) throw Error(Errc::config, "a program writes more than a key can be");
  return true;
}

/// Feeds `input` and collects both outputs until the program has closed them.
void converse(Fd in, Fd out, Fd messages, std::string_view input, Finished& result) {
  if (input.empty()) in.close();
  while (out || messages) {
    std::array<pollfd, 3> wait{{{in ? in.get() : -1, POLLOUT, 0},
                                {out ? out.get() : -1, POLLIN, 0},
                                {messages ? messages.get() : -1, POLLIN, 0}}};
    if (poll(wait.data(), wait.size(), -1) < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "poll");
    }
    if (wait[0].revents != 0) {
      const ssize_t n = send(in.get(), input.data(), input.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) input.remove_prefix(static_cast<std::size_t>(n));
      const bool failed = n < 0 && errno != EINTR && errno != EAGAIN;
      if (failed || input.empty()) in.close();
    }
    if (wait[1].revents != 0 && !read_some(out, result.out)) out.close();
    if (wait[2].revents != 0 && !read_some(messages, result.messages)) messages.close();
  }
}

}  // namespace

void run_program(const std::string& program, std::vector<std::string> arguments, std::string_view input,
                 Finished& result) {
  auto [in, in_there] = channel();
  auto [out, out_there] = channel();
  auto [messages, messages_there] = channel();
  SpawnActions actions;
  actions.connect(in_there, STDIN_FILENO);
  actions.connect(out_there, STDOUT_FILENO);
  actions.connect(messages_there, STDERR_FILENO);
  arguments.insert(arguments.begin(), program);
  pid_t child = 0;
  if (const int failure = actions.spawn(child, program, arguments); failure != 0) {
    throw Error(Errc::not_found, fmt::format("'{}' cannot be started: {}", program, std::strerror(failure)));
  }
  in_there.close();
  out_there.close();
  messages_there.close();
  try {
    converse(std::move(in), std::move(out), std::move(messages), input, result);
  } catch (...) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    throw;
  }
  while (waitpid(child, &result.status, 0) < 0) {
    if (errno != EINTR) throw system_error(errno, "waiting for a program");
  }
}

}  // namespace seawall::crypto
