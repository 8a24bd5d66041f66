#pragma once

#include <string>

#include "storage/http/lane.hh"

namespace seawall::storage::http {

/// Whose certificates vouch for a server: the given file's, or the system's.
///
/// OpenSSL takes 25 ms to read the system's file of 140 authorities, for every connection. Where the system has the
/// same certificates in a directory by the hashes of their names, it looks up the one or two that it needs instead.
class Trust {
 public:
  /// Errc::config naming `ca_file` if it is not empty and cannot be read.
  Trust(const Libcurl& curl, std::string ca_file);

  void apply(const Lane& lane) const;
  /// Whether apply() leaves out the system's file: a directory may be less complete.
  bool is_narrow() const noexcept { return !directory_.empty(); }
  /// What apply() left out, for a second attempt.
  void widen(const Lane& lane) const;

 private:
  std::string ca_file_;
  std::string directory_;
  std::string system_file_;
};

}  // namespace seawall::storage::http
