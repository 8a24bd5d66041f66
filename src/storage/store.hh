#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hh"
#include "base/io.hh"

namespace seawall::storage {

/// A stored object as a listing or a put reports it.
struct ObjectInfo {
  std::string key;
  std::uint64_t bytes = 0;
  /// By the store's clock; nanoseconds where it has them. Decides LATEST and the order of lists. S3 tells it to the
  /// second where a single object is asked for, and not at all (the epoch) in the answer to put().
  Time modified{};
  std::string version;      ///< changes whenever the content does; empty if the store has none
  bool named_only = false;  ///< of a listing that was not asked for more: bytes, modified and version are not known
  bool latest = true;       ///< false in a listing of all versions: overwritten or deleted
  bool deleted = false;     ///< in a listing of all versions: marks a deletion
};

struct Range {
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length = {};  ///< to the end without it
};

struct ReadOptions {
  Range range = {};
  std::string if_version = {};   ///< Errc::differs if the object is no longer that version
  ObjectInfo* opened = nullptr;  ///< filled in, unless null, with the whole object that was opened
};

struct PutOptions {
  bool only_if_absent = false;
  std::string if_version = {};  ///< replace only this version; Errc::differs otherwise. Not with only_if_absent
  std::string storage_class = {};
};

struct PutResult {
  bool created = true;  ///< false: only_if_absent, and it was there; `object` then describes what is there
  ObjectInfo object;
};

/// A multi-part upload under way. Made by begin(); a value, so that a wrapper can repeat a step.
struct Upload {
  std::string key;
  std::string id;
  PutOptions options;
};

/// A finished part; the driver keeps what complete() needs in `tag`.
struct Part {
  unsigned number = 1;  ///< from 1, without gaps
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::string tag = {};
};

struct ListOptions {
  std::string prefix = {};
  std::string start_after = {};  ///< only keys greater than this
  bool one_level = false;        ///< keys with a further '/' after the prefix are folded into `visit_prefix`
  /// Of the others sizes, times and versions may be left out, where finding them takes time. Empty: wanted of all.
  /// Asked right before the object is visited; of one that a listing repeats, again.
  std::function<bool(std::string_view key)> details_of = {};
  bool all_versions = false;  ///< old versions and deletions too, newest first per key, where the store keeps them
};

/// One of the versions that a listing of all versions tells, deletion marks among them.
struct ObjectVersion {
  std::string key;
  std::string version;
};

struct RemoveFailure {
  std::string key;
  std::string reason;
};

/// Something that services differ in, for people to read.
struct Feature {
  std::string_view name;  ///< "object lock"
  std::string state;      ///< "on, 30 days in mode COMPLIANCE"
};

/// How a driver wants big objects. Ceilings, not promises.
struct UploadShape {
  std::size_t part_bytes = std::size_t{4} << 20;
  unsigned parts_in_flight = 1;
  std::size_t least_part_bytes = 1;  ///< of every part but the last
  std::size_t most_part_bytes = std::numeric_limits<std::size_t>::max();
};

/// A flat name space of immutable objects; keys are '/'-separated, without a leading slash, "." or "..".
/// storage/contract/store_contract.hh checks for every driver and wrapper:
/// whole or absent, never half; durable when put() or complete() returned; readable at once; list() complete and in
/// byte order; safe from any thread; nothing changes after `stop` was requested (Errc::cancelled).
/// Drivers do not retry: wrap/retry does. Errors: network, timeout, throttled, denied, no_space, io, corrupt, config.
class Store {
 public:
  using Visit = std::function<bool(const ObjectInfo&)>;  ///< false ends the listing
  using VisitPrefix = std::function<bool(std::string_view)>;

  virtual ~Store() = default;

  /// For messages and caches: "file:///backups", without credentials.
  virtual std::string description() const = 0;
  virtual UploadShape upload_shape(std::optional<std::uint64_t> expected_bytes) const = 0;

  virtual std::optional<ObjectInfo> stat(std::string_view key, std::stop_token stop) = 0;
  /// Those of `keys` that exist, in the order asked for. A driver may answer with one request when they share a prefix.
  virtual std::vector<ObjectInfo> stat_each(std::span<const std::string> keys, std::stop_token stop);
  /// Null: absent. A range that reaches beyond the end is cut there. The Source ends with the store at the latest; it
  /// reads one version to its end or throws, Errc::corrupt when fewer bytes come than the object has.
  virtual std::unique_ptr<Source> try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) = 0;

  /// Makes what is visible at `key` durable, for a caller that is about to acknowledge an object which it found there:
  /// whoever put it may have died before its sync. Object stores show nothing that is not durable; nothing is done.
  virtual void settle(std::string_view key, std::stop_token stop);

  /// What this service does beyond the contract, as far as it can be asked; nothing where all of a kind are alike.
  /// Errors as of any request.
  virtual std::vector<Feature> features(std::stop_token stop);

  virtual PutResult put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) = 0;

  virtual Upload begin(std::string_view key, const PutOptions& options, std::stop_token stop) = 0;
  /// Idempotent: the same number may be put again. Part n+1 starts where part n ends.
  virtual Part put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) = 0;
  /// Makes the object visible, whole and durable, and confirms its size. Asked again after a lost answer it gives the
  /// same one. Errc::not_found for an upload that was aborted, Errc::bug for parts that were not put.
  virtual PutResult complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) = 0;
  /// Releases what begin() and put_part() hold. Never throws; safe after complete().
  virtual void abort(const Upload& upload) noexcept = 0;

  virtual void list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
                    std::stop_token stop) = 0;
  void list(const ListOptions& options, const Visit& visit, std::stop_token stop) {
    list(
        options, visit, [](std::string_view) { return true; }, stop);
  }

  /// Within the store, without the bytes passing through here. Errc::not_found if `from` is absent.
  virtual PutResult copy(std::string_view from, std::string_view to, const PutOptions& options,
                         std::stop_token stop) = 0;
  /// Absent keys are fine. One answer for every key that is still there.
  virtual std::vector<RemoveFailure> remove(std::span<const std::string> keys, std::stop_token stop) = 0;

  /// Does a listing of all versions tell more than another, with an `ObjectInfo::version` that remove_versions() takes?
  virtual bool keeps_versions() const { return false; }
  /// As remove(), of single versions. Errc::unsupported where the store keeps none.
  virtual std::vector<RemoveFailure> remove_versions(std::span<const ObjectVersion> versions, std::stop_token stop);
};

/// Throws Errc::usage if `key` is empty, starts or ends with '/', has an empty, "." or ".." component, or a NUL.
void check_key(std::string_view key);

}  // namespace seawall::storage
