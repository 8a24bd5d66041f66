#pragma once

#include <array>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hh"
#include "base/log.hh"

namespace seawall::cli {

/// What the lines of a run under the name wal-e tell besides the message.
struct WalELogSettings {
  std::string destinations = "stderr,syslog";  ///< WALE_LOG_DESTINATION: words divided by commas, others are ignored
  std::string facility = "USER";               ///< WALE_SYSLOG_FACILITY
  bool terse = false;                          ///< warnings and errors only
  std::string url;                             ///< of the archive: "s3://bucket/path/"
  std::string prefix;                          ///< its path: "" or "path/"
  std::string suffix = "lzo";                  ///< of WAL objects whose key is not told
  std::vector<std::string> syslog{"/dev/log", "/var/run/log", "/var/run/syslog"};  ///< the first that is a socket
};

/// A record of WAL-E's log.
struct WalERecord {
  LogLevel level = LogLevel::info;
  std::string_view logger = "wal_e.main";
  std::string_view message;
  std::string_view detail = {};
  std::string_view hint = {};
  std::string_view pairs = {};  ///< behind time and pid
};

/// WAL-E's log: records of several lines, MSG:, DETAIL:, HINT: and STRUCTURED:, on stderr and as datagrams for syslog,
/// in the form that parsers of its log know (docs/formats/wal-e-log.md). A record is one write(2).
class WalELog final : public Log {
 public:
  /// `clock` must outlive it. Says on stderr what of the settings cannot be had, as WAL-E does, and goes on.
  WalELog(WalELogSettings settings, Clock& clock);
  ~WalELog() override;
  WalELog(const WalELog&) = delete;
  WalELog& operator=(const WalELog&) = delete;

  bool enabled(LogLevel level) const noexcept override { return level >= least_; }
  void line(LogLevel level, std::string_view message) override;
  void event(const LogEvent& event, LogLevel level, std::string_view message) override;
  void record(const WalERecord& record);

  /// The object as the records name it.
  std::string url_of(std::string_view key) const { return settings_.url + std::string(key); }

 private:
  void wal_event(const LogEvent& event);
  void push_event(const LogEvent& event, std::string_view url, std::string_view pairs);
  void open_syslog();

  WalELogSettings settings_;
  Clock& clock_;
  LogLevel least_;
  bool to_stderr_ = false;
  int syslog_ = -1;
  int facility_ = 1;
};

/// A number of KiB per second as WAL-E writes it: "12.5", "03", "9.76562e+06"; "NaN" for 0.
std::string wal_e_rate(double bytes_per_second);

}  // namespace seawall::cli
