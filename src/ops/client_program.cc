#include "ops/client_program.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "base/text.hh"

extern char** environ;  // NOLINT: POSIX

namespace seawall::ops {
namespace {

constexpr int look_up_ms = 100;
constexpr int pipe_bytes = 1 << 20;  // fewer switches between the two programs; the most that users get by default
constexpr std::size_t longest_line = 4096;
constexpr auto patience = std::chrono::seconds(5);
constexpr auto step = std::chrono::milliseconds(10);

struct Ends {
  Fd reads, writes;
};

Ends make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error(errno, "pipe");
  return {Fd(ends[0]), Fd(ends[1])};
}

void set_nonblocking(const Fd& fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) throw system_error(errno, "fcntl");
}

}  // namespace

ClientProgram::ClientProgram(std::vector<std::string> arguments, Pipe pipe, const Run& run)
    : name_(std::filesystem::path(arguments.at(0)).filename()), direction_(pipe), run_(run) {
  Ends data = make_pipe();
  Ends messages = make_pipe();
  ::fcntl(data.reads.get(), F_SETPIPE_SZ, pipe_bytes);  // refused by a low limit: then it stays as it is
  const bool output = direction_ == Pipe::its_output;
  spawn(arguments, output ? data.writes : data.reads, messages.writes);
  pipe_ = std::move(output ? data.reads : data.writes);
  messages_ = std::move(messages.reads);
  set_nonblocking(pipe_);
  set_nonblocking(messages_);
}

void ClientProgram::spawn(std::vector<std::string>& arguments, const Fd& pipe_end, const Fd& messages_end) {
  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  const bool output = direction_ == Pipe::its_output;
  posix_spawn_file_actions_addopen(&files, output ? STDIN_FILENO : STDOUT_FILENO, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, pipe_end.get(), output ? STDOUT_FILENO : STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, messages_end.get(), STDERR_FILENO);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  // Ctrl-C in a terminal is for us: a child that dies of it first would be told as a failure of its own.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const int failure = ::posix_spawnp(&child_, pointers[0], &files, &attributes, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failure == 0) return;
  child_ = 0;
  throw system_error(failure,
                     fmt::format("{} cannot be started (SEAWALL_PG_BINDIR names the directory where PostgreSQL's "
                                 "client programs are; Debian's package is postgresql-client)",
                                 arguments[0]));
}

ClientProgram::~ClientProgram() {
  if (child_ == 0) return;
  ::kill(-child_, SIGTERM);  // its group: a wrapper has children of its own
  for (std::chrono::nanoseconds waited{}; waited < patience; waited += step) {
    if (ended()) return;
    run_.clock.sleep(step, {});
  }
  ::kill(-child_, SIGKILL);
  while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool ClientProgram::ended() {
  if (child_ == 0) return true;
  if (::waitpid(child_, &status_, WNOHANG) != child_) return false;
  child_ = 0;
  return true;
}

void ClientProgram::wait_for_pipe(short events) {
  for (;;) {
    run_.check();
    std::array<pollfd, 2> wait{{{pipe_.get(), events, 0}, {messages_ ? messages_.get() : -1, POLLIN, 0}}};
    if (::poll(wait.data(), wait.size(), look_up_ms) < 0 && errno != EINTR) throw system_error(errno, "poll");
    if (wait[1].revents != 0 && !read_messages()) messages_.close();
    if (wait[0].revents != 0) return;
  }
}

bool ClientProgram::read_messages() {
  std::array<char, 4096> buffer{};
  const ssize_t n = ::read(messages_.get(), buffer.data(), buffer.size());
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  line_.append(buffer.data(), static_cast<std::size_t>(n));
  if (n == 0 || line_.size() > longest_line) line_ += '\n';
  take_lines();
  return n > 0;
}

void ClientProgram::take_lines() {
  for (std::size_t end = line_.find('\n'); end != std::string::npos; end = line_.find('\n')) {
    const std::string line(trim(std::string_view(line_).substr(0, end)));
    line_.erase(0, end + 1);
    if (line.empty()) continue;
    run_.log.warning("{}", line.starts_with(name_) ? line : fmt::format("{}: {}", name_, line));
    last_line_ = line;
  }
}

std::size_t ClientProgram::read(MutableBytes into) {
  for (;;) {
    wait_for_pipe(POLLIN);
    const ssize_t n = ::read(pipe_.get(), into.data(), into.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR && errno != EAGAIN) throw system_error(errno, fmt::format("reading from {}", name_));
  }
}

void ClientProgram::write(Bytes data) {
  while (!data.empty()) {
    wait_for_pipe(POLLOUT);
    const ssize_t n = ::write(pipe_.get(), data.data(), data.size());
    if (n >= 0) {
      data = data.subspan(static_cast<std::size_t>(n));
    } else if (errno == EPIPE) {
      finish();
      throw Error(Errc::db, fmt::format("{} ended before it had read everything", name_));
    } else if (errno != EINTR && errno != EAGAIN) {
      throw system_error(errno, fmt::format("writing to {}", name_));
    }
  }
}

void ClientProgram::finish() {
  pipe_.close();
  while (messages_) {
    run_.check();
    pollfd wait{messages_.get(), POLLIN, 0};
    if (::poll(&wait, 1, look_up_ms) < 0 && errno != EINTR) throw system_error(errno, "poll");
    // A grandchild may hold the other end for longer than the program lives.
    if (wait.revents == 0 && ended()) break;
    if (wait.revents != 0 && !read_messages()) messages_.close();
  }
  while (!ended()) {
    run_.check();
    run_.clock.sleep(step, run_.stop);
  }
  if (status_ != 0) fail();
}

void ClientProgram::fail() {
  const std::string how = WIFSIGNALED(status_) ? fmt::format("was ended by signal {}", WTERMSIG(status_))
                                               : fmt::format("failed with exit status {}", WEXITSTATUS(status_));
  throw Error(Errc::db,
              last_line_.empty() ? fmt::format("{} {}", name_, how) : fmt::format("{} {}: {}", name_, how, last_line_));
}

}  // namespace seawall::ops
