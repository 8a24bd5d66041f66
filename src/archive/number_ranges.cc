#include "archive/number_ranges.hh"

#include <algorithm>
#include <iterator>

namespace seawall::archive {
namespace {

/// `last` + 1, but without end stays without end.
std::uint64_t after(std::uint64_t last) noexcept { return last == no_last ? no_last : last + 1; }

}  // namespace

void NumberRanges::add(NumberRange range) {
  if (!ranges_.empty() && range.first >= ranges_.back().first) {
    NumberRange& back = ranges_.back();
    if (range.first > after(back.last)) {
      ranges_.push_back(range);
    } else {
      back.last = std::max(back.last, range.last);
    }
    return;
  }
  auto from = std::lower_bound(ranges_.begin(), ranges_.end(), range.first,
                               [](const NumberRange& r, std::uint64_t first) { return after(r.last) < first; });
  auto to = from;
  for (; to != ranges_.end() && to->first <= after(range.last); ++to) {
    range.first = std::min(range.first, to->first);
    range.last = std::max(range.last, to->last);
  }
  from = ranges_.erase(from, to);
  ranges_.insert(from, range);
}

std::uint64_t NumberRanges::count() const noexcept {
  std::uint64_t sum = 0;
  for (const NumberRange& range : ranges_) sum += range.count();
  return sum;
}

std::vector<NumberRange>::const_iterator NumberRanges::at_or_after(std::uint64_t number) const noexcept {
  return std::lower_bound(ranges_.begin(), ranges_.end(), number,
                          [](const NumberRange& range, std::uint64_t n) { return range.last < n; });
}

bool NumberRanges::covers(NumberRange range) const noexcept {
  const auto found = at_or_after(range.first);
  return found != ranges_.end() && found->first <= range.first && found->last >= range.last;
}

bool NumberRanges::overlaps(NumberRange range) const noexcept {
  const auto found = at_or_after(range.first);
  return found != ranges_.end() && found->first <= range.last;
}

std::uint64_t NumberRanges::alike_since(std::uint64_t number) const noexcept {
  const auto found = at_or_after(number);
  if (found != ranges_.end() && found->first <= number) return found->first;
  return found == ranges_.begin() ? 0 : std::prev(found)->last + 1;
}

std::vector<NumberRange> NumberRanges::gaps(NumberRange within) const {
  std::vector<NumberRange> found;
  std::uint64_t next = within.first;
  for (auto at = at_or_after(within.first); at != ranges_.end() && at->first <= within.last; ++at) {
    if (at->first > next) found.push_back({next, at->first - 1});
    if (at->last >= within.last) return found;
    next = at->last + 1;
  }
  if (next <= within.last) found.push_back({next, within.last});
  return found;
}

NumberRanges NumberRanges::without(const NumberRanges& others) const {
  NumberRanges left;
  for (const NumberRange& range : ranges_) {
    for (const NumberRange& gap : others.gaps(range)) left.add(gap);
  }
  return left;
}

NumberRanges NumberRanges::common(const NumberRanges& others) const {
  NumberRanges both;
  for (const NumberRange& range : ranges_) {
    for (auto at = others.at_or_after(range.first); at != others.ranges_.end() && at->first <= range.last; ++at) {
      both.add({std::max(range.first, at->first), std::min(range.last, at->last)});
    }
  }
  return both;
}

}  // namespace seawall::archive
