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

/// Of files that carry no codec's suffix the last part of the name is none.
const codec::Codec& codec_of(std::string_view key) {
  for (const std::string_view end : {".backup", ".partial", ".history", "_delta"}) {
    if (key.ends_with(end)) return *codec::find_codec("none");
  }
  return pipeline::codec_of_key(key);
}

/// Keeps the beginning.
class HeadSink final : public Sink {
 public:
  void write(Bytes data) override {
    const std::size_t n = std::min(data.size(), postgres::wal_segment_header_bytes - head_.size());
    head_.append(text_of(data.first(n)));
    bytes_ += data.size();
  }
  Bytes head() const { return bytes_of(head_); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::string head_;
  std::uint64_t bytes_ = 0;
};

class NullSink final : public Sink {
 public:
  void write(Bytes) override {}
};

using NamedObject = WalVerification::NamedObject;

void pull_object(const pipeline::Repository& repository, const NamedObject& object, Sink& to, const Run& run) {
  storage::ObjectInfo info;
  info.key = repository.key(object.name);
  info.bytes = object.bytes;
  pipeline::pull(repository, info, codec_of(info.key), to, run.stop);
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
      const bool fine = read_object(objects[i], segment, i == 0 ? *reader_ : again, findings_, run);
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
  /// For what reaches from the segment into the next; it is judged elsewhere. False if something is wrong with it.
  bool warm_up(archive::Segment segment, const Run& run) {
    Findings elsewhere;
    const std::vector<NamedObject> objects = objects_of(of_.wal_, segment);
    const bool good = !objects.empty() && read_object(objects.front(), segment, *reader_, elsewhere, run);
    if (!good) renew();
    counted_ = reader_->records();
    return good;
  }
  /// Did a record begin in what was read since it began anew?
  bool saw_record() const { return reader_->records() > 0 || reader_->within_record(); }
  void renew() {
    reader_.emplace(of_.wal_.segment_bytes());
    counted_ = 0;
  }

 private:
  bool read_object(const NamedObject& object, archive::Segment segment, postgres::WalRecordReader& reader,
                   Findings& findings, const Run& run) {
    try {
      reader.begin_segment(object.name, segment);
      pull_object(of_.repository_, object, reader, run);
      reader.end_segment();
      if (!owned(reader)) throw foreign(reader);
      const archive::TimelineWal* timeline = of_.wal_.timeline(segment.timeline);
      if (reader.ends_early() && timeline != nullptr && timeline->listed.contains(segment.number + 1)) {
        throw Error(Errc::corrupt, fmt::format("its records end at {}, and the segment behind it is not reached",
                                               reader.ends_early()->text()));
      }
      return true;
    } catch (const Error& error) {
      run.check();
      findings.add(owned(reader) ? error : foreign(reader), object.name);
      return false;
    }
  }

  /// As far as its header was read.
  bool owned(const postgres::WalRecordReader& reader) const {
    const std::uint64_t identifier = reader.header().system_identifier;
    return !of_.system_identifier_ || identifier == 0 || identifier == *of_.system_identifier_;
  }
  Error foreign(const postgres::WalRecordReader& reader) const {
    return {Errc::foreign, fmt::format("it is WAL of the cluster with system identifier {}, the archive is that of {}",
                                       reader.header().system_identifier, *of_.system_identifier_)};
  }

  const WalVerification& of_;
  Findings& findings_;
  std::optional<postgres::WalRecordReader> reader_;
  std::uint64_t counted_ = 0;
};

WalVerification::WalVerification(const pipeline::Repository& repository, const archive::WalListing& wal,
                                 const archive::TimelineTree& timelines, std::optional<std::uint64_t> system_identifier,
                                 Findings& findings, std::function<void(archive::Timeline, archive::NumberRange)> whole)
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

/// From the segment on in which the record begins that reaches into `first`: a long one covers several.
void WalVerification::warm_up(Chain& chain, archive::Segment first, const Run& run) const {
  std::vector<archive::Segment> back;
  for (auto previous = before(first); previous; previous = before(*previous)) {
    if (!chain.warm_up(*previous, run)) return;
    if (chain.saw_record()) {
      for (auto next = back.rbegin(); next != back.rend() && chain.warm_up(*next, run);) ++next;
      return;
    }
    back.push_back(*previous);
    chain.renew();
  }
}

void WalVerification::verify_run(const Task& task, Totals& totals, const Run& run) {
  Chain chain(*this, findings_);
  warm_up(chain, {task.timeline, task.range.first}, run);
  std::uint64_t good_from = task.range.first;
  for (std::uint64_t number = task.range.first; number <= task.range.last; ++number) {
    if (chain.read({task.timeline, number}, totals, run)) continue;
    if (good_from < number) whole_(task.timeline, {good_from, number - 1});
    good_from = number + 1;
  }
  if (good_from <= task.range.last) whole_(task.timeline, {good_from, task.range.last});
}

WalReading WalVerification::verify(const WalRanges& wanted, unsigned threads, const Run& run) {
  std::vector<Task> tasks;
  for (const auto& [timeline, ranges] : wanted) {
    const archive::TimelineWal* wal = wal_.timeline(timeline);
    if (wal == nullptr) continue;
    const archive::NumberRanges present = wal->usable.common(ranges);
    for (const archive::NumberRange& range : present.all()) {
      for (std::uint64_t first = range.first; first <= range.last; first += run_segments) {
        tasks.push_back({timeline, {first, std::min(first + run_segments - 1, range.last)}});
      }
    }
  }
  Totals totals;
  each(tasks.size(), threads, run, [&](std::size_t task, const Run& mine) { verify_run(tasks[task], totals, mine); });
  return totals.reading();
}

void WalVerification::verify_history(const NamedObject& object, const Run& run) {
  StringSink text;
  pull_object(repository_, object, text, run);
  archive::parse_history(text.text(), object.name);
}

/// The end of a timeline that was left: what follows its last record may be anything.
void WalVerification::verify_partial(const NamedObject& object, archive::Segment segment, const Run& run) {
  HeadSink head;
  pull_object(repository_, object, head, run);
  const postgres::WalSegmentHeader header = postgres::parse_segment_header(head.head(), object.name);
  if (head.bytes() != wal_.segment_bytes() || header.page_address != segment.start(wal_.segment_bytes())) {
    throw Error(Errc::corrupt, fmt::format("its {} bytes begin at {}, by its name they should at {}", head.bytes(),
                                           header.page_address.text(), segment.start(wal_.segment_bytes()).text()));
  }
}

WalReading WalVerification::verify_others(unsigned threads, const Run& run) {
  std::vector<std::pair<NamedObject, std::function<void(const NamedObject&, const Run&)>>> tasks;
  for (const archive::HistoryObject& history : wal_.histories()) {
    if (history.name.ends_with(".json")) continue;
    tasks.emplace_back(NamedObject{archive::wal_object(history.name), history.bytes},
                       [this](const NamedObject& object, const Run& mine) { verify_history(object, mine); });
  }
  for (const archive::WalStream& stream : wal_.streams()) {
    const archive::WalObjectKind kind = stream.kind();
    const bool partial = kind == archive::WalObjectKind::partial;
    if (!partial && kind != archive::WalObjectKind::backup_label && kind != archive::WalObjectKind::delta) continue;
    stream.visit({0, archive::no_last}, [&](std::uint64_t number, std::uint64_t bytes) {
      const archive::Segment segment{stream.timeline(), number};
      tasks.emplace_back(NamedObject{archive::wal_object(stream.object_name(number, wal_.segment_bytes())), bytes},
                         [this, partial, segment](const NamedObject& object, const Run& mine) {
                           NullSink nowhere;
                           partial ? verify_partial(object, segment, mine)
                                   : pull_object(repository_, object, nowhere, mine);
                         });
    });
  }
  Totals totals;
  each(tasks.size(), threads, run, [&](std::size_t task, const Run& mine) {
    const auto& [object, verify] = tasks[task];
    try {
      verify(object, mine);
    } catch (const Error& error) {
      mine.check();
      findings_.add(error, object.name);
    }
    ++totals.objects;
    totals.stored_bytes += object.bytes;
  });
  return totals.reading();
}

void WalVerification::each(std::size_t tasks, unsigned threads, const Run& run,
                           const std::function<void(std::size_t, const Run&)>& work) {
  std::atomic<std::size_t> next{0};
  WorkerGroup workers(run.stop);
  for (std::size_t i = 0; i < std::min<std::size_t>(threads, tasks); ++i) {
    workers.start([&](std::stop_token stop) {
      const Run mine = run.with(stop);
      for (std::size_t task; (task = next++) < tasks;) {
        mine.check();
        work(task, mine);
      }
    });
  }
  workers.join();
}

}  // namespace seawall::ops
