#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/files_metadata.hh"
#include "archive/wal_name.hh"
#include "base/run.hh"

namespace seawall::postgres {

/// What a backup must know of the server before it starts.
struct ServerInfo {
  int version = 0;  ///< server_version_num: 150004
  std::uint64_t system_identifier = 0;
  std::string data_directory;  ///< as the server names it
  bool in_recovery = false;
  archive::Timeline timeline = 0;
  std::uint64_t wal_segment_bytes = 0;
  std::uint32_t block_bytes = 8192;
  bool data_checksums = false;
  std::string wal_level;
  std::string archive_mode;
  std::string archive_command;
  std::string archive_library;
};

struct BackupStart {
  archive::Lsn lsn;
  archive::Timeline timeline = 0;
  std::string segment_name;  ///< that holds the start LSN
  bool in_recovery = false;
};

struct BackupStop {
  archive::Lsn lsn;
  std::string label;           ///< content of backup_label
  std::string tablespace_map;  ///< content, may be empty
};

/// A connection to the server by libpq's own rules (PG* environment, service files, .pgpass), application_name
/// "wal-g" unless PGAPPNAME. statement_timeout, lock_timeout, idle timeouts are off. libpq is loaded with the first
/// session (docs/adr/0002). One thread at a time. Errors: network (not reachable), denied (privilege, with what to
/// grant), db (anything else the server says), unsupported (older than 10).
class Session {
 public:
  virtual ~Session() = default;
  virtual ServerInfo info() = 0;
  /// The server that was reached, of the several that PGHOST may name.
  virtual std::string host() const = 0;
  virtual std::string port() const = 0;
  virtual std::string version_text() = 0;  ///< what version() says
  /// Non-exclusive, fast checkpoint; the functions' names by version. The backup lives as long as the session.
  virtual BackupStart start_backup(std::string_view label) = 0;
  /// Does not wait for archiving: the caller does, with a limit of its own. `timeout` 0: none.
  virtual BackupStop stop_backup(std::chrono::nanoseconds timeout) = 0;
  virtual archive::Timeline timeline() = 0;  ///< of the checkpoint now; on a standby of the replay
  virtual bool in_recovery() = 0;
  /// Where the WAL ends now; on a standby what it has received, or replayed if it receives none.
  virtual archive::Lsn wal_end() = 0;
  virtual void ping() = 0;
  /// Names and OIDs of the databases that accept connections.
  virtual std::vector<std::pair<std::string, std::uint32_t>> databases() = 0;
  /// Relations with storage and partitioned parents of the connected database, children nested, one row at a time.
  virtual void relations(const std::function<void(const archive::RelationEntry&)>& visit) = 0;
};

/// `database` empty: libpq's choice. Connecting and every statement end early when `run.stop` is requested.
std::unique_ptr<Session> connect(std::string_view database, const Run& run);

}  // namespace seawall::postgres
