#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace seawall::ops {

/// The files that a backup's files_metadata.json lists, with what a restore must know of each: 9 bytes a file once
/// sealed, for there may be millions. Names are kept as 64-bit digests; two of 10^7 names collide with probability
/// 10^-6, and then a restore fails its closed-world check rather than miss a file.
///
/// Built by one thread, then sealed; afterwards everything else may be called from any thread.
class MemberSet {
 public:
  enum Flag : std::uint8_t {
    incremented = 1,
    skipped = 2,
    restored = 4,    ///< this backup's parts brought it
    complete = 8,    ///< kept in the newest backup's set alone: no older backup has anything to add
    in_a_part = 16,  ///< TarFileSets says which part has it; known only where that was asked
  };
  using Key = std::uint64_t;
  static Key key_of(std::string_view name) noexcept;

  void add(std::string_view name, std::uint8_t flags);
  void seal();

  std::size_t size() const noexcept { return keys_.size(); }
  /// The entry's flags; nothing if it is not in the set.
  std::optional<std::uint8_t> find(Key key) const noexcept;
  std::optional<std::uint8_t> find(std::string_view name) const noexcept { return find(key_of(name)); }
  bool has(Key key, std::uint8_t flags) const noexcept { return (find(key).value_or(0) & flags) != 0; }
  /// Nothing happens if the name is not in the set.
  void mark(std::string_view name, Flag flag) noexcept;
  /// How many entries `wanted` is true of.
  std::size_t count(const std::function<bool(Key, std::uint8_t flags)>& wanted) const;

 private:
  struct Entry {
    Key key;
    std::uint8_t flags;
  };
  std::optional<std::size_t> index_of(Key key) const noexcept;

  std::vector<Entry> entries_;  // until sealed
  std::vector<Key> keys_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> flags_;
};

}  // namespace seawall::ops
