#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "ops/receipts.hh"

namespace seawall::ops {

/// The WAL files beside the one being pushed that PostgreSQL waits to archive: `archive_status/NAME.ready`.
///
/// First the segments that follow the first one without a gap, found by asking for each, so that a long backlog is not
/// listed; then whatever else is ready: history files, then the oldest. Files with a receipt are left out, and no name
/// comes twice. Any thread.
class ReadyQueue {
 public:
  /// `segment_bytes`: 0 if the file being pushed is no segment. At most `limit` names are handed out.
  ReadyQueue(std::filesystem::path status_folder, std::string first, std::uint64_t segment_bytes, std::size_t limit,
             const Receipts& receipts);

  /// Nothing more is ready, or the limit is reached, or close() was called. Errc::denied, io on unreadable folders.
  std::optional<std::string> next();
  void close();

  bool any_status_folder() const;

 private:
  bool ready(const std::string& name) const;
  std::optional<std::string> next_in_a_row();
  bool list();

  const std::filesystem::path folder_;
  const std::uint64_t segment_bytes_;
  const Receipts& receipts_;
  std::mutex mutex_;
  std::string last_in_a_row_;  // empty once the row ended
  std::deque<std::string> listed_;
  std::set<std::string> handed_out_;
  std::size_t left_;
};

}  // namespace seawall::ops
