#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/catalogue.hh"
#include "archive/layout.hh"
#include "archive/sentinel.hh"

namespace seawall::test {

/// An archive as a listing shows it, with the documents that a catalogue asks for; nothing is stored anywhere.
class ArchiveListing {
 public:
  struct Object {
    std::uint64_t bytes = 0;
    Time modified{};
    std::string text;  ///< of documents
  };

  struct BackupSpec {
    archive::Timeline timeline = 1;
    std::uint64_t start = 0;   ///< segment
    std::uint64_t finish = 0;  ///< segment; 0: the same
    Time time{};               ///< when it was finished
    std::string parent = {};   ///< name; empty: a full one
    bool permanent = false;
    std::uint64_t system = 7000000000000000001;
    std::string user_data = {};
    unsigned parts = 2;
    std::string name = {};        ///< empty: as seawall names it
    std::uint64_t offset = 0x28;  ///< of its start LSN within the segment
  };

  std::uint64_t segment_bytes = std::uint64_t{16} << 20;
  std::map<std::string, Object> objects;

  void put(const std::string& key, Time modified, std::uint64_t bytes = 100, std::string text = {}) {
    objects[key] = {bytes, modified, std::move(text)};
  }
  void put_text(const std::string& key, Time modified, std::string text) {
    const std::uint64_t bytes = text.size();
    put(key, modified, bytes, std::move(text));
  }

  archive::Lsn start_lsn(const BackupSpec& spec) const { return {spec.start * segment_bytes + spec.offset}; }
  archive::Lsn finish_lsn(const BackupSpec& spec) const {
    return {std::max(spec.start, spec.finish) * segment_bytes + spec.offset + 0x100};
  }

  std::string name_of(const BackupSpec& spec) const {
    if (!spec.name.empty()) return spec.name;
    std::string name = archive::backup_name(archive::Segment{spec.timeline, spec.start}.name(segment_bytes));
    if (!spec.parent.empty()) name += "_D_" + archive::segment_name_of_backup(spec.parent);
    return name;
  }

  /// Everything of it, the sentinel last; its name.
  std::string backup(const BackupSpec& spec) {
    const std::string name = backup_without_sentinel(spec);
    archive::Sentinel sentinel;
    sentinel.start_lsn = start_lsn(spec);
    sentinel.finish_lsn = finish_lsn(spec);
    sentinel.system_identifier = spec.system;
    sentinel.pg_version = 150004;
    sentinel.start_time = spec.time - std::chrono::minutes(10);
    sentinel.finish_time = spec.time;
    sentinel.is_permanent = spec.permanent;
    sentinel.user_data_json = spec.user_data;
    if (!spec.parent.empty()) {
      sentinel.delta_from = spec.parent;
      sentinel.delta_full_name = spec.parent;
      sentinel.delta_count = 1;
      const auto parent = objects.find(archive::sentinel_object(spec.parent));
      sentinel.delta_lsn = parent == objects.end()
                               ? archive::Lsn{1}
                               : archive::parse_sentinel(parent->second.text, spec.parent).start_lsn;
    }
    put_text(archive::sentinel_object(name), spec.time, archive::print_sentinel(sentinel));
    return name;
  }

  std::string backup_without_sentinel(const BackupSpec& spec) {
    const std::string name = name_of(spec);
    for (unsigned i = 1; i <= spec.parts; ++i) {
      put(fmt::format("{}{}.lz4", archive::parts_folder(name), archive::part_name(i)), spec.time, 1000);
    }
    put(fmt::format("{}{}.lz4", archive::parts_folder(name), archive::control_part), spec.time);
    put(archive::files_metadata_object(name), spec.time);
    archive::BackupMetadata metadata;
    metadata.start_time = spec.time - std::chrono::minutes(10);
    metadata.finish_time = spec.time;
    metadata.is_permanent = spec.permanent;
    metadata.system_identifier = spec.system;
    metadata.start_lsn = start_lsn(spec);
    metadata.finish_lsn = finish_lsn(spec);
    metadata.user_data_json = spec.user_data;
    put_text(archive::metadata_object(name), spec.time, archive::print_metadata(metadata));
    return name;
  }

  std::string segment_key(archive::Timeline timeline, std::uint64_t number, std::string_view suffix = ".lz4") const {
    return archive::wal_object(archive::Segment{timeline, number}.name(segment_bytes)) + std::string(suffix);
  }
  void segments(archive::Timeline timeline, std::uint64_t first, std::uint64_t last, Time modified = {}) {
    for (std::uint64_t number = first; number <= last; ++number) put(segment_key(timeline, number), modified, 16);
  }

  void history(archive::Timeline timeline, const std::vector<archive::HistoryEntry>& rows, Time modified = {}) {
    std::string text;
    for (const archive::HistoryEntry& row : rows) {
      text += fmt::format("{}\t{}\tno recovery target specified\n", row.timeline, row.end.text());
    }
    put_text(archive::wal_object(archive::history_name(timeline)) + ".lz4", modified, text);
  }

  archive::CatalogueLoader loader() const {
    const auto text = [this](const std::string& key) -> std::optional<std::string> {
      const auto found = objects.find(key);
      if (found == objects.end()) return std::nullopt;
      return found->second.text;
    };
    return {.sentinel = [=](std::string_view name) { return text(archive::sentinel_object(name)); },
            .metadata = [=](std::string_view name) { return text(archive::metadata_object(name)); },
            .history =
                [=](archive::Timeline timeline) {
                  return text(archive::wal_object(archive::history_name(timeline)) + ".lz4");
                },
            .wal_bytes = [this](const std::string& file) -> std::optional<std::uint64_t> {
              const auto found = objects.find(archive::wal_object(file));
              return found == objects.end() ? std::nullopt : std::optional(found->second.bytes);
            }};
  }

  /// `sizes_one_of`: as if the listing told the sizes of one WAL object of so many.
  archive::Catalogue catalogue(Time now, std::size_t sizes_one_of = 1) const {
    archive::Catalogue catalogue({.segment_bytes = segment_bytes, .now = now});
    std::size_t seen = 0;
    for (const auto& [key, object] : objects) {
      archive::ListedObject listed{.key = key, .bytes = object.bytes, .modified = object.modified};
      if (key.starts_with(archive::wal_folder) && ++seen % sizes_one_of != 0) {
        listed.bytes = std::nullopt;
        listed.modified = {};
      }
      catalogue.add(listed);
    }
    catalogue.load(loader());
    return catalogue;
  }
};

}  // namespace seawall::test
