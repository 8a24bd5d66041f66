#pragma once

#include <cstddef>

#include "base/io.hh"

namespace seawall {

/// A Sink that alters or observes what passes on its way to the next one, which must outlive it. One thread.
///
/// A producer that can place bytes itself (a file read) avoids a copy: it fills `space()` and says `filled(n)`.
class Filter : public Sink {
 public:
  /// Room in this stage's own input buffer, at least one byte, valid until the next call of any method.
  virtual MutableBytes space() = 0;
  /// The first `n` bytes of the last `space()` are data now.
  virtual void filled(std::size_t n) = 0;
  /// Ends the object: writes the trailer (encoders) or refuses an input that ended early with Errc::corrupt
  /// (decoders). Called once; without it a decoder of what was written must fail, not end short (codec none, which
  /// has no frame, excepted). It does not finish `next`. Destruction without finish() writes nothing more.
  virtual void finish() = 0;

  /// Copies through space() and filled() unless a stage knows better.
  void write(Bytes data) override;
};

}  // namespace seawall
