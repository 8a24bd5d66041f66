#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/sentinel.hh"
#include "base/run.hh"
#include "ops/member_source.hh"
#include "postgres/walk.hh"
#include "storage/wrap/throttle.hh"

namespace seawall::ops {

/// The members of a data directory, walked once and read by several threads.
///
/// What is kept per file is its name and 24 bytes. Large files are handed out first, the largest before the others:
/// otherwise one straggler keeps the other threads idle at the end; the rest comes in the order of the walk.
class DataDirectorySource final : public MemberSource {
 public:
  struct Options {
    bool verify_pages = false;
    archive::Lsn backup_start;
    std::shared_ptr<storage::RateLimiter> limiter = nullptr;
    std::function<bool(std::string_view name)> leave_out = {};  ///< files: "/postgresql.conf"; not set: none
  };

  /// Walks; `run` must outlive the source.
  DataDirectorySource(std::filesystem::path data_directory, Options options, const Run& run);

  std::unique_ptr<PendingMember> next() override;

  const postgres::Walked& walked() const noexcept { return walked_; }
  std::uint64_t total_bytes() const noexcept { return total_bytes_; }
  std::size_t files() const noexcept { return files_.size(); }
  /// Of the data directory itself.
  const archive::Member& root() const noexcept { return others_.front().member; }

 private:
  class File;
  class Other;
  struct Record {
    std::uint64_t name;  // offset in names_, up to the NUL
    std::uint64_t bytes;
    std::uint32_t attributes;
  };
  void add(postgres::Entry entry);
  std::uint32_t attributes_of(const archive::Member& member);
  void large_first();

  const std::filesystem::path data_directory_;
  const Options options_;
  const Run& run_;
  std::string names_;
  std::vector<Record> files_;
  std::vector<archive::Member> attributes_;  // owner and mode, shared by nearly all files
  std::vector<postgres::Entry> others_;      // directories and links
  postgres::Walked walked_;
  std::uint64_t total_bytes_ = 0;
  std::atomic<std::size_t> next_{0};
};

}  // namespace seawall::ops
