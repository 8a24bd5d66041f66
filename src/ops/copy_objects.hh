#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

/// One object to be copied under the same name.
struct CopyItem {
  std::string name;  ///< in the archive
  std::uint64_t bytes = 0;
  bool there = false;                           ///< in the target, with as many bytes
  bool replaceable = false;                     ///< another content is replaced, not refused
  std::optional<Digest> digest = std::nullopt;  ///< of the stored bytes
};

/// Copies single objects between two archives, as they are. Any thread.
class ObjectCopier {
 public:
  ObjectCopier(const pipeline::Repository& from, const pipeline::Repository& to);

  /// Errc::differs if the target has another object of that name, corrupt if the source has not the digest,
  /// not_found if it is gone.
  void copy(const CopyItem& item, const Run& run);
  /// Items as `next` gives them, eight at a time, until it gives none. It is called by one thread after the other.
  void copy_all(const std::function<std::optional<CopyItem>()>& next, const Run& run);

  /// Do both hold the same under this name, as far as copy_archive() looks?
  bool same(const CopyItem& item, const Run& run) const;

  std::atomic<std::uint64_t> objects{0}, bytes{0}, there{0};

 private:
  bool copy_within(const CopyItem& item, const storage::PutOptions& options, const Run& run);
  void stream(const CopyItem& item, const storage::PutOptions& options, const Run& run);
  void check_there(const CopyItem& item, const Run& run);

  const pipeline::Repository& from_;
  const pipeline::Repository& to_;
  std::atomic<bool> within_;  // both archives are in one store, and it copies
};

}  // namespace seawall::ops
