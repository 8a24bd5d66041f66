#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/filter.hh"
#include "base/work.hh"

namespace seawall::codec {

using seawall::Filter;

/// What a stage may know of the object that it is made for.
struct ObjectContext {
  std::string_view key;                    ///< for error messages; the stage keeps a copy
  std::optional<std::uint64_t> size_hint;  ///< bytes that will come in, when known
  CpuPool* pool = nullptr;                 ///< may be used to work on several blocks at once; null: stay on this thread
  /// Encoders push the stored offset, counted from the first byte given to `next`, from which the bytes at each
  /// multiple of `index_stride` raw bytes can be decoded alone; the first entry is for raw offset 0, and an empty
  /// object has none. Written on the calling thread, complete after finish(). Must outlive the stage. Null: no index.
  std::vector<std::uint64_t>* block_index = nullptr;
  std::uint64_t index_stride = 0;  ///< bytes, a multiple of 64 KiB; needed with block_index
  /// Decoders need not compute checksums of the decoded bytes: the caller holds a digest of the encoded bytes, and
  /// refuses the object if it is not theirs. What is malformed or cut is refused all the same.
  bool digest_is_checked = false;
};

/// One compression method. Names and suffixes are part of stored names, so for ever.
/// `level`: 0 is the method's own default, which stores about what WAL-G's does; others are the library's. A stage
/// throws what `next` throws, decoders also Errc::corrupt (bytes that are no whole, intact stream) and
/// Errc::unsupported (a preset dictionary, more memory than 128 MiB for a window); both std::bad_alloc.
struct Codec {
  std::string_view name;    ///< as in WALG_COMPRESSION_METHOD
  std::string_view suffix;  ///< without a dot: "lz4"; empty for none
  /// Null: this method is only read (gzip). Whoever chooses a method for writing refuses it.
  std::unique_ptr<Filter> (*encode)(const ObjectContext&, int level, Sink& next);
  std::unique_ptr<Filter> (*decode)(const ObjectContext&, Sink& next);
};

/// Every codec of this build, in the order in which a WAL object is looked for.
std::span<const Codec> all_codecs() noexcept;
/// Null: unknown to this build.
const Codec* find_codec(std::string_view name) noexcept;
const Codec* find_codec_by_suffix(std::string_view suffix) noexcept;

/// The level for zstd that a value of WALG_ZSTD_LEVEL means: fastest, default, better or best, in any case of letters.
/// Nothing: none of these.
std::optional<int> zstd_level(std::string_view name);

}  // namespace seawall::codec
