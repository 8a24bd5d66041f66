#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "archive/tar.hh"
#include "base/io.hh"

namespace seawall::ops {

/// Holds what the parts of a backup bring against the backup_manifest that the server sent with it. Keeps 24 bytes a
/// file.
class ServerManifestCheck {
 public:
  /// A file as it came out of a part; its name in either spelling. Thread-safe.
  void received(std::string_view name, std::uint64_t bytes, std::uint32_t crc32c);
  /// Errc::corrupt naming the first file that came with another size or sum than `manifest` says; incomplete naming one
  /// that did not come, if all were to. `origin`: the manifest's key. Once everything was received.
  void compare(Source& manifest, const std::string& origin, bool all_expected);

 private:
  struct Entry {
    std::uint64_t key;
    std::uint64_t bytes;
    std::uint32_t crc32c;
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

/// Tells a ServerManifestCheck of every file that passes on its way to `to`. One thread; both must outlive it.
class SummingSink final : public archive::MemberSink {
 public:
  SummingSink(archive::MemberSink& to, ServerManifestCheck& check) : to_(to), check_(check) {}
  void begin(const archive::Member& member, std::uint64_t offset) override;
  void body(Bytes data) override;
  MutableBytes room(std::size_t bytes) override;
  void placed(std::size_t n) override;
  void end() override;

 private:
  archive::MemberSink& to_;
  ServerManifestCheck& check_;
  std::string name_;
  std::uint64_t bytes_ = 0;
  std::uint32_t sum_ = 0;
  MutableBytes room_;
};

}  // namespace seawall::ops
