#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "archive/tar.hh"
#include "base/bytes.hh"
#include "base/clock.hh"

namespace seawall::ops {

/// One member on its way into a backup. Its header is final before the first byte of its body, and the body yields
/// exactly that many bytes whatever happens to the file meanwhile: PostgreSQL replays WAL over what changed.
class PendingMember {
 public:
  virtual ~PendingMember() = default;
  virtual const archive::Member& header() const = 0;
  virtual Time modified() const = 0;  ///< full nanoseconds, taken before the first read
  /// Fills all of `into`, which is at most what is left of the body.
  virtual void read(MutableBytes into) = 0;
  /// Block numbers within the file whose checksum is wrong; valid once the body was read.
  virtual const std::vector<std::uint32_t>& corrupt_blocks() const = 0;
};

/// Where the members of a backup come from: a data directory, later BASE_BACKUP and deltas.
class MemberSource {
 public:
  virtual ~MemberSource() = default;
  /// The next member, each handed out once; null at the end. Called from every packing thread.
  virtual std::unique_ptr<PendingMember> next() = 0;
};

}  // namespace seawall::ops
