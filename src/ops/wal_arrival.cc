#include "ops/wal_arrival.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "base/time_text.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

constexpr std::chrono::milliseconds first_pause{50};
constexpr std::chrono::milliseconds longest_pause{1000};
constexpr std::chrono::seconds patience{5};

std::string advice(const WalSpan& span) {
  return span.on_standby ? "an idle primary does not finish its segment: run SELECT pg_switch_wal() there"
                         : "see pg_stat_archiver and the server's log for why archive_command does not get there";
}

}  // namespace

void await_wal(const pipeline::Repository& repository, const WalSpan& span, std::chrono::nanoseconds limit,
               const std::function<void()>& meanwhile, const Run& run) {
  const auto started = run.clock.steady();
  std::chrono::nanoseconds pause = first_pause;
  bool told = false;
  const archive::Segment last = archive::segment_of(span.timeline, {span.to.value - 1}, span.segment_bytes);
  for (archive::Segment segment = archive::segment_of(span.timeline, span.from, span.segment_bytes);
       segment.number <= last.number; segment = segment.next()) {
    const std::string name = segment.name(span.segment_bytes);
    while (!pipeline::find_encoded(repository, archive::wal_object(name), run.stop)) {
      const auto waited = run.clock.steady() - started;
      if (waited >= limit) {
        throw Error(Errc::timeout,
                    fmt::format("WAL segment {}, which the backup needs, did not reach the archive within {} "
                                "(SEAWALL_ARCHIVE_TIMEOUT); the backup is not finalized. {}",
                                name, duration_text(limit), advice(span)));
      }
      if (!told && waited >= patience) {
        run.log.warning("waiting for WAL segment {} to be archived; {}", name, advice(span));
        told = true;
      }
      if (!run.clock.sleep(pause, run.stop)) run.check();
      meanwhile();
      pause = std::min<std::chrono::nanoseconds>(pause * 2, longest_pause);
    }
  }
}

}  // namespace seawall::ops
