#pragma once

#include <fmt/format.h>

#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.hh"

namespace seawall {

enum class LogLevel { debug, info, warning, error };

/// A step on an object's way, for logs whose lines have fields that programs read (WAL-E's STRUCTURED).
struct LogEvent {
  std::string_view action;      ///< "push-wal", "wal-fetch", "wal-prefetch", "push-part", "fetch-part"
  std::string_view state;       ///< "begin", "complete", "skip"; empty: the only step there is
  std::string_view name;        ///< of the WAL file or part
  std::string_view key;         ///< of the object in its store
  std::string_view file;        ///< the local file; empty: none
  double bytes_per_second = 0;  ///< of what was stored; 0: too fast to be told, or not told
};

/// Where log lines go. Thread-safe. Never given a secret, and never stdout: data goes there.
class Log {
 public:
  virtual ~Log() = default;
  virtual bool enabled(LogLevel level) const noexcept = 0;
  virtual void line(LogLevel level, std::string_view message) = 0;
  /// Many messages, each ended by a line break: as line() for each, but they may share their time and their write.
  virtual void lines(LogLevel level, std::string_view messages);
  /// An ordinary line for those who know no fields.
  virtual void event(const LogEvent&, LogLevel level, std::string_view message) { line(level, message); }

  template <class... A>
  void debug(fmt::format_string<A...> format, A&&... args) {
    write(LogLevel::debug, format, std::forward<A>(args)...);
  }
  template <class... A>
  void info(fmt::format_string<A...> format, A&&... args) {
    write(LogLevel::info, format, std::forward<A>(args)...);
  }
  template <class... A>
  void warning(fmt::format_string<A...> format, A&&... args) {
    write(LogLevel::warning, format, std::forward<A>(args)...);
  }
  template <class... A>
  void error(fmt::format_string<A...> format, A&&... args) {
    write(LogLevel::error, format, std::forward<A>(args)...);
  }

 private:
  template <class... A>
  void write(LogLevel level, fmt::format_string<A...> format, A&&... args) {
    if (enabled(level)) line(level, fmt::format(format, std::forward<A>(args)...));
  }
};

enum class LogFormat { text, json };

/// Lines on a file descriptor that it does not own: WAL-G's "INFO: 2024/12/23 17:28:41.574101 text", or one JSON
/// object {"time","level","message"} each. A line is one write(2), so lines of several processes do not mix.
class FdLog final : public Log {
 public:
  /// `clock` must outlive it. What cannot be written is dropped. Line breaks within a message become blanks.
  FdLog(int fd, LogLevel least, LogFormat format, Clock& clock);
  bool enabled(LogLevel level) const noexcept override { return level >= least_; }
  void line(LogLevel level, std::string_view message) override;
  void lines(LogLevel level, std::string_view messages) override;

 private:
  void append(fmt::memory_buffer& to, LogLevel level, Time now, std::string_view message) const;

  int fd_;
  LogLevel least_;
  LogFormat format_;
  bool terminal_;
  Clock& clock_;
};

/// Keeps lines as "INFO: text" for tests.
class MemoryLog final : public Log {
 public:
  bool enabled(LogLevel) const noexcept override { return true; }
  void line(LogLevel level, std::string_view message) override;
  std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

}  // namespace seawall
