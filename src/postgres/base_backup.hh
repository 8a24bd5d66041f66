#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "archive/wal_name.hh"
#include "base/bytes.hh"
#include "base/run.hh"

namespace seawall::postgres {

class Session;

/// How a server is asked for its files.
struct BaseBackupOptions {
  std::string label;
  std::uint64_t bytes_per_second = 0;  ///< that the server sends at most; 0: no limit
  bool verify_checksums = false;       ///< by the server, which fails at the end if a page is bad
};

/// First version that can verify checksums.
inline constexpr int verification_since = 110000;
/// Least and most that a server takes for its limit, in units of 1024 bytes per second.
inline constexpr std::uint64_t least_rate_kib = 32;
inline constexpr std::uint64_t most_rate_kib = std::uint64_t{1} << 20;

/// The command for a server of `version` (150004), which spells its options in parentheses from 15 on. What it sends
/// has a fast checkpoint before it, the tablespaces' places in tablespace_map, from 13 on a manifest with CRC-32C at
/// its end, and does not wait for WAL to be archived.
std::string base_backup_command(int version, const BaseBackupOptions& options);

/// A tablespace, as the server tells of it before its files.
struct BaseBackupTablespace {
  std::string oid;
  std::string location;
};

struct BaseBackupStart {
  archive::Lsn lsn;
  archive::Timeline timeline = 0;
  std::vector<BaseBackupTablespace> tablespaces;
};

/// Takes what the server sends; calls come in this order: started, then for each archive begin_archive, data…,
/// end_archive, then begin_manifest, manifest…, end_manifest if there is one.
class BaseBackupEvents {
 public:
  virtual ~BaseBackupEvents() = default;
  /// Nothing was sent so far: what it throws ends the backup on the server.
  virtual void started(const BaseBackupStart& start) = 0;
  /// A tar stream; `oid` of its tablespace, empty: the data directory.
  virtual void begin_archive(std::string_view oid) = 0;
  virtual void data(Bytes data) = 0;
  virtual void end_archive() = 0;
  virtual void begin_manifest() = 0;
  virtual void manifest(Bytes data) = 0;
  virtual void end_manifest() = 0;
  /// Some ten times a second while the server sends nothing.
  virtual void waiting() = 0;
};

/// Reads the messages that carry a base backup since 15: one stream in which a byte tells what follows it.
/// Errc::db on a message that is none of them, or in an order that cannot be.
class ArchiveMessages {
 public:
  explicit ArchiveMessages(BaseBackupEvents& to) : to_(to) {}
  void message(Bytes data);
  void end();

 private:
  enum class State { before, archive, manifest };
  void leave();

  BaseBackupEvents& to_;
  State state_ = State::before;
};

/// A connection of the replication protocol to the server of a session. Waits end as Session's do. One thread at a
/// time. Errors: as Session's; network and denied with what the server needs to let replication in.
class BaseBackup {
 public:
  BaseBackup(const Session& session, const Run& run);
  ~BaseBackup();
  BaseBackup(const BaseBackup&) = delete;
  BaseBackup& operator=(const BaseBackup&) = delete;

  /// Of the cluster that is connected to.
  std::uint64_t system_identifier();
  /// Takes one backup; returns where it ends. What `events` throws ends it on the server as well.
  archive::Lsn receive(const BaseBackupOptions& options, BaseBackupEvents& events);

 private:
  struct Live;
  std::unique_ptr<Live> live_;
};

}  // namespace seawall::postgres
