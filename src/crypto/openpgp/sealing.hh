#pragma once

#include <array>
#include <memory>

#include "base/bytes.hh"

namespace seawall::crypto::openpgp {

inline constexpr std::size_t sha1_bytes = 20;

/// Encrypts with AES in CFB mode from a register of zeros, and hashes what it encrypts: the two halves of writing a
/// protected packet.
class Sealing {
 public:
  /// Bytes that run() takes a multiple of.
  static constexpr std::size_t unit = 64;

  virtual ~Sealing() = default;
  /// `out` has room for as much and lies elsewhere.
  virtual void run(Bytes in, std::byte* out) = 0;
  /// The last call: hashes what precedes the last sha1_bytes of `data`, puts the digest there, and encrypts it all.
  virtual void finish(MutableBytes data, std::byte* out) = 0;
};

/// The reverse. The hash stays a unit behind, because a digest that is not hashed may be among the last bytes.
class Opening {
 public:
  using Digest = std::array<std::byte, sha1_bytes>;

  virtual ~Opening() = default;
  /// A multiple of Sealing::unit. `out` has room for as much and lies elsewhere.
  virtual void run(Bytes in, std::byte* out) = 0;
  /// The last call: decrypts less than a unit, and returns the hash of all decrypted bytes except for the last
  /// sha1_bytes; there must have been that many.
  virtual Digest finish(Bytes in, std::byte* out) = 0;
};

/// By OpenSSL, on any processor.
std::unique_ptr<Sealing> make_portable_sealing(Bytes aes_key);
std::unique_ptr<Opening> make_portable_opening(Bytes aes_key);
/// Both halves in one loop of the processor's own instructions, nearly twice as fast: hashing is one chain of dependent
/// instructions, beside which another one runs for nothing. Null: this processor does not have them.
std::unique_ptr<Sealing> make_fused_sealing(Bytes aes_key);
std::unique_ptr<Opening> make_fused_opening(Bytes aes_key);

/// The faster one that this processor can run.
std::unique_ptr<Sealing> make_sealing(Bytes aes_key);
std::unique_ptr<Opening> make_opening(Bytes aes_key);

}  // namespace seawall::crypto::openpgp
