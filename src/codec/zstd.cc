// Written are frames of their own of 1 MiB (4 MiB at levels that gain by it), each in one call of the library: that is
// a seventh faster than its streaming, which copies into a window of its own, lets several cores work on one object and
// a reader start in the middle. As a stream of frames is whole after each of them, two skippable frames around them say
// that an end must come and that it came (docs/formats/zstd.md); other readers pass these over. Read is every frame of
// the format up to a window of 128 MiB.
#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_d_forceIgnoreChecksum
#include <fmt/format.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <new>

#include "codec/block_encoder.hh"
#include "codec/makers.hh"
#include "codec/stream_decoder.hh"
#include "codec/unit_reader.hh"

namespace seawall::codec {
namespace {

constexpr std::size_t word = sizeof(std::uint32_t);
constexpr int default_level = 1;
constexpr int window_log_limit = 27;  // 128 MiB, as `zstd --long`; the zstd command refuses more as well

/// Skippable frames of ours: this magic number, the length of what follows (little-endian), a word that tells them
/// apart and, in the last, the length of the content.
constexpr std::uint32_t our_magic = ZSTD_MAGIC_SKIPPABLE_START + 7;
constexpr std::string_view begin_mark{"\x57\x2A\x4D\x18\x08\0\0\0SWbegin\0", 16};
constexpr std::string_view end_mark{"\x57\x2A\x4D\x18\x10\0\0\0SWwhole\0", 16};
constexpr std::size_t mark_head_bytes = 8;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

class FrameCoder final : public BlockCoder {
 public:
  explicit FrameCoder(int level) : context_(ZSTD_createCCtx()) {
    if (!context_) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
  }

  std::size_t encode(Bytes raw, MutableBytes out) override {
    const std::size_t n = ZSTD_compress2(context_.get(), out.data(), out.size(), raw.data(), raw.size());
    if (ZSTD_isError(n) == 0) return n;
    if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation) throw std::bad_alloc();
    throw Error(Errc::bug, fmt::format("zstd refuses to compress: {}", ZSTD_getErrorName(n)));
  }

 private:
  std::unique_ptr<ZSTD_CCtx, FreeContext> context_;
};

/// What comes next.
enum class Expect {
  magic,
  content,    ///< of a frame, which the library takes
  skip_size,  ///< of a skippable frame
  skipped,
  mark,  ///< the content of a skippable frame that may be ours
};

class ZstdDecoder final : public StreamDecoder {
 public:
  ZstdDecoder(const ObjectContext& context, Sink& next)
      : StreamDecoder(context, "zstd", next), context_(ZSTD_createDCtx()) {
    if (!context_) throw std::bad_alloc();
    wait_for(Expect::magic, word);
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, window_log_limit);
    if (context.digest_is_checked) {
      ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
    }
  }

 private:
  Progress decode(Bytes in, MutableBytes out) override {
    if (expect_ != Expect::content) return read_unit(in);
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    if (run(to, from) == 0) wait_for(Expect::magic, word);
    content_bytes_ += to.pos;
    return {from.pos, to.pos};
  }

  bool is_complete() override { return expect_ == Expect::magic && !units_.inside_unit() && !end_must_come_; }

  /// Returns 0 at the end of the frame.
  std::size_t run(ZSTD_outBuffer& to, ZSTD_inBuffer& from) {
    const std::size_t rest = ZSTD_decompressStream(context_.get(), &to, &from);
    if (ZSTD_isError(rest) != 0) refuse(ZSTD_getErrorCode(rest));
    return rest;
  }

  void wait_for(Expect what, std::size_t bytes) noexcept {
    expect_ = what;
    units_.expect(bytes);
  }

  Progress read_unit(Bytes in) {
    if (in.empty()) return {};
    Bytes rest = in;
    if (expect_ == Expect::skipped) {
      if (units_.skip(rest)) wait_for(Expect::magic, word);
    } else if (const Bytes unit = units_.take(rest); !unit.empty()) {
      accept(unit);
    }
    return {in.size() - rest.size(), 0};
  }

  void accept(Bytes unit) {
    if (expect_ == Expect::mark) return read_mark(unit);
    const auto number = load_le<std::uint32_t>(unit, 0);
    if (expect_ == Expect::magic) return begin_frame(number, unit);
    // The length of a skippable frame.
    const bool may_be_mark = is_ours_ && (number == begin_mark.size() - mark_head_bytes || number == end_mark.size());
    if (number == 0) return wait_for(Expect::magic, word);
    wait_for(may_be_mark ? Expect::mark : Expect::skipped, number);
  }

  /// The library would also take the formats before 2016 (v0.5 to v0.7), whose decoders no one tests any more; no
  /// archive is in them.
  void begin_frame(std::uint32_t magic, Bytes unit) {
    if ((magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START) {
      is_ours_ = magic == our_magic;
      return wait_for(Expect::skip_size, word);
    }
    if (magic != ZSTD_MAGICNUMBER) fail("has no frame where one should begin");
    ZSTD_inBuffer from{unit.data(), unit.size(), 0};
    ZSTD_outBuffer nothing{nullptr, 0, 0};
    run(nothing, from);
    expect_ = Expect::content;
  }

  void read_mark(Bytes unit) {
    wait_for(Expect::magic, word);
    const std::string_view text = text_of(unit);
    if (text == begin_mark.substr(mark_head_bytes)) {
      if (end_must_come_) fail("begins anew before its end: it was cut");
      end_must_come_ = true;
      content_bytes_ = 0;
    } else if (text.starts_with(end_mark.substr(mark_head_bytes))) {
      if (end_must_come_ && load_le<std::uint64_t>(unit, unit.size() - sizeof(std::uint64_t)) != content_bytes_) {
        fail("has not the length that was written: parts of it are missing");
      }
      end_must_come_ = false;
    }
  }

  [[noreturn]] void refuse(ZSTD_ErrorCode code) const {
    switch (code) {
      case ZSTD_error_memory_allocation:
        throw std::bad_alloc();
      case ZSTD_error_frameParameter_windowTooLarge:
        fail("needs a window of more than 128 MiB, which is not supported; recompress it with the zstd command",
             Errc::unsupported);
      case ZSTD_error_dictionary_wrong:
        fail("needs a preset dictionary, which is not supported", Errc::unsupported);
      case ZSTD_error_checksum_wrong:
        fail("has content that does not match its checksum");
      default:
        fail(fmt::format("is damaged ({})", ZSTD_getErrorString(code)));
    }
  }

  std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
  UnitReader units_;  // of what is between frames
  Expect expect_ = Expect::magic;
  bool is_ours_ = false;  // the skippable frame that has begun
  bool end_must_come_ = false;
  std::uint64_t content_bytes_ = 0;  // since our mark
};

std::string end_of(std::uint64_t raw_bytes) {
  std::string frame(end_mark);
  frame.append(text_of(std::as_bytes(std::span(&raw_bytes, 1))));
  return frame;
}

}  // namespace

std::unique_ptr<Filter> encode_zstd(const ObjectContext& context, int level, Sink& next) {
  const int chosen = level == 0 ? default_level : std::clamp(level, ZSTD_minCLevel(), ZSTD_maxCLevel());
  // Stored size against frames of 4 MiB: level 1 0.1 % more, level 7 0.7 %; speed of level 1 96 %, with a quarter of
  // the memory.
  const std::size_t frame_bytes = chosen <= 2 ? std::size_t{1} << 20 : std::size_t{4} << 20;
  return encode_blocks(context,
                       {.block_bytes = frame_bytes,
                        .encoded_bound = ZSTD_compressBound(frame_bytes),
                        .header = bytes_of(begin_mark),
                        .trailer = end_of,
                        .empty_object_has_one_block = true,
                        .make_coder = [chosen] { return std::make_unique<FrameCoder>(chosen); }},
                       next);
}

std::unique_ptr<Filter> decode_zstd(const ObjectContext& context, Sink& next) {
  return std::make_unique<ZstdDecoder>(context, next);
}

std::optional<int> zstd_level(std::string_view name) {
  struct Named {
    std::string_view name;
    int level;
  };
  // What WAL-G's encoder stores at its four levels is within 1 % of libzstd's 1, 2, 7 and 8; "default" is what is used
  // when nothing is set.
  static constexpr std::array<Named, 4> levels{{{"fastest", 1}, {"default", 1}, {"better", 7}, {"best", 11}}};
  const auto same = [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); };
  for (const Named& one : levels) {
    if (std::ranges::equal(one.name, name, same)) return one.level;
  }
  return std::nullopt;
}

}  // namespace seawall::codec
