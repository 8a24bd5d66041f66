#include "ops/verify_wal.hh"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "archive/layout.hh"
#include "base/work.hh"
#include "pipeline/object_reader.hh"
#include "postgres/wal_records.hh"

namespace seawall::ops {
namespace {

constexpr std::uint64_t run_segments = 16;

class NullSink final : public Sink {
 public:
  void write(Bytes) override {}
};

struct NamedObject {
  std::string name;  ///< in the archive
  std::uint64_t bytes = 0;
};

void pull_object(const pipeline::Repository& repository, const NamedObject& object, Sink& to, const Run& run) {
  storage::ObjectInfo info;
  info.key = repository.key(object.name);
  info.bytes = object.bytes;
  pipeline::pull(repository, info, pipeline::codec_of_key(info.key), to, run.stop);
  run.progress.advance(object.bytes);
}

/// Under every codec's suffix: usually one.
std::vector<NamedObject> objects_of(const archive::WalListing& wal, archive::Segment segment) {
  std::vector<NamedObject> found;
  for (const archive::WalStream& stream : wal.streams()) {
    if (stream.kind() != archive::WalObjectKind::segment || stream.timeline() != segment.timeline) continue;
    stream.visit({segment.number, segment.number}, [&](std::uint64_t number, std::uint64_t bytes) {
      found.push_back({archive::wal_object(stream.object_name(number, wal.segment_bytes())), bytes});
    });
  }
  return found;
}

}  // namespace

struct WalVerification::Totals {
  std::atomic<std::uint64_t> objects{0}, stored_bytes{0}, records{0};
  WalReading reading() const { return {.objects = objects, .stored_bytes = stored_bytes, .records = records}; }
};

/// Successive segments through one reader, which begins anew where something is wrong.
class WalVerification::Chain {
 public:
  Chain(const WalVerification& of, Findings& findings) : of_(of), findings_(findings) { renew(); }

  /// False if something is wrong with the segment; each object that claims to be it is looked at.
  bool read(archive::Segment segment, Totals& totals, const Run& run) {
    const std::vector<NamedObject> objects = objects_of(of_.wal_, segment);
    bool good = !objects.empty();
    for (std::size_t i = 0; i < objects.size(); ++i) {
      run.check();
      postgres::WalRecordReader again(of_.wal_.segment_bytes());
      const bool fine = read_object(objects[i], segment, i == 0 ? *reader_ : again, run);
      good = fine && good;
      if (!fine && i == 0) renew();
      ++totals.objects;
      totals.stored_bytes += objects[i].bytes;
    }
    if (!objects.empty()) {
      totals.records += reader_->records() - counted_;
      counted_ = reader_->records();
    }
    return good;
  }
  void renew() {
    reader_.emplace(of_.wal_.segment_bytes());
    counted_ = 0;
  }

 private:
  bool read_object(const NamedObject& object, archive::Segment segment, postgres::WalRecordReader& reader,
                   const Run& run) {
    try {
      reader.begin_segment(object.name, segment);
      pull_object(of_.repository_, object, reader, run);
      reader.end_segment();
      if (of_.system_identifier_ && reader.header().system_identifier != *of_.system_identifier_) {
        throw Error(Errc::foreign, fmt::format("it is WAL of the cluster with system identifier {}, the archive is that of {}",
                                               reader.header().system_identifier, *of_.system_identifier_));
      }
      const archive::TimelineWal* timeline = of_.wal_.timeline(segment.timeline);
      if (reader.ends_early() && timeline != nullptr && timeline->listed.contains(segment.number + 1)) {
        throw Error(Errc::corrupt, fmt::format("its records end at {}, and the segment behind it is not reached",
                                               reader.ends_early()->text()));
      }
      return true;
    } catch (const Error& error) {
      run.check();
      findings_.add(error, object.name);
      return false;
    }
  }

  const WalVerification& of_;
  Findings& findings_;
  std::optional<postgres::WalRecordReader> reader_;
  std::uint64_t counted_ = 0;
};

WalVerification::WalVerification(const pipeline::Repository& repository, const archive::WalListing& wal,
                                 const archive::TimelineTree& timelines, std::optional<std::uint64_t> system_identifier,
                                 Findings& findings,
                                 std::function<void(archive::Timeline, archive::NumberRange)> whole)
    : repository_(repository),
      wal_(wal),
      timelines_(timelines),
      system_identifier_(system_identifier),
      findings_(findings),
      whole_(std::move(whole)) {}

/// The segment whose last record may reach into this one: of the same timeline, or of the one that it stems from.
std::optional<archive::Segment> WalVerification::before(archive::Segment segment) const {
  if (segment.number == 0) return std::nullopt;
  const auto has = [&](archive::Timeline timeline) {
    const archive::TimelineWal* wal = wal_.timeline(timeline);
    return wal != nullptr && wal->usable.contains(segment.number - 1);
  };
  if (has(segment.timeline)) return archive::Segment{segment.timeline, segment.number - 1};
  const auto& path = timelines_.path(segment.timeline);
  const std::uint64_t end = segment.number * wal_.segment_bytes();
  for (const archive::HistoryEntry& ancestor : path) {
    // The ancestor that the last byte before the segment is of.
    if (ancestor.end.value < end) continue;
    if (has(ancestor.timeline)) return archive::Segment{ancestor.timeline, segment.number - 1};
    break;
  }
  return std::nullopt;
}

void WalVerification::verify_run(const Task& task, Totals& totals, const Run& run) {
  Findings elsewhere;  // the segment before is judged with its own run
  Totals twice;
  Chain warm(*this, elsewhere);
  const auto previous = before({task.timeline, task.range.first});
  Chain chain(*this, findings_);
  if (previous) chain.warm_up(*previous, twice, run);
  std::uint64_t good_from = task.range.first;
  for (std::uint64_t number = task.range.first; number <= task.range.last; ++number) {
    if (chain.read({task.timeline, number}, totals, run)) continue;
    if (good_from < number) whole_(task.timeline, {good_from, number - 1});
    good_from = number + 1;
  }
  if (good_from <= task.range.last) whole_(task.timeline, {good_from, task.range.last});
}

}  // namespace seawall::ops
