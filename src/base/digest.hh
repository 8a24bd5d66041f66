#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.hh"

namespace seawall {

/// XXH3 with 128 bits: finds every accidental change at memory speed. It is no proof against a forger; that is the
/// work of the crypter's AEAD (docs/adr/0003).
struct Digest {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Digest&) const = default;
  std::string hex() const;  ///< 32 lower-case digits
};

Digest digest_of(Bytes data) noexcept;

/// The same, of bytes that come in pieces. Not thread-safe.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(Digester&&) noexcept;
  Digester& operator=(Digester&&) noexcept;
  void reset() noexcept;
  void update(Bytes data) noexcept;
  Digest value() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace seawall
