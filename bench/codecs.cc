// codecs: each codec's stage beside the library alone.
//
//   codecs FILE [ROUNDS] [NAME…]      all methods, or those named; the best of ROUNDS (3)
//
// One thread, memory to memory. "library" is one call over the whole file, or over each block where the library only
// knows blocks (lzo), without checksums of ours. Prints a JSON object per line: codec, what, bytes, stored, cpu
// seconds.
#include <brotli/decode.h>
#include <brotli/encode.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zstd.h>
#ifdef SEAWALL_LZO
#include <lzo/lzo1x.h>
#endif
#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.hh"
#include "stage.hh"

namespace {

using namespace seawall;
using namespace seawall::bench;

// Objects are read in pieces of half a MiB. Files are read into the encoders' own buffers, so that a copy into these
// must not be counted: nor is it when they are given blocks that are whole.
constexpr std::size_t decoded_piece_bytes = 512 << 10;
constexpr std::size_t encoded_piece_bytes = 4 << 20;
constexpr std::size_t lzo_block_bytes = 256 << 10;

struct Library {
  std::string_view codec;
  Work encode;
  Work decode;
};

std::size_t zstd_encode(std::string_view in, std::string& out) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  const std::size_t n = ZSTD_compress2(context, out.data(), out.size(), in.data(), in.size());
  ZSTD_freeCCtx(context);
  return n;
}

std::size_t brotli_encode(std::string_view in, std::string& out) {
  std::size_t n = out.size();
  require(BrotliEncoderCompress(2, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, in.size(), in_of(in), &n, out_of(out)) ==
              BROTLI_TRUE,
          "brotli");
  return n;
}

std::size_t brotli_decode(std::string_view in, std::string& out) {
  std::size_t n = out.size();
  require(BrotliDecoderDecompress(in.size(), in_of(in), &n, out_of(out)) == BROTLI_DECODER_RESULT_SUCCESS, "brotli");
  return n;
}

std::size_t lzma_run(bool encode, std::string_view in, std::string& out) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (encode) {
    lzma_options_lzma options{};
    lzma_lzma_preset(&options, 0);
    options.dict_size = 8 << 20;
    require(lzma_alone_encoder(&stream, &options) == LZMA_OK, "lzma");
  } else {
    require(lzma_alone_decoder(&stream, UINT64_MAX) == LZMA_OK, "lzma");
  }
  stream.next_in = in_of(in);
  stream.avail_in = in.size();
  stream.next_out = out_of(out);
  stream.avail_out = out.size();
  require(lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END, "lzma");
  const std::size_t n = out.size() - stream.avail_out;
  lzma_end(&stream);
  return n;
}

std::size_t gzip_decode(std::string_view in, std::string& out) {
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  stream.next_in = in_of(in);
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out_of(out);
  stream.avail_out = static_cast<uInt>(out.size());
  require(inflate(&stream, Z_FINISH) == Z_STREAM_END, "gzip");
  inflateEnd(&stream);
  return stream.total_out;
}

std::string gzip_of(std::string_view in) {
  z_stream stream{};
  deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, in.size()), '\0');
  stream.next_in = in_of(in);
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out_of(out);
  stream.avail_out = static_cast<uInt>(out.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "gzip");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::size_t lz4_encode(std::string_view in, std::string& out) {
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
  return LZ4F_compressFrame(out.data(), out.size(), in.data(), in.size(), &preferences);
}

std::size_t lz4_decode(std::string_view in, std::string& out) {
  LZ4F_dctx* context = nullptr;
  LZ4F_createDecompressionContext(&context, LZ4F_VERSION);
  std::size_t n = out.size();
  std::size_t taken = in.size();
  require(LZ4F_decompress(context, out.data(), &n, in.data(), &taken, nullptr) == 0, "lz4");
  LZ4F_freeDecompressionContext(context);
  return n;
}

#ifdef SEAWALL_LZO
std::vector<std::size_t> lzo_blocks;  // of the last encoding

std::size_t lzo_encode(std::string_view in, std::string& out) {
  std::vector<unsigned char> memory(LZO1X_1_MEM_COMPRESS);
  lzo_blocks.clear();
  std::size_t total = 0;
  for (std::size_t at = 0; at < in.size(); at += lzo_block_bytes) {
    const std::string_view block = in.substr(at, lzo_block_bytes);
    lzo_uint n = 0;
    lzo1x_1_compress(in_of(block), block.size(), out_of(out) + total, &n, memory.data());
    lzo_blocks.push_back(n);
    total += n;
  }
  return total;
}

std::size_t lzo_decode(std::string_view in, std::string& out) {
  std::size_t total = 0;
  for (const std::size_t bytes : lzo_blocks) {
    lzo_uint n = out.size() - total;
    require(lzo1x_decompress_safe(in_of(in), bytes, out_of(out) + total, &n, nullptr) == LZO_E_OK, "lzo");
    in.remove_prefix(bytes);
    total += n;
  }
  return total;
}
#endif

std::vector<Library> libraries() {
  return {
      {"lz4", lz4_encode, lz4_decode},
      {"zstd", zstd_encode,
       [](std::string_view in, std::string& out) {
         return ZSTD_decompress(out.data(), out.size(), in.data(), in.size());
       }},
      {"brotli", brotli_encode, brotli_decode},
      {"lzma", [](std::string_view in, std::string& out) { return lzma_run(true, in, out); },
       [](std::string_view in, std::string& out) { return lzma_run(false, in, out); }},
#ifdef SEAWALL_LZO
      {"lzo", lzo_encode, lzo_decode},
#endif
      {"gzip", nullptr, gzip_decode},
  };
}

class Bench {
 public:
  Bench(std::string raw, int rounds)
      : raw_(std::move(raw)),
        stored_(raw_.size() + raw_.size() / 4 + (1 << 20), '\0'),
        back_(raw_.size(), '\0'),
        rounds_(rounds) {}

  void run(const Library& library) {
    const codec::Codec& codec = *codec::find_codec(library.codec);
    std::string gzipped;
    if (codec.encode != nullptr) {
      both(codec.name, "library", library.encode, library.decode);
      both(
          codec.name, "stage",
          [&](std::string_view in, std::string& out) {
            Memory memory(out);
            return through(*codec.encode({.key = "bench", .size_hint = {}}, 0, memory), memory, in,
                           encoded_piece_bytes);
          },
          decode_stage(codec, false));
      decode(codec.name, "stage, digest checked", decode_stage(codec, true));
    } else {
      gzipped = gzip_of(raw_);
      stored_bytes_ = gzipped.copy(stored_.data(), gzipped.size());
      decode(codec.name, "library", library.decode);
      decode(codec.name, "stage", decode_stage(codec, false));
    }
  }

 private:
  static Work decode_stage(const codec::Codec& codec, bool digest_is_checked) {
    return [&codec, digest_is_checked](std::string_view in, std::string& out) {
      Memory memory(out);
      const codec::ObjectContext context{.key = "bench", .size_hint = {}, .digest_is_checked = digest_is_checked};
      return through(*codec.decode(context, memory), memory, in, decoded_piece_bytes);
    };
  }

  void both(std::string_view codec, std::string_view how, const Work& encode, const Work& decode_work) {
    measure(codec, "encode", how, [&] { stored_bytes_ = encode(raw_, stored_); });
    decode(codec, how, decode_work);
  }

  void decode(std::string_view codec, std::string_view how, const Work& work) {
    std::fill(back_.begin(), back_.end(), '\0');
    std::size_t n = 0;
    measure(codec, "decode", how, [&] { n = work(std::string_view(stored_).substr(0, stored_bytes_), back_); });
    require(n == raw_.size() && back_ == raw_, "what came back differs");
  }

  template <class Run>
  void measure(std::string_view codec, std::string_view what, std::string_view how, Run&& run) {
    const double best = best_cpu(rounds_, run);
    std::printf(
        "{\"codec\": \"%s\", \"what\": \"%s\", \"how\": \"%s\", \"bytes\": %zu, \"stored\": %zu, \"cpu\": %.6f, "
        "\"mb_per_second\": %.0f}\n",
        std::string(codec).c_str(), std::string(what).c_str(), std::string(how).c_str(), raw_.size(), stored_bytes_,
        best, mb_per_second(raw_.size(), best));
    std::fflush(stdout);
  }

  std::string raw_;
  std::string stored_;
  std::string back_;
  std::size_t stored_bytes_ = 0;
  int rounds_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: codecs FILE [ROUNDS] [NAME...]\n");
    return 2;
  }
  try {
    std::ifstream file(arguments[1], std::ios::binary);
    Bench bench(std::string(std::istreambuf_iterator<char>(file), {}), count > 2 ? std::atoi(arguments[2]) : 3);
    const std::vector<std::string_view> wanted(arguments + std::min(count, 3), arguments + count);
    for (const Library& library : libraries()) {
      if (wanted.empty() || std::ranges::find(wanted, library.codec) != wanted.end()) bench.run(library);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "codecs: %s\n", error.what());
    return 1;
  }
  return 0;
}
