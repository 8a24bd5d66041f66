// WAL-G writes quality 3; quality 2 stores 0.7 % more at 1.3 times the speed. The format has no checksum, no way to put
// streams one after the other and none to start in the middle.
#include <brotli/decode.h>
#include <brotli/encode.h>

#include <algorithm>
#include <new>

#include "codec/makers.hh"
#include "codec/pieces.hh"
#include "codec/stream_decoder.hh"

namespace seawall::codec {
namespace {

constexpr int default_quality = 2;
// Qualities 0 and 1 encode whatever one call brings, so that the output would depend on how the input was cut.
constexpr int least_quality = 2;

struct Free {
  void operator()(BrotliEncoderState* state) const noexcept { BrotliEncoderDestroyInstance(state); }
  void operator()(BrotliDecoderState* state) const noexcept { BrotliDecoderDestroyInstance(state); }
};

const std::uint8_t* input_of(Bytes data) { return reinterpret_cast<const std::uint8_t*>(data.data()); }
std::uint8_t* output_of(MutableBytes room) { return reinterpret_cast<std::uint8_t*>(room.data()); }

class BrotliEncoder final : public Filter {
 public:
  BrotliEncoder(int quality, Sink& next)
      : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)), out_(next, 1) {
    if (!state_) throw std::bad_alloc();
    BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_QUALITY, static_cast<std::uint32_t>(quality));
    // Else it is guessed from the first write, and chooses between match finders from quality 4 on.
    BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_SIZE_HINT, 16 << 20);
  }

  MutableBytes space() override {
    if (input_.size() == 0) input_ = AlignedBuffer(space_bytes);
    return input_.span();
  }

  void filled(std::size_t n) override { write(input_.span().first(n)); }

  void write(Bytes data) override {
    if (!data.empty()) drive(BROTLI_OPERATION_PROCESS, data);
  }

  void finish() override {
    drive(BROTLI_OPERATION_FINISH, {});
    out_.flush();
  }

 private:
  void drive(BrotliEncoderOperation operation, Bytes data) {
    const std::uint8_t* in = input_of(data);
    std::size_t in_bytes = data.size();
    do {
      const MutableBytes room = out_.room();
      std::uint8_t* out = output_of(room);
      std::size_t out_bytes = room.size();
      if (BrotliEncoderCompressStream(state_.get(), operation, &in_bytes, &in, &out_bytes, &out, nullptr) ==
          BROTLI_FALSE) {
        throw std::bad_alloc();  // the only reason it has
      }
      out_.placed(room.size() - out_bytes);
    } while (in_bytes > 0 || BrotliEncoderHasMoreOutput(state_.get()) == BROTLI_TRUE);
  }

  std::unique_ptr<BrotliEncoderState, Free> state_;
  PieceWriter out_;
  AlignedBuffer input_;
};

class BrotliDecoder final : public StreamDecoder {
 public:
  BrotliDecoder(const ObjectContext& context, Sink& next)
      : StreamDecoder(context, "brotli", next), state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (!state_) throw std::bad_alloc();
  }

 private:
  Progress decode(Bytes in, MutableBytes out) override {
    if (BrotliDecoderIsFinished(state_.get()) == BROTLI_TRUE) {
      if (!in.empty()) fail("has bytes after its end");
      return {};
    }
    const std::uint8_t* from = input_of(in);
    std::size_t in_bytes = in.size();
    std::uint8_t* to = output_of(out);
    std::size_t out_bytes = out.size();
    if (BrotliDecoderDecompressStream(state_.get(), &in_bytes, &from, &out_bytes, &to, nullptr) ==
        BROTLI_DECODER_RESULT_ERROR) {
      const BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(state_.get());
      if (code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES && code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES) {
        throw std::bad_alloc();
      }
      fail("is damaged");
    }
    return {in.size() - in_bytes, out.size() - out_bytes};
  }

  bool is_complete() override { return BrotliDecoderIsFinished(state_.get()) == BROTLI_TRUE; }

  std::unique_ptr<BrotliDecoderState, Free> state_;
};

}  // namespace

std::unique_ptr<Filter> encode_brotli(const ObjectContext& context, int level, Sink& next) {
  check_index(context);
  const int quality = level == 0 ? default_quality : std::clamp(level, least_quality, BROTLI_MAX_QUALITY);
  return std::make_unique<BrotliEncoder>(quality, next);
}

std::unique_ptr<Filter> decode_brotli(const ObjectContext& context, Sink& next) {
  return std::make_unique<BrotliDecoder>(context, next);
}

}  // namespace seawall::codec
