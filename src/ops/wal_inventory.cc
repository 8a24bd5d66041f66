#include "ops/wal_inventory.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {

archive::Timeline TimelinePath::timeline_of(std::uint64_t number, std::uint64_t segment_bytes) const {
  for (const archive::HistoryEntry& ancestor : ancestors) {
    if (number < ancestor.end.value / segment_bytes) return ancestor.timeline;
  }
  return target;
}

bool TimelinePath::passes(archive::Timeline timeline, archive::Lsn lsn) const {
  if (timeline == target) return true;
  return std::any_of(ancestors.begin(), ancestors.end(), [&](const archive::HistoryEntry& ancestor) {
    return ancestor.timeline == timeline && lsn <= ancestor.end;
  });
}

WalInventory::WalInventory(const pipeline::Repository& repository, std::uint64_t segment_bytes, const Run& run)
    : repository_(repository), run_(run) {
  const std::string folder = repository.key(archive::wal_folder);
  repository.store->list(
      {.prefix = folder, .one_level = true},
      [&](const storage::ObjectInfo& object) {
        const std::string_view file = std::string_view(object.key).substr(folder.size());
        const std::string_view name = file.substr(0, file.find('.'));
        if (const auto segment = archive::parse_segment(name, segment_bytes)) {
          // X.partial.lz4 is not X, and X.00000028.backup.lz4 neither.
          const std::string_view rest = file.substr(name.size());
          if (rest.rfind('.') != 0 && !rest.empty()) return true;
          if (rest == ".partial" || rest == ".json") return true;
          if (object.bytes == 0) {
            run_.log.warning("{} is empty: the segment is lost", object.key);
            return true;
          }
          segments_[segment->timeline].emplace_back(segment->number, object.modified);
        } else if (const auto timeline = archive::parse_history_name(file.substr(0, file.find('.', name.size() + 1)))) {
          histories_.push_back(*timeline);
        }
        return true;
      },
      run.stop);
  for (auto& [timeline, numbers] : segments_) std::sort(numbers.begin(), numbers.end());
  std::sort(histories_.begin(), histories_.end());
}

std::optional<Time> WalInventory::stored(archive::Segment segment) const {
  const auto timeline = segments_.find(segment.timeline);
  if (timeline == segments_.end()) return std::nullopt;
  const auto at = std::lower_bound(timeline->second.begin(), timeline->second.end(), segment.number,
                                   [](const auto& entry, std::uint64_t number) { return entry.first < number; });
  if (at == timeline->second.end() || at->first != segment.number) return std::nullopt;
  return at->second;
}

std::optional<std::uint64_t> WalInventory::last(archive::Timeline timeline) const {
  const auto found = segments_.find(timeline);
  if (found == segments_.end()) return std::nullopt;
  return found->second.back().first;
}

TimelinePath WalInventory::path_to(archive::Timeline timeline) const {
  TimelinePath path{.ancestors = {}, .target = timeline};
  if (timeline == 1) return path;
  const std::string name = archive::history_name(timeline);
  const auto found = pipeline::find_encoded(repository_, archive::wal_object(name), run_.stop);
  if (!found) {
    throw Error(
        Errc::incomplete,
        fmt::format("{} is not in the archive: without it nobody knows where timeline {} began", name, timeline));
  }
  StringSink text;
  pipeline::pull(repository_, found->object, *found->codec, text, run_.stop);
  path.ancestors = archive::parse_history(text.text(), name);
  if (path.ancestors.empty()) {
    throw Error(Errc::corrupt, fmt::format("{} does not say where timeline {} began", found->object.key, timeline));
  }
  // A recovery that ended before its own timeline began leaves a history whose LSNs fall: what lies behind the last
  // switch is not on the way.
  for (std::size_t i = path.ancestors.size() - 1; i-- > 0;) {
    path.ancestors[i].end = std::min(path.ancestors[i].end, path.ancestors[i + 1].end);
  }
  return path;
}

}  // namespace seawall::ops
