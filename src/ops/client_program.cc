#include "ops/client_program.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "base/text.hh"

namespace seawall::ops {
namespace {

constexpr int look_up_ms = 100;
constexpr int pipe_bytes = 1 << 20;  // fewer switches between the two programs; the most that users get by default
constexpr std::size_t longest_line = 4096;
constexpr auto patience = std::chrono::seconds(5);
constexpr auto step = std::chrono::milliseconds(10);

void set_nonblocking(const Fd& fd, bool on) {
  if (::fcntl(fd.get(), F_SETFL, on ? O_NONBLOCK : 0) != 0) throw system_error(errno, "fcntl");
}

}  // namespace

ClientProgram::ClientProgram(std::vector<std::string> arguments, Pipe pipe, const Run& run)
    : name_(std::filesystem::path(arguments.at(0)).filename()), direction_(pipe), run_(run) {
  seawall::Pipe data;
  seawall::Pipe messages;
  ::fcntl(data.read_end.get(), F_SETPIPE_SZ, pipe_bytes);  // refused by a low limit: then it stays as it is
  const bool output = direction_ == Pipe::its_output;
  set_nonblocking(data.read_end, output);
  set_nonblocking(data.write_end, !output);
  start(arguments, output ? data.write_end : data.read_end, messages.write_end);
  pipe_ = std::move(output ? data.read_end : data.write_end);
  messages_ = std::move(messages.read_end);
}

void ClientProgram::start(const std::vector<std::string>& arguments, const Fd& pipe_end, const Fd& messages_end) {
  ChildRequest request{.arguments = arguments, .errors = messages_end.get()};
  (direction_ == Pipe::its_output ? request.output : request.input) = pipe_end.get();
  try {
    child_ = std::make_unique<Child>(request);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{} (SEAWALL_PG_BINDIR names the directory where PostgreSQL's client "
                                          "programs are; Debian's package is postgresql-client)",
                                          error.what()));
  }
}

ClientProgram::~ClientProgram() {
  child_->signal(SIGTERM);
  for (std::chrono::nanoseconds waited{}; waited < patience && !child_->try_wait(); waited += step) {
    run_.clock.sleep(step, {});
  }
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
    if (wait.revents == 0 && child_->try_wait()) break;
    if (wait.revents != 0 && !read_messages()) messages_.close();
  }
  while (!child_->try_wait()) {
    run_.check();
    run_.clock.sleep(step, run_.stop);
  }
  if (const int status = *child_->try_wait(); status != 0) fail(status);
}

void ClientProgram::fail(int status) {
  const std::string how = status > 128 ? fmt::format("was ended by signal {}", status - 128)
                                       : fmt::format("failed with exit status {}", status);
  throw Error(Errc::db,
              last_line_.empty() ? fmt::format("{} {}", name_, how) : fmt::format("{} {}: {}", name_, how, last_line_));
}

}  // namespace seawall::ops
