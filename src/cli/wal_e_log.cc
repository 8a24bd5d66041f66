#include "cli/wal_e_log.hh"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/detail/put_line.hh"
#include "base/text.hh"

namespace seawall::cli {
namespace {

constexpr std::size_t logger_width = 12;

struct Facility {
  std::string_view name;
  int number;
};
constexpr std::array<Facility, 20> facilities{
    {{"kern", 0},    {"user", 1},    {"mail", 2},    {"daemon", 3},    {"auth", 4},    {"syslog", 5},  {"lpr", 6},
     {"news", 7},    {"uucp", 8},    {"cron", 9},    {"authpriv", 10}, {"ftp", 11},    {"local0", 16}, {"local1", 17},
     {"local2", 18}, {"local3", 19}, {"local4", 20}, {"local5", 21},   {"local6", 22}, {"local7", 23}}};

/// The levels' names and what syslog calls them.
struct Level {
  std::string_view name;
  int severity;
};
constexpr std::array<Level, 4> levels{{{"DEBUG", 7}, {"INFO", 6}, {"WARNING", 4}, {"ERROR", 3}}};

const Level& level_of(LogLevel level) { return levels[static_cast<std::size_t>(level)]; }

/// "2026-11-20T23:55:24.778151-00", always UTC.
std::string time_text(Time now) {
  const auto micro = std::chrono::floor<std::chrono::microseconds>(now);
  const auto second = std::chrono::floor<std::chrono::seconds>(micro);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}-00", fmt::gmtime(std::chrono::system_clock::to_time_t(second)),
                     (micro - second).count());
}

/// Lines after the first are indented, so that a record can be told from the next.
std::string indented(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out.push_back(c);
    if (c == '\n') out.append(8, ' ');
  }
  return out;
}

std::string quoted_pairs(const LogEvent& event, std::string_view url, std::string_view prefix) {
  std::string pairs = fmt::format("action={} key={} prefix={}", event.action, url, prefix);
  if (event.action == "push-wal" && event.state == "complete") pairs += " rate=" + wal_e_rate(event.bytes_per_second);
  pairs += fmt::format(" seg={}", event.name);
  if (!event.state.empty()) pairs += fmt::format(" state={}", event.state);
  return pairs;
}

}  // namespace

std::string wal_e_rate(double bytes_per_second) {
  return bytes_per_second > 0 ? fmt::format("{:02.6g}", bytes_per_second / 1024) : "NaN";
}

WalELog::WalELog(WalELogSettings settings, Clock& clock)
    : settings_(std::move(settings)), clock_(clock), least_(settings_.terse ? LogLevel::warning : LogLevel::info) {
  for (const std::string_view word : split(settings_.destinations, ',')) {
    if (word == "stderr") to_stderr_ = true;
    if (word == "syslog" && syslog_ < 0) open_syslog();
  }
}

WalELog::~WalELog() {
  if (syslog_ >= 0) ::close(syslog_);
}

void WalELog::open_syslog() {
  const auto known = std::find_if(facilities.begin(), facilities.end(),
                                  [&](const Facility& f) { return f.name == lower(settings_.facility); });
  if (known != facilities.end()) {
    facility_ = known->number;
  } else {
    detail::put_line(STDERR_FILENO, fmt::format("WALE_SYSLOG_FACILITY is '{}', which syslog does not know; USER is "
                                                "used\n",
                                                settings_.facility));
  }
  for (const std::string& path : settings_.syslog) {
    struct stat status {};
    // A directory of that name is no syslog, whatever WAL-E thought of it.
    if (::stat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) continue;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      syslog_ = fd;
      return;
    }
    const int failure = errno;
    ::close(fd);
    if (failure == EACCES || failure == ECONNREFUSED) {
      detail::put_line(STDERR_FILENO,
                       fmt::format("{}: {}; nothing is logged to syslog\n", path, std::strerror(failure)));
    }
    return;
  }
}

void WalELog::record(const WalERecord& record) {
  if (!enabled(record.level)) return;
  std::string text = fmt::format("MSG: {}", record.message);
  if (!record.detail.empty()) text += fmt::format("\nDETAIL: {}", record.detail);
  if (!record.hint.empty()) text += fmt::format("\nHINT: {}", record.hint);
  text += fmt::format("\nSTRUCTURED: time={} pid={}", time_text(clock_.wall()), ::getpid());
  if (!record.pairs.empty()) text += fmt::format(" {}", record.pairs);
  const Level& level = level_of(record.level);
  const std::string whole = fmt::format("{:<{}} {:<8} {}", record.logger, logger_width, level.name, indented(text));
  if (to_stderr_) detail::put_line(STDERR_FILENO, whole + '\n');
  if (syslog_ >= 0) {
    std::string datagram = fmt::format("<{}>{}", facility_ * 8 + level.severity, whole);
    datagram.push_back('\0');
    ::send(syslog_, datagram.data(), datagram.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

void WalELog::line(LogLevel level, std::string_view message) { record({.level = level, .message = message}); }

void WalELog::event(const LogEvent& event, LogLevel, std::string_view) {
  if (event.action == "push-part") {
    const std::string detail =
        fmt::format("Uploading to \"{}\" complete at {}KiB/s. ", url_of(event.key), wal_e_rate(event.bytes_per_second));
    return record(
        {.logger = "wal_e.worker.upload", .message = "finish uploading a base backup volume", .detail = detail});
  }
  wal_event(event);
}

void WalELog::wal_event(const LogEvent& event) {
  const std::string url = event.key.empty() ? fmt::format("{}wal_005/{}{}{}", settings_.url, event.name,
                                                          settings_.suffix.empty() ? "" : ".", settings_.suffix)
                                            : url_of(event.key);
  const std::string pairs = quoted_pairs(event, url, settings_.prefix);
  if (event.action == "push-wal") return push_event(event, url, pairs);
  std::string_view message = "promoted prefetched wal segment";
  if (event.state == "begin") message = "begin wal restore";
  if (event.state == "complete") message = "complete wal restore";
  record({.logger = "wal_e.operator.backup", .message = message, .pairs = pairs});
}

void WalELog::push_event(const LogEvent& event, std::string_view url, std::string_view pairs) {
  WalERecord told{.logger = "wal_e.worker.upload", .message = "begin archiving a file", .pairs = pairs};
  std::string detail = fmt::format("Uploading \"{}\" to \"{}\".", event.file, url);
  if (event.state == "complete") {
    told.message = "completed archiving to a file";
    detail = fmt::format("Archiving to \"{}\" complete at {}KiB/s.", url, wal_e_rate(event.bytes_per_second));
  } else if (event.state == "skip") {
    told.message = "skip parallel archiving of a file";
    detail = fmt::format("The segment {} did not exist.", event.file);
  }
  told.detail = detail;
  record(told);
}

}  // namespace seawall::cli
