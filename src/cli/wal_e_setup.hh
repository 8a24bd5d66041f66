#pragma once

#include <string>
#include <vector>

#include "cli/wal_e_arguments.hh"
#include "cli/wal_e_log.hh"
#include "config/sources.hh"

namespace seawall::cli {

/// Settings that only WAL-E knows. What it shares with WAL-G is declared where it is used.
struct WalESettings : config::Group {
  config::Setting<std::string> log_destination{
      *this,
      {.name = "WALE_LOG_DESTINATION",
       .initial = "stderr,syslog",
       .doc = "Under the name wal-e: where log records go, stderr, syslog or both with a comma between them."}};
  config::Setting<std::string> syslog_facility{
      *this,
      {.name = "WALE_SYSLOG_FACILITY", .initial = "USER", .doc = "Under the name wal-e: syslog's facility, LOCAL0."}};
  config::Setting<std::string> retries{
      *this,
      {.name = "WALE_RETRIES",
       .doc = "Under the name wal-e: how often a failed request is repeated; WALG_S3_MAX_RETRIES comes first."}};
  config::Setting<std::string> instance_profile{
      *this,
      {.name = "AWS_INSTANCE_PROFILE",
       .doc = "Under the name wal-e: true takes the credentials of the machine and not those of the environment."}};
  config::Setting<std::string> compression{
      *this,
      {.name = "SEAWALL_WALE_COMPRESSION",
       .initial = "lzo",
       .doc = "Under the name wal-e: how new objects are compressed. Only lzo can be read by WAL-E; the others are "
              "smaller or faster, and seawall reads them all."}};
};

/// What the environment and the global options come to for a run under the name wal-e.
class WalESetup {
 public:
  /// `environment` must outlive it.
  WalESetup(const WalEArguments& arguments, const char* const* environment);

  /// Of these it fails for none: errors are to be logged.
  const WalESettings& settings() const noexcept { return settings_; }
  WalELogSettings log_settings() const;

  /// Finds the storage as WAL-E does, and puts what it came to into `sources`, above the environment. Errc::config: no
  /// storage, or what it needs is missing; Errc::unsupported: one that is not built; Errc::usage: a value that cannot
  /// be read.
  void configure(config::Sources& sources);
  /// Is the archive a directory? Valid after configure().
  bool on_files() const noexcept { return scheme_ == "file"; }
  const std::string& file_root() const noexcept { return file_root_; }

 private:
  std::string value(std::string_view name) const;
  void choose_prefix();
  void check_s3() const;
  void drop_from_environment();

  const WalEArguments& arguments_;
  config::Sources given_;
  WalESettings settings_;
  std::vector<std::string> environment_;
  std::string origin_;  ///< of the prefix: the option or the variable
  std::string prefix_;
  std::string scheme_;
  std::string place_;  ///< the host or bucket
  std::string path_;   ///< without the slash in front, with one at the end
  std::string file_root_;
};

}  // namespace seawall::cli
