#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.hh"

namespace seawall::ops {

/// Which pages of one file are written already, while a chain is restored from its newest backup backwards.
class PagesDone {
 public:
  bool begun = false;             ///< an increment was written: the file is there
  std::uint64_t limit_bytes = 0;  ///< what lies behind it no older backup may bring: some newer one cut the file there
  std::uint32_t block_bytes = 0;  ///< of what is counted as a page; 0: no increment had one yet

  bool has(std::uint64_t block) const noexcept;
  void set(std::uint64_t block);
  /// Is every page before the limit there?
  bool complete() const noexcept;

 private:
  friend class PageLedger;
  std::vector<std::uint64_t> words_;  // one bit a page; pages behind its end are missing
};

/// PagesDone of every file that is begun and not complete. In memory 80 bytes or so a file; the bits (one a page, 16
/// KiB for a file of 1 GiB) lie in a nameless file and are in memory only while their file is written. Any thread.
class PageLedger {
 public:
  /// The nameless file is made in `directory`, when it is first needed.
  explicit PageLedger(std::filesystem::path directory);

  /// What is known of the file; the caller keeps it until keep() or drop(). Errc::corrupt if another has it: then two
  /// parts bring one file.
  PagesDone take(std::string_view name);
  /// The caller's state for the next backup; not begun or complete: as drop().
  void keep(std::string_view name, const PagesDone& pages);
  void drop(std::string_view name);

 private:
  struct Slot {
    bool taken = false;
    std::uint32_t block_bytes = 0;
    std::uint64_t limit_bytes = 0;
    std::uint64_t offset = 0;  // of the bits in the file
    std::uint64_t words = 0;   // room for them there; 0: none yet
    std::uint64_t used = 0;    // words that were written
  };
  void open_spool();

  const std::filesystem::path directory_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Slot> slots_;
  std::uint64_t end_ = 0;
  Fd spool_;
};

}  // namespace seawall::ops
