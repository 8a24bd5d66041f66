#include "archive/wal_listing.hh"

#include <fmt/format.h>

#include <algorithm>

namespace seawall::archive {

std::string WalStream::object_name(std::uint64_t number, std::uint64_t segment_bytes) const {
  return print_wal_object(kind_, {timeline_, number}, rest_, segment_bytes);
}

std::uint64_t SizeSum::bytes(const SizeSum& others) const noexcept {
  const SizeSum& sample = known_ != 0 ? *this : others;
  if (unknown_ == 0 || sample.known_ == 0) return bytes_;
  const double mean = static_cast<double>(sample.bytes_) / static_cast<double>(sample.known_);
  return bytes_ + static_cast<std::uint64_t>(mean * static_cast<double>(unknown_));
}

void WalStream::add(std::uint64_t number, std::optional<std::uint64_t> bytes, Time modified) {
  constexpr std::uint64_t most = unknown - 1;
  // A run ends where an object is empty, so that its time is of what can be used.
  const bool alike = !runs_.empty() && (bytes == 0) == (bytes_.back() == 0);
  if (bytes == 0) ++empties_;
  bytes_.push_back(bytes ? static_cast<std::uint32_t>(std::min(*bytes, most)) : unknown);
  if (alike && number == runs_.back().last() + 1) {
    ++runs_.back().count;
    runs_.back().last_modified = modified;
  } else {
    runs_.push_back({.first = number,
                     .count = 1,
                     .offset = static_cast<std::uint32_t>(bytes_.size() - 1),
                     .last_modified = modified});
  }
}

void WalStream::settle() {
  const auto in_order = [](const Run& a, const Run& b) { return a.last() < b.first; };
  if (std::adjacent_find(runs_.begin(), runs_.end(), [&](const Run& a, const Run& b) { return !in_order(a, b); }) !=
      runs_.end()) {
    rebuild();
  }
  runs_.shrink_to_fit();
  bytes_.shrink_to_fit();
}

/// A store that is listed by several prefixes at once gives its keys out of order, and a key twice when it is
/// overwritten meanwhile.
void WalStream::rebuild() {
  struct Entry {
    std::uint64_t number;
    std::uint32_t bytes;
    Time modified;
  };
  std::vector<Entry> entries;
  entries.reserve(bytes_.size());
  for (const Run& run : runs_) {
    for (std::uint32_t i = 0; i < run.count; ++i) {
      entries.push_back({run.first + i, bytes_[run.offset + i], run.last_modified});
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.number < b.number; });
  runs_.clear();
  bytes_.clear();
  empties_ = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const bool repeated = i + 1 < entries.size() && entries[i + 1].number == entries[i].number;
    if (!repeated) add(entries[i].number, known(entries[i].bytes), entries[i].modified);
  }
}

template <class Use>
void WalStream::each(NumberRange range, Use&& use) const {
  auto run = std::lower_bound(runs_.begin(), runs_.end(), range.first,
                              [](const Run& r, std::uint64_t number) { return r.last() < number; });
  for (; run != runs_.end() && run->first <= range.last; ++run) {
    const std::uint64_t first = std::max(run->first, range.first);
    const std::uint64_t last = std::min(run->last(), range.last);
    for (std::uint64_t number = first; number <= last; ++number) {
      use(number, run->offset + (number - run->first));
    }
  }
}

void WalStream::visit(NumberRange range, const Visit& visit) const {
  each(range, [&](std::uint64_t number, std::size_t at) { visit(number, known(bytes_[at]).value()); });
}

void WalStream::visit_listed(NumberRange range, const VisitListed& visit) const {
  each(range, [&](std::uint64_t number, std::size_t at) { visit(number, known(bytes_[at])); });
}

void WalStream::look_up(NumberRange range, const SizeOf& size_of) {
  each(range, [&](std::uint64_t number, std::size_t at) {
    if (bytes_[at] != unknown) return;
    const std::uint64_t bytes = std::min<std::uint64_t>(size_of(number), unknown - 1);
    if (bytes == 0) ++empties_;
    bytes_[at] = static_cast<std::uint32_t>(bytes);
  });
}

bool WalListing::add(std::string_view file, std::optional<std::uint64_t> bytes, Time modified) {
  const auto object = parse_wal_object(file, segment_bytes_);
  if (!object) return false;
  bytes_.add(bytes);
  if (object->kind == WalObjectKind::history) {
    histories_.push_back({object->segment.timeline, std::string(file), bytes.value_or(0)});
  } else {
    stream(object->kind, object->segment.timeline, object->rest).add(object->segment.number, bytes, modified);
  }
  return true;
}

WalStream& WalListing::stream(WalObjectKind kind, Timeline timeline, std::string_view rest) {
  // Names come in runs of a kind; a listing of a million segments hardly ever looks further than here.
  if (last_stream_ < streams_.size()) {
    WalStream& last = streams_[last_stream_];
    if (last.timeline() == timeline && last.kind() == kind && last.rest() == rest) return last;
  }
  std::string name = fmt::format("{} {} {}", timeline, static_cast<int>(kind), rest);
  const auto [found, is_new] = names_.try_emplace(std::move(name), streams_.size());
  if (is_new) streams_.emplace_back(kind, timeline, std::string(rest));
  last_stream_ = found->second;
  return streams_[last_stream_];
}

void WalListing::settle() {
  timelines_.clear();
  for (WalStream& stream : streams_) stream.settle();
  for (const WalStream& stream : streams_) {
    if (stream.kind() != WalObjectKind::segment) continue;
    TimelineWal& wal = timelines_[stream.timeline()];
    for (const WalStream::Run& run : stream.runs()) {
      if (wal.listed.empty() || run.last() >= wal.listed.last()) wal.last_modified = run.last_modified;
      wal.listed.add({run.first, run.last()});
      if (!stream.has_empty()) wal.usable.add({run.first, run.last()});
    }
    if (!stream.has_empty()) continue;
    stream.visit_listed({0, no_last}, [&](std::uint64_t number, std::optional<std::uint64_t> bytes) {
      if (bytes != 0) wal.usable.add({number, number});
    });
  }
  std::sort(histories_.begin(), histories_.end(),
            [](const HistoryObject& a, const HistoryObject& b) { return a.name < b.name; });
}

void WalListing::look_up(Timeline timeline, NumberRange range, const SizeOf& size_of) {
  for (WalStream& stream : streams_) {
    if (stream.kind() != WalObjectKind::segment || stream.timeline() != timeline) continue;
    stream.look_up(
        range, [&](std::uint64_t number) { return size_of(stream.object_name(number, segment_bytes_)).value_or(0); });
  }
}

const TimelineWal* WalListing::timeline(Timeline timeline) const noexcept {
  const auto found = timelines_.find(timeline);
  return found == timelines_.end() ? nullptr : &found->second;
}

bool WalListing::has_history(Timeline timeline) const noexcept {
  return std::any_of(histories_.begin(), histories_.end(), [&](const HistoryObject& history) {
    return history.timeline == timeline && !history.name.ends_with(".json");
  });
}

std::uint64_t WalListing::objects() const noexcept {
  std::uint64_t sum = histories_.size();
  for (const WalStream& stream : streams_) sum += stream.count();
  return sum;
}

Time WalListing::stored_by(Timeline timeline, std::uint64_t number) const noexcept {
  Time latest{};
  for (const WalStream& stream : streams_) {
    if (stream.kind() != WalObjectKind::segment || stream.timeline() != timeline) continue;
    const auto run = std::lower_bound(stream.runs().begin(), stream.runs().end(), number,
                                      [](const WalStream::Run& r, std::uint64_t n) { return r.last() < n; });
    if (run != stream.runs().end() && run->first <= number) latest = std::max(latest, run->last_modified);
  }
  return latest;
}

}  // namespace seawall::archive
