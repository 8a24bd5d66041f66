#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/filter.hh"

namespace seawall::crypto {

/// How an object with a header before its encrypted content is read.
struct EnvelopeReader {
  std::string name;     ///< of the object, for messages
  std::string setting;  ///< that asks for decryption
  /// How many bytes the header has, as far as its beginning `so_far` tells: as long as that is more than `so_far`
  /// has, more is collected. Throws Errc::corrupt naming the object if it is no such header.
  std::function<std::size_t(Bytes so_far)> header_bytes;
  /// The stage for what follows the whole header.
  std::function<std::unique_ptr<Filter>(Bytes header, Sink& next)> open;
};

/// Reads the header, then hands the rest to the stage that `open` made. An object that ends in the header is
/// Errc::corrupt, one that shows that it is not encrypted Errc::config.
std::unique_ptr<Filter> read_envelope(EnvelopeReader how, Sink& next);

}  // namespace seawall::crypto
