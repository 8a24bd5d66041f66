#pragma once

#include <string>

#include "crypto/secret.hh"

namespace seawall::crypto {

/// Where a passphrase comes from: the first that is set. None: there is none, and GnuPG's agent is asked.
struct PassphraseSource {
  std::string text;
  std::string path;     ///< a file whose first line it is
  std::string command;  ///< for /bin/sh; the first line that it prints
  bool empty() const noexcept { return text.empty() && path.empty() && command.empty(); }
};

/// The setting that gives it, for messages.
std::string_view passphrase_setting(const PassphraseSource& source) noexcept;

/// Reads the file or runs the command. Errc::config naming the setting if that fails or gives nothing.
SecretBytes read_passphrase(const PassphraseSource& source);

}  // namespace seawall::crypto
