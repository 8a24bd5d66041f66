#include "base/child.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/text.hh"

extern char** environ;  // NOLINT: POSIX

namespace seawall {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kept_output = std::size_t{1} << 20;
constexpr auto between_looks = std::chrono::milliseconds(20);

/// Where the shell would find it; the name itself if nowhere, for the message of execve.
std::string path_of(const ChildRequest& request) {
  if (!request.program.empty()) return request.program;
  const std::string& name = request.arguments.at(0);
  if (name.find('/') != std::string::npos) return name;
  for (const std::string& directory : search_path()) {
    const fs::path candidate = fs::path(directory) / name;
    if (::access(candidate.c_str(), X_OK) == 0 && !fs::is_directory(candidate)) return candidate;
  }
  throw Error(Errc::not_found, fmt::format("there is no program '{}' in PATH", name));
}

std::vector<std::string> environment_of(const ChildRequest& request) {
  std::vector<std::string> all;
  for (const auto& [name, value] : request.environment) all.push_back(name + "=" + value);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(request.environment.begin(), request.environment.end(),
                                      [&](const auto& given) { return given.first == name; });
    if (!replaced) all.emplace_back(text);
  }
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// What the new process needs, made before there is one: between fork and exec nothing may be allocated.
struct Prepared {
  const ChildRequest& request;
  std::string path;
  std::vector<char*> arguments;
  std::vector<char*> environment;
  int failure_to;
  int null;
};

void put_at(int fd, int place) {
  if (fd == place) {
    ::fcntl(fd, F_SETFD, 0);
  } else {
    ::dup2(fd, place);
  }
}

bool become(const ChildRequest::User& user) {
  return ::setgroups(1, &user.gid) == 0 && ::setgid(user.gid) == 0 && ::setuid(user.uid) == 0;
}

[[noreturn]] void run_in_child(const Prepared& prepared) {
  const ChildRequest& request = prepared.request;
  ::setpgid(0, 0);
  for (int number = 1; number < NSIG; ++number) std::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  put_at(request.input >= 0 ? request.input : prepared.null, STDIN_FILENO);
  put_at(request.output >= 0 ? request.output : prepared.null, STDOUT_FILENO);
  put_at(request.errors >= 0 ? request.errors : prepared.null, STDERR_FILENO);
  if (request.kept_open >= 0) ::fcntl(request.kept_open, F_SETFD, 0);
  const bool ready = (!request.user || become(*request.user)) &&
                     (request.directory.empty() || ::chdir(request.directory.c_str()) == 0);
  // After the change of user, which takes it away.
  if (request.signal_when_orphaned != 0) ::prctl(PR_SET_PDEATHSIG, request.signal_when_orphaned);
  if (ready) ::execve(prepared.path.c_str(), prepared.arguments.data(), prepared.environment.data());
  const int failure = errno;
  [[maybe_unused]] const auto told = ::write(prepared.failure_to, &failure, sizeof failure);
  ::_exit(127);
}

int status_of(int raw) noexcept { return WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw); }

void keep_the_end(std::string& text) {
  if (text.size() > kept_output) text.erase(0, text.size() - kept_output);
}

}  // namespace

Child::Child(const ChildRequest& request) {
  Pipe failure;
  const Fd null = open_file("/dev/null", O_RDWR);
  std::vector<std::string> arguments = request.arguments;
  std::vector<std::string> environment = environment_of(request);
  const Prepared prepared{.request = request,
                          .path = path_of(request),
                          .arguments = pointers_to(arguments),
                          .environment = pointers_to(environment),
                          .failure_to = failure.write_end.get(),
                          .null = null.get()};
  pid_ = ::fork();
  if (pid_ < 0) throw system_error(errno, "starting " + prepared.path);
  if (pid_ == 0) run_in_child(prepared);
  ::setpgid(pid_, pid_);  // by both, since either may be first
  failure.write_end.close();
  ::fcntl(failure.read_end.get(), F_SETFL, 0);
  int number = 0;
  ssize_t got;
  do {
    got = ::read(failure.read_end.get(), &number, sizeof number);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof number) return;
  ::waitpid(pid_, nullptr, 0);
  status_ = 127;
  throw system_error(number, "starting " + prepared.path);
}

Child::~Child() {
  if (try_wait()) return;
  signal(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::optional<int> Child::try_wait() noexcept {
  if (status_) return status_;
  int raw = 0;
  if (::waitpid(pid_, &raw, WNOHANG) == pid_) status_ = status_of(raw);
  return status_;
}

void Child::signal(int number) noexcept {
  if (!status_) ::kill(-pid_, number);
}

Pipe::Pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error(errno, "pipe");
  read_end = Fd(ends[0]);
  write_end = Fd(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

bool read_available(const Fd& fd, std::string& text) {
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(got));
    } else if (got == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
  }
}

ChildResult run_child(ChildRequest request, std::optional<std::chrono::nanoseconds> limit, const Run& run) {
  Pipe output;
  Pipe errors;
  request.output = output.write_end.get();
  request.errors = errors.write_end.get();
  Child child(request);
  output.write_end.close();
  errors.write_end.close();
  ChildResult result;
  const auto start = run.clock.steady();
  const std::stop_token never;
  for (bool told = false;;) {
    const std::optional<int> status = child.try_wait();
    // After the end is known: what it wrote last is then in the pipe.
    read_available(output.read_end, result.output);
    read_available(errors.read_end, result.errors);
    keep_the_end(result.output);
    keep_the_end(result.errors);
    if (status) {
      run.check();
      result.status = *status;
      return result;
    }
    if (run.stop.stop_requested() && !told) {
      child.signal(SIGTERM);
      told = true;
    }
    if (limit && run.clock.steady() - start > *limit) {
      throw Error(Errc::timeout, fmt::format("{} did not end in time", request.arguments.at(0)));
    }
    run.clock.sleep(between_looks, never);
  }
}

std::vector<std::string> search_path() {
  const char* path = std::getenv("PATH");
  std::vector<std::string> directories;
  for (const std::string_view directory : split(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path, ':')) {
    directories.emplace_back(directory.empty() ? "." : directory);
  }
  return directories;
}

std::string own_program() {
  std::error_code failure;
  const fs::path self = fs::read_symlink("/proc/self/exe", failure);
  if (failure) throw system_error(failure.value(), "/proc/self/exe");
  return self.native();
}

}  // namespace seawall
