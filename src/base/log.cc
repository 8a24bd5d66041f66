#include "base/log.hh"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iterator>

#include "base/detail/put_line.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall {
namespace {

struct LevelName {
  std::string_view text, json;
};

const LevelName& name_of(LogLevel level) {
  static constexpr std::array<LevelName, 4> names{
      {{"DEBUG", "debug"}, {"INFO", "info"}, {"WARNING", "warning"}, {"ERROR", "error"}}};
  return names[static_cast<std::size_t>(level)];
}

/// One message is one line, whatever a server or a file name put into it.
std::string on_one_line(std::string_view message) {
  std::string line(message.substr(0, message.find_last_not_of("\r\n") + 1));
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return line;
}

}  // namespace

namespace detail {

void put_line(int fd, std::string_view line) noexcept {
  while (!line.empty()) {
    const ssize_t n = ::write(fd, line.data(), line.size());
    if (n > 0) {
      line.remove_prefix(static_cast<std::size_t>(n));
    } else if (n < 0 && errno == EAGAIN) {
      // A parent may have made the shared stderr non-blocking; a second is enough for a reader that is alive.
      pollfd writable{fd, POLLOUT, 0};
      if (::poll(&writable, 1, 1000) <= 0) return;
    } else if (n == 0 || errno != EINTR) {
      return;
    }
  }
}

}  // namespace detail

void Log::lines(LogLevel level, std::string_view messages) {
  while (!messages.empty()) {
    const std::size_t end = messages.find('\n');
    line(level, messages.substr(0, end));
    messages.remove_prefix(end == std::string_view::npos ? messages.size() : end + 1);
  }
}

FdLog::FdLog(int fd, LogLevel least, LogFormat format, Clock& clock)
    : fd_(fd), least_(least), format_(format), terminal_(::isatty(fd) == 1), clock_(clock) {}

void FdLog::append(fmt::memory_buffer& to, LogLevel level, Time now, std::string_view message) const {
  if (format_ == LogFormat::json) {
    fmt::format_to(std::back_inserter(to), R"({{"time":"{}","level":"{}","message":{}}})", rfc3339_nano(now),
                   name_of(level).json, json_string(message));
  } else {
    fmt::format_to(std::back_inserter(to), "{}: {} {}", name_of(level).text, log_time(now), on_one_line(message));
  }
  // The progress bar leaves the cursor at the start of its line: this wipes what the message does not cover.
  to.append(std::string_view(terminal_ ? "\x1b[K\n" : "\n"));
}

void FdLog::line(LogLevel level, std::string_view message) {
  if (!enabled(level)) return;
  fmt::memory_buffer line;
  append(line, level, clock_.wall(), message);
  detail::put_line(fd_, {line.data(), line.size()});
}

void FdLog::lines(LogLevel level, std::string_view messages) {
  if (!enabled(level)) return;
  const Time now = clock_.wall();
  // The time is most of the work of a line.
  fmt::memory_buffer start;
  if (format_ == LogFormat::text && !terminal_) {
    fmt::format_to(std::back_inserter(start), "{}: {} ", name_of(level).text, log_time(now));
  }
  fmt::memory_buffer text;
  while (!messages.empty()) {
    const std::size_t end = messages.find('\n');
    const std::string_view message = messages.substr(0, end);
    messages.remove_prefix(end == std::string_view::npos ? messages.size() : end + 1);
    if (start.size() == 0) {
      append(text, level, now, message);
    } else {
      text.append(start);
      text.append(message);
      text.push_back('\n');
    }
  }
  detail::put_line(fd_, {text.data(), text.size()});
}

void MemoryLog::line(LogLevel level, std::string_view message) {
  std::lock_guard lock(mutex_);
  text_ += fmt::format("{}: {}\n", name_of(level).text, message);
}

std::string MemoryLog::text() const {
  std::lock_guard lock(mutex_);
  return text_;
}

}  // namespace seawall
