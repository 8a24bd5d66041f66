#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "archive/increment.hh"
#include "archive/tar.hh"
#include "archive/wal_name.hh"
#include "base/digest.hh"
#include "ops/findings.hh"
#include "ops/member_set.hh"
#include "postgres/control_file.hh"

namespace seawall::ops {

/// What is known of a backup before its parts are read, and what they brought. Its counters and marks are set from
/// several threads, the rest is constant by then.
struct BackupContent {
  archive::Lsn start;
  bool is_delta = false;
  std::optional<MemberSet> files;                ///< nothing: no list
  std::optional<postgres::ControlFile> control;  ///< nothing: not read yet, or not there
  /// By part and member: length and digest of the body; the part's name is "tar_partitions/…".
  struct Recorded {
    std::uint64_t bytes = 0;
    Digest digest;
  };
  using Members = std::unordered_map<MemberSet::Key, Recorded>;
  std::map<std::string, Members, std::less<>> members;
  std::map<std::string, std::vector<std::uint32_t>, std::less<>> known_bad;  ///< blocks, by the list of files

  std::atomic<std::uint64_t> raw_bytes{0}, pages{0};
  std::atomic<bool> saw_control{false}, saw_label{false};
};

/// Checks the members of one part as they pass by. One thread; findings name the part and the member.
class PartChecker final : public archive::MemberSink {
 public:
  /// `part`: its name as `content.members` has it; `object`: in the archive, for findings.
  PartChecker(BackupContent& content, std::string_view part, std::string object, Findings& findings);
  ~PartChecker() override;

  void begin(const archive::Member& member, std::uint64_t offset) override;
  void body(Bytes data) override;
  void end() override;
  /// After the last member: what was recorded and did not come.
  void finish();

  /// The content of global/pg_control, if it came.
  const std::optional<std::string>& control_file() const noexcept { return control_; }

 private:
  class Pages;

  void choose_page_checks();
  void check_page_image(std::uint32_t block, Bytes page);
  void report_pages();
  void complain(Soundness soundness, const std::string& text);

  BackupContent& content_;
  const BackupContent::Members* recorded_;
  const std::string object_;
  Findings& findings_;

  archive::Member member_;
  std::string relative_;
  Digester digester_;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t recorded_seen_ = 0;
  std::uint32_t first_block_ = 0;
  bool check_pages_ = false;
  std::unique_ptr<archive::IncrementReader> increment_;
  std::unique_ptr<Pages> pages_;
  std::vector<std::uint32_t> bad_;  // block numbers in the file
  std::optional<std::string> control_;
};

}  // namespace seawall::ops
