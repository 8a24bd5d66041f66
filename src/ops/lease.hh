#pragma once

#include <string>

#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// The mark of a backup in progress: `basebackups_005/NAME/seawall_lease.json`, put before the first part and renewed
/// while it runs, so that no sweep takes its parts for garbage. Removed when the backup ends, however it ends.
class Lease {
 public:
  Lease(const pipeline::Repository& repository, std::string backup, const Run& run);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  void renew();

 private:
  const pipeline::Repository& repository_;
  const std::string key_;
  const Run& run_;
};

}  // namespace seawall::ops
