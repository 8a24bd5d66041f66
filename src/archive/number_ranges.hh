#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace seawall::archive {

/// Segment numbers from `first` to `last`, both included.
struct NumberRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  bool operator==(const NumberRange&) const = default;
  std::uint64_t count() const noexcept { return last - first + 1; }
};
/// As the last of a range: without end.
inline constexpr std::uint64_t no_last = std::numeric_limits<std::uint64_t>::max();

/// A set of numbers held as ascending ranges that neither touch nor overlap: a million segments without a gap are one.
class NumberRanges {
 public:
  /// In any order; cheap when the numbers rise.
  void add(NumberRange range);

  bool empty() const noexcept { return ranges_.empty(); }
  std::span<const NumberRange> all() const noexcept { return ranges_; }
  /// Of a set that is not empty.
  std::uint64_t first() const noexcept { return ranges_.front().first; }
  std::uint64_t last() const noexcept { return ranges_.back().last; }
  std::uint64_t count() const noexcept;

  bool contains(std::uint64_t number) const noexcept { return covers({number, number}); }
  bool covers(NumberRange range) const noexcept;
  bool overlaps(NumberRange range) const noexcept;  ///< is any of it here?
  /// The least number from which on to `number` all are in the set, or all are not.
  std::uint64_t alike_since(std::uint64_t number) const noexcept;
  /// What of `within` is not in the set, ascending.
  std::vector<NumberRange> gaps(NumberRange within) const;
  NumberRanges without(const NumberRanges& others) const;
  NumberRanges common(const NumberRanges& others) const;

 private:
  /// The first range that ends at or after `number`.
  std::vector<NumberRange>::const_iterator at_or_after(std::uint64_t number) const noexcept;

  std::vector<NumberRange> ranges_;
};

}  // namespace seawall::archive
