#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "archive/increment.hh"
#include "archive/tar.hh"
#include "base/file.hh"
#include "base/run.hh"

namespace seawall::ops {

/// What becomes of one file member of a part.
enum class Treatment {
  skip,   ///< not wanted
  whole,  ///< written from front to back, over what is there
  patch,  ///< an increment, applied to the file that an older backup of the chain brought
};

/// A data directory that is being restored; shared by the unpacking threads, each of which has its DirectorySink.
class RestoredDirectory {
 public:
  /// `root` exists. `keep`: names of entries that stand there already and stay
  /// ("recovery.conf").
  RestoredDirectory(std::filesystem::path root, std::vector<std::string> keep);

  const std::filesystem::path& root() const noexcept { return root_; }
  /// The path for a member's name, whatever its spelling ("/base/1", "./base/1", "base/1/"). Errc::corrupt if it would
  /// leave the directory.
  std::string relative_path(std::string_view member_name) const;
  /// Is it one of those that stay, or below one (conf.d)?
  bool kept(std::string_view relative) const;
  /// Owner as recorded, by name where this machine knows it, else by number; nothing unless we are root.
  void give_to_owner(const Fd& fd, const archive::Member& member, const std::string& path);

  /// pg_control under its provisional name: until finish() no server can start on the directory.
  static constexpr std::string_view control_file = "global/pg_control";
  static constexpr std::string_view provisional_control_file = "global/pg_control.seawall_restore";

  void remember_link(std::string relative, std::string target);
  /// Creates the links, so that no member was ever written through one of them.
  void make_links();

  std::atomic<bool> saw_control_file{false};
  std::atomic<bool> saw_backup_label{false};
  std::atomic<std::uint64_t> files{0};
  std::atomic<std::uint64_t> bytes{0};

 private:
  struct Owner {
    uid_t uid;
    gid_t gid;
  };
  Owner owner_of(const archive::Member& member);

  const std::filesystem::path root_;
  const std::vector<std::string> keep_;
  const bool root_user_;
  std::mutex mutex_;
  std::map<std::string, Owner> owners_;
  std::vector<std::pair<std::string, std::string>> links_;
};

/// Writes the members of one part at a time into a RestoredDirectory. One thread. Memory: a staging buffer of 1 MiB.
class DirectorySink final : public archive::MemberSink {
 public:
  using Decide = std::function<Treatment(const archive::Member&)>;
  /// `decide` is asked once for each file member; `restored` is told of each that is complete.
  DirectorySink(RestoredDirectory& directory, Decide decide, std::function<void(const archive::Member&)> restored,
                const Run& run);

  void begin(const archive::Member& member, std::uint64_t offset) override;
  void body(Bytes data) override;
  MutableBytes room(std::size_t bytes) override;
  void placed(std::size_t n) override;
  void end() override;

 private:
  void begin_file();
  void begin_patch();
  void make_directory();
  std::string full_path() const;

  RestoredDirectory& directory_;
  Decide decide_;
  std::function<void(const archive::Member&)> restored_;
  const Run& run_;
  AlignedBuffer staging_;
  archive::Member member_;
  std::string relative_;
  Treatment treatment_ = Treatment::skip;
  std::optional<FileWriter> writer_;
  Fd patched_;
  std::optional<archive::IncrementReader> increment_;
};

}  // namespace seawall::ops
