#pragma once

#include "crypto/secret.hh"

namespace seawall::crypto::openpgp {

/// The packets in a key file: binary as it is, ASCII armor decoded, several blocks one after the other, text around
/// them passed over. Errc::corrupt with the cause if it is neither or its checksum does not match.
SecretBytes dearmor(Bytes text);

}  // namespace seawall::crypto::openpgp
