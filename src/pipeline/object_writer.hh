#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
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

/// Streams bytes into one object of a store: the last stage of every push. Collects parts in aligned buffers of the
/// store's part size and puts each as it fills, several at once where store and pool allow; an object of at most one
/// part is a single put. Parts of an object that is no bigger than expected are alike; else they double every 1,000, so
/// that 10,000 of them, the most that S3 takes, hold an object of any size. Destruction without commit() leaves
/// nothing. One thread. Memory: the current part, and others out of the pool.
class ObjectWriter final : public Sink {
 public:
  /// `name` in the archive, with suffix. `expected_bytes`: an upper bound of its stored size that is rarely exceeded.
  ObjectWriter(const Repository& repository, std::string_view name, storage::PutOptions options,
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
  std::size_t next_part_bytes() const;
  AlignedBuffer take_buffer();
  void give_back_buffer();
  storage::Part end_part();
  void send_part();
  bool may_send_aside();
  void put_part(storage::Part part, Bytes data);
  void put_part_here(const storage::Part& part);
  void put_part_aside(const storage::Part& part, AlignedBuffer full);
  void await_parts();
  void throw_failure();

  const std::shared_ptr<storage::Store> store_;
  const std::shared_ptr<PartPool> pool_;
  storage::PutOptions options_;
  std::string key_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_stop_;
  const storage::UploadShape shape_;
  const std::uint64_t bytes_as_expected_;  // up to here parts of the first size will do
  AlignedBuffer buffer_;                   // made with the first byte
  std::size_t filled_ = 0;
  std::uint64_t bytes_ = 0;
  Digester digester_;
  std::optional<storage::Upload> upload_;
  unsigned last_part_ = 0;

  std::mutex mutex_;
  std::condition_variable part_ended_;
  unsigned parts_under_way_ = 0;
  std::exception_ptr failure_;  // the first of a part sent aside
  std::vector<storage::Part> parts_;
};

/// ObjectWriter behind the repository's encoder and crypter: what is written goes compressed, and encrypted if that is
/// configured, into `name` + the codec's suffix. Zero-copy producers use filter(). A block index counts compressed
/// bytes as they are before encryption.
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
  std::unique_ptr<Filter> cipher_;  // null: not encrypted
  std::unique_ptr<Filter> encoder_;
};

/// `name` with the suffix of `codec`: "x.lz4", or "x" for none.
std::string with_suffix(std::string_view name, const codec::Codec& codec);

}  // namespace seawall::pipeline
