#include "schedule/zone.hh"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>

namespace seawall::schedule {
namespace {

std::mutex& zone_of_process() {
  static std::mutex mutex;  // what it guards, the C library's zone, is one per process as well
  return mutex;
}

bool is_own(const std::string& zone) { return zone.empty() || zone == "Local"; }

}  // namespace

bool is_zone(const std::string& name) {
  if (is_own(name) || name == "UTC") return true;
  if (name.front() == '/' || name.find("..") != std::string::npos) return false;
  const char* directory = std::getenv("TZDIR");
  const std::string path = fmt::format("{}/{}", directory == nullptr ? "/usr/share/zoneinfo" : directory, name);
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

ZoneScope::ZoneScope(const std::string& zone) : lock_(zone_of_process()), changed_(!is_own(zone)) {
  if (!changed_) return;
  if (const char* before = std::getenv("TZ")) before_ = before;
  // "UTC0" is a rule that needs no file; a minimal container has none.
  ::setenv("TZ", zone == "UTC" ? "UTC0" : (":" + zone).c_str(), 1);
  ::tzset();
}

ZoneScope::~ZoneScope() {
  if (!changed_) return;
  if (before_) {
    ::setenv("TZ", before_->c_str(), 1);
  } else {
    ::unsetenv("TZ");
  }
  ::tzset();
}

std::tm ZoneScope::local(Time time) const {
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(
                                  std::chrono::floor<std::chrono::seconds>(time).time_since_epoch())
                                  .count();
  std::tm fields{};
  ::localtime_r(&seconds, &fields);
  return fields;
}

std::string local_text(Time time, const std::string& zone) {
  const ZoneScope scope(zone);
  const std::tm fields = scope.local(time);
  std::array<char, 64> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S %z", &fields);
  return {text.data(), length};
}

}  // namespace seawall::schedule
