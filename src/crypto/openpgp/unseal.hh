#pragma once

#include <memory>

#include "base/io.hh"
#include "crypto/openpgp/packet.hh"
#include "crypto/openpgp/session.hh"

namespace seawall::crypto::openpgp {

/// Decrypts the body of an encrypted packet that comes in any pieces into `next`. Errors are Refused.
class Unsealer {
 public:
  virtual ~Unsealer() = default;
  virtual void write(Bytes data) = 0;
  /// Decrypts what is left and refuses it all if it is not intact.
  virtual void finish() = 0;
};

/// CFB with MDC: a packet of type 18 after its version. `session` must be for AES.
std::unique_ptr<Unsealer> unseal_protected(const SessionKey& session, Sink& next);
/// CFB without protection: a packet of type 9.
std::unique_ptr<Unsealer> unseal_unprotected(const SessionKey& session, Sink& next);

/// The fields of a packet of type 20 before what is encrypted.
inline constexpr std::size_t ocb_header_bytes = 4 + 15;
/// OCB: a packet of type 20. `header`: its first ocb_header_bytes; Errc::unsupported for other modes than OCB.
std::unique_ptr<Unsealer> unseal_ocb(const SessionKey& session, Bytes header, Sink& next);

}  // namespace seawall::crypto::openpgp
