#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/child.hh"
#include "config/setting.hh"

namespace seawall::ops {

/// For what runs servers and for what runs clients.
struct ProgramSettings : config::Group {
  config::Setting<std::string> bindir{
      *this,
      {.name = "SEAWALL_PG_BINDIR",
       .doc = "Directory of PostgreSQL's programs. Without it /usr/lib/postgresql/VERSION/bin, /usr/pgsql-VERSION/bin "
              "and PATH are looked at for those of a restored cluster's version (postgres, pg_ctl, pg_amcheck), and "
              "PATH for pg_dump, which must not be older than the server, pg_dumpall, pg_restore and psql.",
       .kind = "path"}};
};

struct ServerSettings : ProgramSettings {
  config::Setting<std::string> restore_command{
      *this,
      {.name = "RESTORE_COMMAND",
       .doc = "restore writes this restore_command for the server instead of one that names this program, and looks "
              "for no WAL in the archive."}};
};

/// The programs of one PostgreSQL version on this machine.
class ServerPrograms {
 public:
  /// `pg_version`: as version_of_directory(). Errc::not_found naming the places that were looked at.
  static ServerPrograms find(const std::string& bindir, int pg_version, const Run& run);

  std::string path(std::string_view name) const { return (directory_ / name).native(); }
  /// Nothing if it is not installed.
  std::optional<std::string> try_path(std::string_view name) const;

 private:
  explicit ServerPrograms(std::filesystem::path directory) : directory_(std::move(directory)) {}
  std::filesystem::path directory_;
};

/// As whom the programs of a cluster have to run: root may not run a server, the owner of the files may.
std::optional<ChildRequest::User> owner_of_cluster(const std::string& directory);

/// What postmaster.pid says of a server.
struct ServerState {
  int pid = 0;
  std::string port;
  std::string sockets;   ///< directory; empty: none
  bool ready = false;    ///< accepts connections: it is consistent, or recovery is over
  bool standby = false;  ///< is consistent, but lets nobody in before recovery is over
};
/// Nothing if no server runs.
std::optional<ServerState> server_state(const std::string& directory);

/// How far a server got.
struct Reached {
  std::string lsn;   ///< replayed to
  std::string time;  ///< commit time of the last transaction that was replayed; empty: there was none
  std::string timeline;
  bool in_recovery = false;
};
/// Asks through psql over the server's socket, as its owner, so that `peer` in pg_hba.conf lets it in.
Reached ask_how_far(const ServerPrograms& programs, const ServerState& state, const std::string& directory,
                    const std::string& role, const Run& run);

/// Errc::db: the server said no, or ended; with the last lines of its log.
Error server_failure(const std::string& what, const std::string& log_file);

}  // namespace seawall::ops
