#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "storage/s3/options.hh"
#include "storage/s3/s3_store.hh"

namespace seawall::storage::s3 {

/// What this server makes of conditions on writes, as far as is known. Thread-safe.
class Conditions {
 public:
  enum class Belief { unknown, honoured, ignored };

  explicit Conditions(PutIfAbsentCache cache) : cache_(std::move(cache)) {}

  /// Of If-None-Match: * on a put. The cache is asked with the first call.
  Belief if_absent();
  void learn_if_absent(bool honoured);
  /// Is it worth a second put of `bytes` to find out? Only for a result that outlives this process, or if it costs no
  /// more than to ask for the object before each put.
  bool worth_probing(std::size_t bytes) {
    constexpr std::size_t few = 64 << 10;
    return (cache_.keep || bytes <= few) && if_absent() == Belief::unknown;
  }

  /// On the end of an upload in parts, which other code of a server decides.
  bool at_completion() const noexcept { return at_completion_; }
  void refuse_at_completion() noexcept { at_completion_ = false; }

  /// If-Match of a put. radosgw compares the header with the bare tag, quotes and all.
  bool if_version() const noexcept { return if_version_; }
  void refuse_if_version() noexcept { if_version_ = false; }
  bool bare_tags() const noexcept { return bare_tags_; }
  void take_bare_tags() noexcept { bare_tags_ = true; }

  static Headers absent() { return {{"If-None-Match", "*"}}; }
  static Headers version(const std::string& version, bool bare) {
    return {{"If-Match", bare ? version : '"' + version + '"'}};
  }

 private:
  PutIfAbsentCache cache_;
  std::mutex mutex_;
  bool asked_ = false;
  Belief if_absent_ = Belief::unknown;
  std::atomic<bool> at_completion_ = true;
  std::atomic<bool> if_version_ = true;
  std::atomic<bool> bare_tags_ = false;
};

}  // namespace seawall::storage::s3
