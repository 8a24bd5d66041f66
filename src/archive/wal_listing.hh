#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/number_ranges.hh"
#include "archive/wal_object.hh"
#include "base/clock.hh"

namespace seawall::archive {

/// A sum of sizes of which some are not known: those count as the mean of the others.
class SizeSum {
 public:
  void add(std::optional<std::uint64_t> bytes) noexcept {
    bytes ? ++known_ : ++unknown_;
    bytes_ += bytes.value_or(0);
  }
  bool exact() const noexcept { return unknown_ == 0; }
  /// `others`: of which to take the mean where not one size is known here.
  std::uint64_t bytes(const SizeSum& others) const noexcept;
  std::uint64_t bytes() const noexcept { return bytes(*this); }

 private:
  std::uint64_t bytes_ = 0;
  std::uint64_t known_ = 0;
  std::uint64_t unknown_ = 0;
};

/// Objects of one kind, one timeline and one way of writing the rest of the name: "every segment of timeline 1 that
/// ends in .lz4". Four bytes an object, and 32 for every run without a gap.
class WalStream {
 public:
  WalStream(WalObjectKind kind, Timeline timeline, std::string rest)
      : kind_(kind), timeline_(timeline), rest_(std::move(rest)) {}

  WalObjectKind kind() const noexcept { return kind_; }
  Timeline timeline() const noexcept { return timeline_; }
  const std::string& rest() const noexcept { return rest_; }
  std::string object_name(std::uint64_t number, std::uint64_t segment_bytes) const;  ///< under wal_005/

  void add(std::uint64_t number, std::optional<std::uint64_t> bytes, Time modified);
  /// Puts in order what came out of order. Everything below wants it to have been called after the last add().
  void settle();

  struct Run {
    std::uint64_t first = 0;
    std::uint32_t count = 0;
    std::uint32_t offset = 0;  ///< of its first size
    Time last_modified{};      ///< of its last object
    std::uint64_t last() const noexcept { return first + count - 1; }
  };
  const std::vector<Run>& runs() const noexcept { return runs_; }
  bool has_empty() const noexcept { return empties_ != 0; }  ///< is any object 0 bytes long?
  std::uint64_t count() const noexcept { return bytes_.size(); }

  using Visit = std::function<void(std::uint64_t number, std::uint64_t bytes)>;
  /// The objects within `range`, ascending; for a listing that told every size.
  void visit(NumberRange range, const Visit& visit) const;
  using VisitListed = std::function<void(std::uint64_t number, std::optional<std::uint64_t> bytes)>;
  /// The same of any listing.
  void visit_listed(NumberRange range, const VisitListed& visit) const;

  using SizeOf = std::function<std::uint64_t(std::uint64_t number)>;
  /// Asks for the sizes within `range` that are not known.
  void look_up(NumberRange range, const SizeOf& size_of);

 private:
  static constexpr std::uint32_t unknown = std::numeric_limits<std::uint32_t>::max();
  static std::optional<std::uint64_t> known(std::uint32_t bytes) noexcept {
    return bytes == unknown ? std::nullopt : std::optional<std::uint64_t>(bytes);
  }
  void rebuild();
  template <class Use>
  void each(NumberRange range, Use&& use) const;

  WalObjectKind kind_;
  Timeline timeline_;
  std::string rest_;
  std::vector<Run> runs_;
  // No WAL object reaches 4 GiB: a segment has at most 1 GiB. One that claims to is counted as just below.
  std::vector<std::uint32_t> bytes_;
  std::uint64_t empties_ = 0;
};

/// What the segments of one timeline are together, whatever their codecs.
struct TimelineWal {
  NumberRanges listed;
  NumberRanges usable;   ///< without objects of 0 bytes, as far as sizes are known: what they held is lost
  Time last_modified{};  ///< of the segment with the highest number
};

struct HistoryObject {
  Timeline timeline = 0;
  std::string name;         ///< under wal_005/
  std::uint64_t bytes = 0;  ///< 0 also where the listing does not tell
};

/// Everything under wal_005/ by one listing.
class WalListing {
 public:
  explicit WalListing(std::uint64_t segment_bytes) : segment_bytes_(segment_bytes) {}

  std::uint64_t segment_bytes() const noexcept { return segment_bytes_; }
  /// False if `file`, a name under wal_005/, is nothing that is understood; it is not remembered then.
  bool add(std::string_view file, std::optional<std::uint64_t> bytes, Time modified);
  void settle();

  /// The size of an object under wal_005/; nothing: it is not there any more.
  using SizeOf = std::function<std::optional<std::uint64_t>(const std::string& file)>;
  /// Asks for the sizes of these segments that are not known: one of 0 bytes is not usable. settle() again after that.
  void look_up(Timeline timeline, NumberRange range, const SizeOf& size_of);

  const std::vector<WalStream>& streams() const noexcept { return streams_; }
  const std::map<Timeline, TimelineWal>& timelines() const noexcept { return timelines_; }
  const TimelineWal* timeline(Timeline timeline) const noexcept;  ///< null: no segment of it
  const std::vector<HistoryObject>& histories() const noexcept { return histories_; }
  bool has_history(Timeline timeline) const noexcept;
  std::uint64_t objects() const noexcept;
  const SizeSum& bytes() const noexcept { return bytes_; }  ///< of all objects
  /// When the segment that ends a run without gaps was stored, of the run that holds `number`.
  Time stored_by(Timeline timeline, std::uint64_t number) const noexcept;

 private:
  WalStream& stream(WalObjectKind kind, Timeline timeline, std::string_view rest);

  std::uint64_t segment_bytes_;
  std::vector<WalStream> streams_;
  std::map<std::string, std::size_t, std::less<>> names_;  ///< "TIMELINE rest" to stream
  std::size_t last_stream_ = 0;
  std::map<Timeline, TimelineWal> timelines_;
  std::vector<HistoryObject> histories_;
  SizeSum bytes_;
};

}  // namespace seawall::archive
