#pragma once

#include "config/setting.hh"

namespace seawall::ops {

/// Of operations that put objects.
struct UploadSettings : config::Group {
  config::Setting<unsigned> upload_concurrency{
      *this,
      {.name = "WALG_UPLOAD_CONCURRENCY",
       .initial = 16,
       .range = {{1, 1024}},
       .doc = "Ceiling of uploads at once: of parts of a backup, and of WAL files next to the one being pushed."}};
};

/// Of operations that read objects.
struct DownloadSettings : config::Group {
  config::Setting<unsigned> download_concurrency{
      *this,
      {.name = "WALG_DOWNLOAD_CONCURRENCY",
       .initial = 10,
       .range = {{1, 1024}},
       .doc = "Ceiling of objects read at once: parts of a backup, and WAL segments that wal-fetch gets ahead of the "
              "server; with 1 it gets none ahead."}};
};

}  // namespace seawall::ops
