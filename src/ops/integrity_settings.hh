#pragma once

#include "ops/concurrency_settings.hh"

namespace seawall::ops {

/// Of wal-verify, which takes the last missing segments for late while so many may be.
struct IntegritySettings : UploadSettings {
  config::Setting<unsigned> max_delayed_wals{
      *this,
      {.name = "WALG_INTEGRITY_MAX_DELAYED_WALS",
       .initial = 0,
       .range = {{0, 1000000}},
       .doc = "How many of the cluster's last segments wal-verify may miss before it takes them for more than late."}};
};

}  // namespace seawall::ops
