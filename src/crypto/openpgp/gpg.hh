#pragma once

#include <span>
#include <string>

#include "crypto/openpgp/session.hh"

namespace seawall::crypto::openpgp {

/// The user's GnuPG. Both start the program and wait for it. Errc::config if it cannot be started.

/// The public keys that `key_id` names; Errc::config with GnuPG's message if there is none.
SecretBytes gpg_export(const std::string& program, const std::string& key_id);

/// Asks GnuPG (and with it its agent, card or pinentry) to decrypt a session key. It is given only `packets`, the
/// bodies of the packets that carry it, and none of the content. `passphrase` unlocks a protected key; empty: the agent
/// sees to it. Errc::denied with GnuPG's message if it has no key for them.
SessionKey gpg_session_key(const std::string& program, std::span<const std::string> packets, Bytes passphrase);

}  // namespace seawall::crypto::openpgp
