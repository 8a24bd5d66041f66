#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/filter.hh"
#include "crypto/openpgp/session.hh"

namespace seawall::crypto::openpgp {

/// Writes a message: `recipients` (the packets that carry the session key), then an encrypted packet with MDC in
/// parts of 128 KiB, in it a binary literal. A message that fits one part has its length in front.
std::unique_ptr<Filter> write_message(const SessionKey& session, std::string recipients, Sink& next);

/// What a message told before its encrypted part.
struct Envelope {
  std::vector<std::string> packets;  ///< bodies of the packets that carry the session key for public keys
  bool has_password = false;         ///< one of them is for a password
};

struct ReadOptions {
  std::string name;     ///< the object, for messages
  std::string setting;  ///< that gave the key
  bool allow_unprotected = false;
  /// Finds the session key; throws Errc::denied or config if none of the recipients' keys is there. Called once.
  std::function<SessionKey(const Envelope&)> find_session;
};

/// Reads a message: any cipher of AES with MDC, GnuPG's OCB, without protection only if allowed; inside, literals of
/// any mode as they are, uncompressed or compressed with zip or zlib; signatures are passed over.
std::unique_ptr<Filter> read_message(ReadOptions options, Sink& next);

}  // namespace seawall::crypto::openpgp
