#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/layout.hh"
#include "base/file.hh"
#include "base/run.hh"
#include "ops/fetch_wal.hh"
#include "ops/push_wal.hh"
#include "pipeline/object_reader.hh"
#include "pipeline/object_writer.hh"
#include "storage/memory/memory_store.hh"
#include "support/temp_dir.hh"
#include "support/wal_segment.hh"

namespace seawall::ops {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

inline void write_file(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string text_of_file(const std::filesystem::path& path) { return try_read_file(path).value_or("<absent>"); }

/// The names in a directory, sorted; empty if it is not there.
inline std::vector<std::string> names_in(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  std::error_code absent;
  for (const auto& entry : std::filesystem::directory_iterator(directory, absent)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// What `action` throws: its code and text. A test failure if it throws nothing.
template <class Action>
Error thrown_by(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {Errc::bug, "nothing was thrown"};
}

/// An archive in memory, and a directory with a pg_wal.
class WalTest : public testing::Test {
 protected:
  static constexpr std::uint64_t cluster = 7710409946933241964U;
  static constexpr std::uint64_t other_cluster = 42;
  static constexpr std::uint64_t mib = 1 << 20;

  WalTest() {
    repository_.store = storage::make_memory_store(clock_);
    repository_.codec = codec::find_codec("lz4");
    std::filesystem::create_directories(pg_wal_ / "archive_status");
  }

  seawall::Run run() { return {clock_, log_, progress_, {}}; }

  /// Puts an object into the archive as another tool would have: no checks, no identity.
  void store(const std::string& name, std::string_view content, std::string_view codec = "lz4") {
    pipeline::Repository writer = repository_;
    writer.codec = codec::find_codec(codec);
    pipeline::EncodedObjectWriter object(writer, name, {}, {.key = name, .size_hint = content.size()}, {});
    object.filter().write(bytes_of(content));
    object.commit();
  }
  void store_plain(const std::string& name, std::string_view content) {
    repository_.store->put(repository_.key(name), bytes_of(content), {}, {});
  }
  void store_segment(const test::WalSegment& segment) {
    store(archive::wal_object(name_of(segment)), segment.content());
  }

  /// Keys under wal_005/, without it.
  std::vector<std::string> stored_wal() {
    std::vector<std::string> keys;
    const std::string folder = repository_.key(archive::wal_folder);
    repository_.store->list({.prefix = folder},
                            [&](const storage::ObjectInfo& object) {
                              keys.push_back(object.key.substr(folder.size()));
                              return true;
                            },
                            {});
    return keys;
  }
  std::string decoded(const std::string& wal_file) {
    const auto found = pipeline::find_encoded(repository_, archive::wal_object(wal_file), {});
    if (!found) return "<absent>";
    StringSink sink;
    pipeline::pull(repository_, found->object, *found->codec, sink, {});
    return sink.text();
  }
  std::string plain(const std::string& name) { return pipeline::try_get(repository_, name, {}).value_or("<absent>"); }

  static std::string name_of(const test::WalSegment& segment) {
    return archive::Segment{segment.timeline, segment.number}.name(segment.segment_bytes);
  }

  test::TempDir directory_;
  const std::filesystem::path data_directory_ = directory_ / "data";
  const std::filesystem::path pg_wal_ = data_directory_ / "pg_wal";
  ManualClock clock_{Time(std::chrono::seconds(1795218934))};
  MemoryLog log_;
  SilentProgress progress_;
  pipeline::Repository repository_;
};

/// A cluster that pushes.
class PushWal : public WalTest {
 protected:
  PushOutcome push(const std::string& name) { return push_path(pg_wal_ / name); }
  PushOutcome push_path(const std::filesystem::path& path) {
    return push_wal(repository_, path, settings_, postgres_, run());
  }
  Error refused(const std::string& name) {
    return thrown_by([&] { push(name); });
  }

  std::string put_segment(const test::WalSegment& segment = {}) {
    return put_named(name_of(segment), segment.content());
  }
  std::string put_named(const std::string& name, std::string_view content) {
    write_file(pg_wal_ / name, content);
    return name;
  }
  std::string put_ready(const test::WalSegment& segment) {
    write_file(pg_wal_ / "archive_status" / (name_of(segment) + ".ready"), "");
    return put_segment(segment);
  }
  void set(config::SettingBase& setting, std::string_view text) {
    setting.parse(text, {config::Origin::Kind::flag, "test"});
  }
  std::vector<std::string> receipts() { return names_in(pg_wal_ / "walg_data" / "walg_archive_status"); }

  PushWalSettings settings_;
  PostgresSettings postgres_;
};

}  // namespace seawall::ops
