#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.hh"
#include "pipeline/repository.hh"

namespace seawall::pipeline {

/// An object as it was stored.
struct Stored {
  storage::ObjectInfo object;
  bool created = true;  ///< false: only_if_absent and it stood there already
  Digest digest;        ///< of the stored bytes
};

/// Streams bytes into one object of a store: the last stage of every push. Collects parts in one aligned buffer of the
/// store's part size and puts each as it fills; an object of at most one part is a single put. Destruction without
/// commit() leaves nothing. One thread. Memory: part_bytes.
class ObjectWriter final : public Sink {
 public:
  ObjectWriter(storage::Store& store, std::string key, storage::PutOptions options,
               std::optional<std::uint64_t> expected_bytes, std::stop_token stop);
  ~ObjectWriter() override;
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;

  void write(Bytes data) override;
  /// Room in the part buffer, at least one byte, for producers that place bytes themselves; then filled(n).
  MutableBytes space();
  void filled(std::size_t n);
  /// Makes the object visible and durable; its size was confirmed. Errors of the store escape.
  Stored commit();
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  void put_part();

  storage::Store& store_;
  storage::PutOptions options_;
  std::string key_;
  std::stop_token stop_;
  const std::size_t part_bytes_;
  AlignedBuffer buffer_;  // made with the first byte
  std::size_t filled_ = 0;
  std::uint64_t bytes_ = 0;
  Digester digester_;
  std::optional<storage::Upload> upload_;
  std::vector<storage::Part> parts_;
};

/// ObjectWriter behind the repository's encoder: what is written goes compressed into `name` + its suffix.
/// Zero-copy producers use filter().
class EncodedObjectWriter final {
 public:
  /// `name` without suffix: "wal_005/000000010000000000000003". context.size_hint: raw bytes, when known.
  EncodedObjectWriter(const Repository& repository, std::string_view name, storage::PutOptions options,
                      codec::ObjectContext context, std::stop_token stop);

  codec::Filter& filter() { return *encoder_; }
  Stored commit();
  std::uint64_t stored_bytes() const noexcept { return object_.bytes(); }

 private:
  ObjectWriter object_;
  std::unique_ptr<codec::Filter> encoder_;
};

/// `name` with the suffix of `codec`: "x.lz4", or "x" for none.
std::string with_suffix(std::string_view name, const codec::Codec& codec);

}  // namespace seawall::pipeline
