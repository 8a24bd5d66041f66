#include "base/error.hh"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace seawall {
namespace {

constexpr std::array<ErrcInfo, 19> table{{
    {Errc::usage, "usage", 2, false, "see --help"},
    {Errc::config, "config", 3, false, "see 'seawall help SETTING'"},
    {Errc::not_found, "not_found", 4, false, ""},
    {Errc::exists, "exists", 5, false, ""},
    {Errc::differs, "differs", 6, false, "find out which of the two is right before removing either"},
    {Errc::foreign, "foreign", 7, false, "give every cluster a prefix of its own"},
    {Errc::corrupt, "corrupt", 8, false, "restore from another backup and keep the damaged object for analysis"},
    {Errc::incomplete, "incomplete", 9, false, ""},
    {Errc::in_use, "in_use", 10, true, ""},
    {Errc::no_space, "no_space", 11, true, "free space, then run the command again"},
    {Errc::denied, "denied", 12, false, "use another user or key, or grant this one the privilege"},
    {Errc::network, "network", 13, true, ""},
    {Errc::timeout, "timeout", 14, true, ""},
    {Errc::throttled, "throttled", 15, true, "lower WALG_UPLOAD_CONCURRENCY or WALG_DOWNLOAD_CONCURRENCY"},
    {Errc::db, "db", 16, true, ""},
    {Errc::unsupported, "unsupported", 17, false, ""},
    {Errc::cancelled, "cancelled", 18, false, ""},
    {Errc::io, "io", 19, true, ""},
    {Errc::bug, "bug", 20, false, "please report it with the command and its log"},
}};

Errc code_of(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return Errc::not_found;
    case ENOSPC:
    case EDQUOT:
      return Errc::no_space;
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::denied;
    case EEXIST:
      return Errc::exists;
    default:
      return Errc::io;
  }
}

}  // namespace

const ErrcInfo& info(Errc code) noexcept {
  for (const ErrcInfo& row : table) {
    if (row.code == code) return row;
  }
  return table.back();
}

std::span<const ErrcInfo> all_errcs() noexcept { return table; }

Error::Error(Errc code, std::string message) : code_(code), message_(std::move(message)) {}

Error& Error::retry_after(std::chrono::nanoseconds delay) {
  retry_after_ = delay;
  return *this;
}

Error& Error::during(std::string_view activity) {
  message_ = fmt::format("{}: {}", activity, message_);
  return *this;
}

Error system_error(int error_number, std::string_view activity) {
  return {code_of(error_number), fmt::format("{}: {}", activity, std::strerror(error_number))};
}

}  // namespace seawall
