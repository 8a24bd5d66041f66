#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/child.hh"
#include "ops/server_programs.hh"

namespace seawall::ops {

/// Waits no longer than that; nothing: as long as the server lives.
using Patience = std::optional<std::chrono::nanoseconds>;

/// Starts the cluster's own server with pg_ctl and waits until it is consistent: it lets clients in, or would if
/// hot_standby were on. It stays when we end; its output goes to `log_file`. `options`: "name=value" each.
/// Errc::db with the end of the log if it ends, Errc::timeout if it takes too long (it goes on).
ServerState start_server(const ServerPrograms& programs, const std::string& directory,
                         const std::vector<std::string>& options, const std::string& log_file, Patience patience,
                         const Run& run);

/// A server on a directory that is thrown away: nobody but this machine's owner of the directory and root reaches it,
/// it archives nothing, follows no primary, loads no library, and ends with this process whatever happens.
class PrivateServer {
 public:
  struct Place {
    std::string data;     ///< the cluster
    std::string scratch;  ///< for configuration and log, beside `data`
    int pg_version = 0;
  };
  /// `options` ("name=value") come last, so they win.
  PrivateServer(const ServerPrograms& programs, Place place, const std::vector<std::string>& options, const Run& run);
  /// Stops it at once.
  ~PrivateServer();
  PrivateServer(const PrivateServer&) = delete;
  PrivateServer& operator=(const PrivateServer&) = delete;

  /// Until recovery is over and clients are let in. Errors as of start_server.
  ServerState wait_recovered(Patience patience);
  const std::string& log_file() const noexcept { return log_file_; }

 private:
  void make_sockets_directory();
  void write_configuration() const;

  const Place place_;
  const Run run_;
  const std::string log_file_;
  const std::optional<ChildRequest::User> user_;
  std::string sockets_;
  std::unique_ptr<Child> server_;
};

}  // namespace seawall::ops
