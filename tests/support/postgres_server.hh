#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/temp_dir.hh"

namespace seawall::test {

/// A real PostgreSQL cluster of its own: initdb and start in the constructor, stop and removal in the destructor. The
/// kernel ends the server if the test program dies. Reached through a socket in the temporary directory; superuser
/// "postgres", no passwords. Run by root, it belongs to the system user "postgres". Binaries that are not there make
/// the constructor throw: such a test fails and is never skipped.
///
/// Start it from the thread that lives longest: the server ends with the thread that started it.
class PostgresServer {
 public:
  struct Options {
    /// Where postgres and initdb are; empty: $SEAWALL_TEST_PG_BIN, else Debian's PostgreSQL 15.
    std::filesystem::path binaries{};
    std::vector<std::string> initdb_arguments{};  ///< "--wal-segsize=1"; data checksums are on in any case
    std::string configuration{};                  ///< appended to postgresql.conf
  };

  /// Whom the server runs as.
  struct Account {
    uid_t uid = 0;
    gid_t gid = 0;
  };

  PostgresServer();
  explicit PostgresServer(Options options);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  const std::filesystem::path& data() const { return data_; }
  const std::filesystem::path& socket_directory() const { return socket_; }
  /// A fresh directory beside the cluster that the server may write to: tablespaces, archives.
  std::filesystem::path make_directory(const std::string& name) const;

  /// Writes a file of the data directory, owned by the server's user.
  void write(const std::string& name, const std::string& content) const;

  void start();
  /// Fast shutdown, enforced after 20 s. Nothing if it does not run.
  void stop() noexcept;

  /// Output of one of PostgreSQL's programs, run as the server's user: program({"pg_controldata", data()}).
  std::string program(const std::vector<std::string>& command) const;
  /// Output of psql, unaligned, tuples only, without the last line break; throws on any SQL error.
  std::string sql(const std::string& statements, const std::string& database = "postgres") const;

  std::string log() const;

  /// Sets PGHOST, PGUSER and PGDATABASE of this process for libpq, and clears what could lead elsewhere.
  void use_by_environment() const;

 private:
  void wait_until_ready();

  Options options_;
  Account account_;
  TempDir directory_;
  std::filesystem::path data_;
  std::filesystem::path socket_;
  pid_t pid_ = -1;
};

}  // namespace seawall::test
