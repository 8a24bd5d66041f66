#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "archive/sentinel.hh"
#include "archive/tar.hh"
#include "base/run.hh"

namespace seawall::postgres {

/// One entry of a data directory that belongs into a backup.
struct Entry {
  archive::Member member;        ///< named as WAL-G names it: "/base/1/1259", "/" for the root
  std::string path;              ///< where to open it
  Time modified{};               ///< nanoseconds
  bool is_control_file = false;  ///< global/pg_control: to be stored last
};

struct Walked {
  archive::TablespaceSpec spec;          ///< base_prefix and the tablespaces seen
  std::uint64_t data_catalog_bytes = 0;  ///< sum of lstat sizes of everything walked, excluded entries too
};

/// Walks `data_directory` and its tablespaces in lexical order, depth first, and hands every entry to `visit`.
///
/// Left out, by PostgreSQL's own rules (backend/backup/basebackup.c): contents of pg_wal, pg_replslot, pg_dynshmem,
/// pg_notify, pg_serial, pg_snapshots, pg_stat_tmp, pg_subtrans, log and pgsql_tmp* directories (their headers are
/// kept); postmaster.pid and .opts, temporary files and relations, pg_internal.init*, backup_label and its kin,
/// signal files, sockets; relations of unlogged tables but for their init forks. A pg_wal that is a link becomes an
/// empty directory. Links to tablespaces become entries of the spec. What vanishes meanwhile is passed over with a
/// debug line. User and group names are looked up once per id. Errors: denied naming the path, io.
Walked walk_data_directory(const std::filesystem::path& data_directory, const std::function<void(Entry)>& visit,
                           const Run& run);

}  // namespace seawall::postgres
