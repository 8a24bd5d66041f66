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
#include "ops/page_ledger.hh"
#include "ops/reverse_file.hh"

namespace seawall::ops {

/// What becomes of one file member of a part.
enum class Treatment {
  skip,   ///< not wanted
  whole,  ///< written from front to back, over what is there
  patch,  ///< an increment: applied to the file that an older backup of the chain brought; backwards, begins the file
          ///< or adds the pages that no newer backup had
};

/// A data directory that is being restored; shared by the unpacking threads, each of which has its DirectorySink.
class RestoredDirectory {
 public:
  /// `root` exists. `keep`: names of entries that stand there already and stay ("recovery.conf"). `ledger`: of a chain
  /// that is restored from its newest backup backwards, else null; outlives this.
  RestoredDirectory(std::filesystem::path root, std::vector<std::string> keep, PageLedger* ledger);

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

  /// Null: the oldest backup comes first.
  PageLedger* ledger() const noexcept { return ledger_; }

  void remember_link(std::string relative, std::string target);
  /// Another name for a file of the backup, which may lie in a part that comes later.
  void remember_hard_link(std::string relative, std::string target);
  /// Creates the links, so that no member was ever written through one of them. Errc::incomplete naming a hard link
  /// whose file did not come.
  void make_links();

  /// Of `file`, `pages` pages are in no backup of the chain; they are zeros.
  void note_absent_pages(const std::string& file, std::uint64_t pages);
  struct AbsentPages {
    std::uint64_t pages = 0;
    std::string first_file;
  };
  AbsentPages absent_pages() const;

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
  PageLedger* const ledger_;
  const bool root_user_;
  mutable std::mutex mutex_;
  AbsentPages absent_;
  std::map<std::string, Owner> owners_;
  std::vector<std::pair<std::string, std::string>> links_;
  std::vector<std::pair<std::string, std::string>> hard_links_;
};

/// Writes the members of one part at a time into a RestoredDirectory. One thread. Memory: a staging buffer of 1 MiB.
class DirectorySink final : public archive::MemberSink {
 public:
  using Decide = std::function<Treatment(const archive::Member&)>;
  /// `complete`: no older backup has anything to add.
  using Restored = std::function<void(const archive::Member&, bool complete)>;
  /// `decide` is asked once for each member (patch is for files alone); `restored` is told of each that was written.
  DirectorySink(RestoredDirectory& directory, Decide decide, Restored restored, const Run& run);

  void begin(const archive::Member& member, std::uint64_t offset) override;
  void body(Bytes data) override;
  MutableBytes room(std::size_t bytes) override;
  void placed(std::size_t n) override;
  void end() override;

 private:
  void begin_other();
  void begin_file();
  void begin_patch();
  void begin_backwards(PagesDone pages);
  void begin_increment(std::function<void(const archive::IncrementHeader&)> header,
                       std::function<void(std::uint32_t, Bytes)> page);
  void end_backwards();
  Fd create_file(const std::string& path);
  void make_directory();
  std::string full_path() const;

  RestoredDirectory& directory_;
  Decide decide_;
  Restored restored_;
  const Run& run_;
  AlignedBuffer staging_;
  archive::Member member_;
  std::string relative_;
  Treatment treatment_ = Treatment::skip;
  std::optional<FileWriter> writer_;
  Fd patched_;
  std::uint32_t block_bytes_ = 0;  // of the increment that is applied to patched_
  std::optional<ReverseFile> backwards_;
  std::optional<archive::IncrementReader> increment_;
};

}  // namespace seawall::ops
