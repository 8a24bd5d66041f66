#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace seawall {

/// What went wrong, as far as a caller, a script or an operator can act on it.
enum class Errc {
  usage,        ///< the command line is wrong
  config,       ///< a setting is missing, malformed or contradicts another
  not_found,    ///< something the operation cannot go on without is not there
  exists,       ///< something stands where the operation wanted to create
  differs,      ///< an object of that name exists with other content
  foreign,      ///< data of another cluster or timeline
  corrupt,      ///< bytes that cannot be what they claim to be
  incomplete,   ///< an archive or a directory lacks parts of what it should hold
  in_use,       ///< a server runs on it, or another seawall holds it
  no_space,     ///< the file system or the store is full
  denied,       ///< permission or privilege missing
  network,      ///< the other side was not reached or broke off
  timeout,      ///< a time budget is used up
  throttled,    ///< the store asks to slow down
  db,           ///< the database server refused or failed
  unsupported,  ///< known, but not by this build or this store
  cancelled,    ///< a signal or another worker's failure ended it
  io,           ///< the operating system failed otherwise
  bug,          ///< an assumption of this program does not hold
};

/// One row per code. Manual pages and docs/exit-codes.md are printed from these rows.
struct ErrcInfo {
  Errc code;
  std::string_view name;  ///< stable: part of JSON output
  int exit_status;        ///< of our own commands; WAL-G's commands give 1 instead (see cli/exit_status.hh)
  bool retryable;         ///< may the same call succeed later, unchanged?
  std::string_view hint;  ///< what the operator should try, or empty
};

const ErrcInfo& info(Errc code) noexcept;
std::span<const ErrcInfo> all_errcs() noexcept;

/// "This operation cannot go on." Absence is never an Error but a value (optional, null).
/// Caught in four places only: main, the retry wrapper, the pipeline join, a batch that may skip items.
/// The message names the thing, the cause and, where one exists, what to try; it never holds a secret.
class Error : public std::exception {
 public:
  Error(Errc code, std::string message);

  Errc code() const noexcept { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

  /// Prefixes what the caller was doing: "part_003.tar.lz4: connection reset".
  Error& during(std::string_view activity);

  /// How long the other side asked to be left alone (Retry-After), for whoever tries again.
  Error& retry_after(std::chrono::nanoseconds delay);
  std::optional<std::chrono::nanoseconds> retry_after() const noexcept { return retry_after_; }

 private:
  Errc code_;
  std::string message_;
  std::optional<std::chrono::nanoseconds> retry_after_;
};

/// Error for a failed system call: code from `error_number` (ENOENT: not_found, ENOSPC and EDQUOT: no_space,
/// EACCES and EPERM: denied, EEXIST: exists, others: io), message "<activity>: <strerror>".
Error system_error(int error_number, std::string_view activity);

}  // namespace seawall
