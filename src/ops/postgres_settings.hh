#pragma once

#include <cstdint>
#include <string>

#include "config/setting.hh"

namespace seawall::ops {

/// What several operations want to know about the cluster.
struct PostgresSettings : config::Group {
  config::Setting<std::string> pgdata{
      *this,
      {.name = "PGDATA",
       .doc = "The data directory whose WAL is archived; its control file tells which cluster it is. Without it "
              "wal-push looks at the directory above the file's pg_wal.",
       .kind = "path"}};
  config::Setting<unsigned> wal_segment_mb{
      *this,
      {.name = "WALG_PG_WAL_SIZE",
       .initial = 16,
       .range = {{1, 1024}},
       .doc = "Size of the cluster's WAL segments in MiB. Files that can be looked at are believed instead."}};

  std::uint64_t wal_segment_bytes() const { return std::uint64_t{wal_segment_mb()} << 20; }
};

}  // namespace seawall::ops
