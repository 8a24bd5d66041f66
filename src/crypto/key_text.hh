#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "crypto/secret.hh"

namespace seawall::crypto {

/// Where a key is read from: a text in a setting, or a file.
struct KeySource {
  std::string setting;  ///< that gives it, for messages: "WALG_LIBSODIUM_KEY_PATH"
  std::string text;     ///< the key itself; empty: read `path`
  std::string path;
};

/// The text of the key as it stands there. Errc::config naming the setting and the path if the file is missing, cannot
/// be read, is empty or larger than 16 MiB.
SecretBytes read_key(const KeySource& source);

/// The text without the white space around it.
Bytes trim(Bytes text) noexcept;

/// As Go's base64.StdEncoding: padded, line breaks are passed over. Nothing if malformed.
std::optional<SecretBytes> decode_base64(Bytes text);
std::optional<SecretBytes> decode_hex(Bytes text);

}  // namespace seawall::crypto
