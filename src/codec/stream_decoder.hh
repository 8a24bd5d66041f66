#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "codec/codec.hh"

namespace seawall::codec {

/// A decoder around a library that takes any piece of the input and gives any piece of the output. Here are the
/// buffers, the way to `next` and the messages; the library is in the class that derives.
class StreamDecoder : public Filter {
 public:
  MutableBytes space() final;
  void filled(std::size_t n) final;
  void write(Bytes data) final;
  void finish() final;

 protected:
  /// `format`: as messages call it, static.
  StreamDecoder(const ObjectContext& context, std::string_view format, Sink& next);

  struct Progress {
    std::size_t taken = 0;  ///< bytes of the input
    std::size_t made = 0;   ///< bytes placed in the output
  };
  /// Decodes until `in` or the room in `out` is used up, or less if that is convenient; calls fail() for what is no
  /// stream. Called again with what was not taken, as long as there is something or `out` was filled.
  virtual Progress decode(Bytes in, MutableBytes out) = 0;
  /// Is everything that was taken whole? Asked once by finish(), if anything was taken.
  virtual bool is_complete() = 0;

  [[noreturn]] void fail(std::string_view cause, Errc code = Errc::corrupt) const;

 private:
  const std::string key_;
  const std::string_view format_;
  Sink& next_;
  AlignedBuffer input_;   // space()
  AlignedBuffer output_;  // for a `next` that has no room to place bytes in
  std::uint64_t offset_ = 0;
};

}  // namespace seawall::codec
