#pragma once

#include <memory>
#include <string>

#include "base/filter.hh"
#include "crypto/secret.hh"

namespace seawall::crypto {

/// The stream format of WAL-G's key-service methods, DARE 2.0: packages of 64 KiB, each with a header and a tag, the
/// last one marked. AES-256-GCM. No bytes give no package: nothing is written.
std::unique_ptr<Filter> seal_dare(SecretBytes key, Sink& next);

struct DareOptions {
  std::string name;       ///< of the object, for messages
  bool only_aes = false;  ///< refuse ChaCha20-Poly1305, and version 1.0, which has no mark on the last package
};
/// Reads DARE 2.0 and 1.0. Errors: Errc::corrupt naming the object.
std::unique_ptr<Filter> open_dare(SecretBytes key, DareOptions options, Sink& next);

}  // namespace seawall::crypto
