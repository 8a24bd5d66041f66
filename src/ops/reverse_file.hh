#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "archive/increment.hh"
#include "base/file.hh"
#include "ops/page_ledger.hh"

namespace seawall::ops {

/// One file of a chain that is restored from its newest backup backwards. An increment creates it or adds the pages
/// that no newer backup had; the whole file of an older backup fills in the rest. Each page is written once. The result
/// is what applying the increments to the whole file, oldest first, would give. One thread.
class ReverseFile {
 public:
  /// `pages`: what PageLedger::take() said. `create` opens the file anew, as the newest backup has it; it is called
  /// unless the file is begun.
  ReverseFile(std::string path, PagesDone pages, const std::function<Fd()>& create);

  void begin_increment(const archive::IncrementHeader& header);
  void page(std::uint32_t block, Bytes image);
  void end_increment();
  /// The next bytes of the whole file.
  void fill(Bytes data);
  /// The whole file has come: nothing is missing any more.
  void end_fill();
  /// How many pages that the file should have turned out to be in no backup; they are zeros.
  std::uint64_t absent_pages() const noexcept { return absent_pages_; }

  const PagesDone& pages() const noexcept { return pages_; }

 private:
  void give_length(std::uint64_t bytes);
  /// No older backup may bring anything behind it.
  void lower_limit(std::uint64_t bytes);

  const std::string path_;
  PagesDone pages_;
  Fd fd_;
  std::uint64_t next_limit_bytes_ = 0;  // when the increment that is being read has ended
  std::uint64_t filled_bytes_ = 0;
  std::uint64_t absent_pages_ = 0;
};

}  // namespace seawall::ops
