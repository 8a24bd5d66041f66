#include "codec/stream_decoder.hh"

#include <fmt/format.h>

#include <utility>

#include "codec/makers.hh"

namespace seawall::codec {
namespace {

/// Decoded bytes on their way to `next` during one call, placed there if it offers room.
class Output {
 public:
  Output(Sink& next, AlignedBuffer& own) : next_(next), own_(own) {}

  MutableBytes room() {
    if (used_ == room_.size()) {
      flush();
      room_ = next_.room(piece_bytes);
      is_placed_ = !room_.empty();
      if (!is_placed_) {
        if (own_.size() == 0) own_ = AlignedBuffer(piece_bytes);
        room_ = own_.span();
      } else if (room_.size() > piece_bytes) {
        room_ = room_.first(piece_bytes);
      }
    }
    return room_.subspan(used_);
  }

  void made(std::size_t n) noexcept { used_ += n; }

  void flush() {
    if (used_ == 0) return;
    const std::size_t n = std::exchange(used_, 0);
    const Bytes data = std::exchange(room_, {}).first(n);
    is_placed_ ? next_.placed(n) : next_.write(data);
  }

 private:
  Sink& next_;
  AlignedBuffer& own_;
  MutableBytes room_;
  bool is_placed_ = false;
  std::size_t used_ = 0;
};

}  // namespace

StreamDecoder::StreamDecoder(const ObjectContext& context, std::string_view format, Sink& next)
    : key_(context.key), format_(format), next_(next) {}

MutableBytes StreamDecoder::space() {
  if (input_.size() == 0) input_ = AlignedBuffer(space_bytes);
  return input_.span();
}

void StreamDecoder::filled(std::size_t n) { write(input_.span().first(n)); }

void StreamDecoder::write(Bytes data) {
  Output output(next_, output_);
  while (!data.empty()) {
    const MutableBytes room = output.room();
    const Progress progress = decode(data, room);
    if (progress.taken == 0 && progress.made == 0) fail("cannot be decoded further");
    output.made(progress.made);
    offset_ += progress.taken;
    data = data.subspan(progress.taken);
    // What was taken may stand for more than the room could hold.
    for (bool full = progress.made == room.size(); full && data.empty();) {
      const MutableBytes more = output.room();
      const std::size_t made = decode({}, more).made;
      output.made(made);
      full = made == more.size();
    }
  }
  output.flush();
}

void StreamDecoder::finish() {
  if (offset_ == 0) fail("is empty");
  if (!is_complete()) fail("ends early: it was cut");
}

void StreamDecoder::fail(std::string_view cause, Errc code) const {
  throw Error(code, fmt::format("{}: {} stream {} (near byte {})", key_, format_, cause, offset_));
}

}  // namespace seawall::codec
