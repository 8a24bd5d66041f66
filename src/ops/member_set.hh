#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace seawall::ops {

/// The files that a backup's files_metadata.json lists, with what a restore must know of each: 9 bytes a file once
/// sealed, for there may be millions. Names are kept as 64-bit digests; two of 10^7 names collide with probability
/// 10^-6, and then a restore fails its closed-world check rather than miss a file.
///
/// Built by one thread, then sealed; afterwards find() and mark() may be called from any thread.
class MemberSet {
 public:
  enum Flag : std::uint8_t { incremented = 1, skipped = 2, restored = 4 };

  void add(std::string_view name, std::uint8_t flags);
  void seal();

  std::size_t size() const noexcept { return digests_.size(); }
  /// The name's flags; nothing if it is not in the set.
  std::optional<std::uint8_t> find(std::string_view name) const noexcept;
  bool contains(std::string_view name) const noexcept { return index_of(name).has_value(); }
  void mark(std::string_view name, Flag flag) noexcept;
  /// How many entries did not come although they should have: neither restored here nor, if this set leaves them to
  /// `parent` (skipped: unchanged since), brought or passed on by that. `above`: the sets of the backups that stand on
  /// this one; what one of them does not leave to those below nobody asks for. `parent` null: a full backup.
  std::size_t missing(const MemberSet* parent, std::span<const MemberSet* const> above) const noexcept;
  /// Is `name` one of them?
  bool is_missing(std::string_view name, const MemberSet* parent,
                  std::span<const MemberSet* const> above) const noexcept;

 private:
  struct Entry {
    std::uint64_t digest;
    std::uint8_t flags;
  };
  bool settled(std::uint64_t digest, std::uint8_t flags, const MemberSet* parent,
               std::span<const MemberSet* const> above) const noexcept;
  std::optional<std::size_t> index_of(std::string_view name) const noexcept;
  std::optional<std::size_t> index_of_digest(std::uint64_t digest) const noexcept;

  std::vector<Entry> entries_;  // until sealed
  std::vector<std::uint64_t> digests_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> flags_;
};

}  // namespace seawall::ops
