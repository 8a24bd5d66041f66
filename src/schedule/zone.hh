#pragma once

#include <ctime>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.hh"

namespace seawall::schedule {

/// Is it a time zone of this machine: "Europe/Berlin", "UTC"? Empty is the process's own, and "Local" too.
bool is_zone(const std::string& name);

/// While it lives, local times are those of a zone. The C library has one zone per process, so others wait for it; it
/// must be short, and no other thread may read the environment meanwhile.
class ZoneScope {
 public:
  explicit ZoneScope(const std::string& zone);  ///< as is_zone() knows it
  ~ZoneScope();
  ZoneScope(const ZoneScope&) = delete;
  ZoneScope& operator=(const ZoneScope&) = delete;

  /// Local fields; tm_gmtoff is the offset.
  std::tm local(Time time) const;

 private:
  std::unique_lock<std::mutex> lock_;
  bool changed_ = false;
  std::optional<std::string> before_;
};

/// "2026-11-22 03:00:00 +0100" in that zone.
std::string local_text(Time time, const std::string& zone);

}  // namespace seawall::schedule
