#include "ops/part_checker.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "ops/directory_sink.hh"
#include "ops/restore_chain.hh"
#include "postgres/page.hh"

namespace seawall::ops {
namespace {

constexpr std::uint64_t relation_segment_bytes = std::uint64_t{1} << 30;  // RELSEG_SIZE, in bytes
constexpr std::size_t named_blocks = 10;
constexpr std::size_t control_limit = 65536;

}  // namespace

/// Cuts a body into pages.
class PartChecker::Pages {
 public:
  Pages(PartChecker& checker, std::size_t page_bytes) : checker_(checker), page_(page_bytes) {}

  void write(Bytes data) {
    if (have_ > 0) {
      const std::size_t n = std::min(page_.size() - have_, data.size());
      std::copy_n(data.begin(), n, page_.begin() + static_cast<std::ptrdiff_t>(have_));
      have_ += n;
      data = data.subspan(n);
      if (have_ < page_.size()) return;
      checker_.check_page_image(block_++, page_);
      have_ = 0;
    }
    for (; data.size() >= page_.size(); data = data.subspan(page_.size())) {
      checker_.check_page_image(block_++, data.first(page_.size()));
    }
    std::copy(data.begin(), data.end(), page_.begin());
    have_ = data.size();
  }

 private:
  PartChecker& checker_;
  std::vector<std::byte> page_;
  std::size_t have_ = 0;
  std::uint32_t block_ = 0;
};

PartChecker::PartChecker(BackupContent& content, std::string_view part, std::string object, Findings& findings)
    : content_(content), recorded_(nullptr), object_(std::move(object)), findings_(findings) {
  if (const auto found = content.members.find(part); found != content.members.end()) recorded_ = &found->second;
}

PartChecker::~PartChecker() = default;

void PartChecker::complain(Soundness soundness, const std::string& text) {
  findings_.add(soundness, object_, fmt::format("{}: {}", relative_, text));
}

void PartChecker::begin(const archive::Member& member, std::uint64_t) {
  member_ = member;
  relative_ = without_root(member.name);
  digester_.reset();
  body_bytes_ = 0;
  increment_.reset();
  pages_.reset();
  bad_.clear();
  if (member.type != archive::MemberType::file) {
    if (content_.files) content_.files->mark(member.name, MemberSet::restored);
    if (recorded_ != nullptr && recorded_->contains(MemberSet::key_of(member.name))) ++recorded_seen_;
    return;
  }
  if (relative_ == RestoredDirectory::control_file) {
    content_.saw_control = true;
    control_.emplace();
  }
  if (relative_ == "backup_label") content_.saw_label = true;
  choose_page_checks();
}

void PartChecker::choose_page_checks() {
  const std::uint8_t flags = content_.files ? content_.files->find(member_.name).value_or(0) : 0;
  if (content_.files && !is_utility(relative_) && !content_.files->find(member_.name)) {
    complain(Soundness::whole, "the list of files does not have it");
  }
  postgres::RelationFile relation;
  const bool checksums = content_.control && content_.control->data_checksum_version != 0;
  check_pages_ = checksums && postgres::is_relation_file(relative_, relation);
  const std::uint32_t page_bytes = checksums ? content_.control->block_bytes : archive::usual_block_bytes;
  first_block_ = static_cast<std::uint32_t>(relation.segment * (relation_segment_bytes / page_bytes));
  if (content_.is_delta && (flags & MemberSet::incremented) != 0) {
    increment_ = std::make_unique<archive::IncrementReader>(
        relative_, member_.bytes, [](const archive::IncrementHeader&) {},
        [this](std::uint32_t block, Bytes page) {
          if (check_pages_) check_page_image(block, page);
        });
  } else if (check_pages_) {
    pages_ = std::make_unique<Pages>(*this, page_bytes);
  }
}

void PartChecker::body(Bytes data) {
  digester_.update(data);
  body_bytes_ += data.size();
  if (control_ && relative_ == RestoredDirectory::control_file && control_->size() < control_limit) {
    control_->append(text_of(data));
  }
  try {
    if (increment_) increment_->write(data);
  } catch (const Error& error) {
    increment_.reset();
    complain(Soundness::damaged, error.what());
  }
  if (pages_) pages_->write(data);
}

/// A page as new as the backup may have been caught half-written; the WAL that belongs to the backup has it whole.
void PartChecker::check_page_image(std::uint32_t block, Bytes page) {
  ++content_.pages;
  if (postgres::check_page(page, first_block_ + block) != postgres::PageState::bad) return;
  if (postgres::page_lsn(page) < content_.start) bad_.push_back(block);
}

void PartChecker::report_pages() {
  if (bad_.empty()) return;
  const auto known = content_.known_bad.find(member_.name);
  std::vector<std::uint32_t> fresh = bad_;
  if (known != content_.known_bad.end()) {
    std::erase_if(fresh, [&](std::uint32_t block) {
      return std::find(known->second.begin(), known->second.end(), block) != known->second.end();
    });
  }
  const std::span<const std::uint32_t> named(bad_.data(), std::min(bad_.size(), named_blocks));
  complain(Soundness::damaged, fmt::format("{} pages have a wrong checksum: block {}{}{}", bad_.size(),
                                           fmt::join(named, ", "), bad_.size() > named.size() ? ", …" : "",
                                           fresh.empty() ? "; they had it when the backup was taken" : ""));
}

void PartChecker::end() {
  content_.raw_bytes += body_bytes_;
  if (member_.type != archive::MemberType::file) return;
  try {
    if (increment_) increment_->finish();
  } catch (const Error& error) {
    complain(Soundness::damaged, error.what());
  }
  report_pages();
  if (content_.files) content_.files->mark(member_.name, MemberSet::restored);
  if (recorded_ == nullptr) return;
  const auto recorded = recorded_->find(MemberSet::key_of(member_.name));
  if (recorded == recorded_->end()) {
    complain(Soundness::damaged, "seawall.json does not have it in this part");
    return;
  }
  ++recorded_seen_;
  if (recorded->second.bytes != body_bytes_ || recorded->second.digest != digester_.value()) {
    complain(Soundness::damaged,
             fmt::format("its {} bytes are not the {} that were written (digest {}, recorded is {})", body_bytes_,
                         recorded->second.bytes, digester_.value().hex(), recorded->second.digest.hex()));
  }
}

void PartChecker::finish() {
  if (recorded_ == nullptr || recorded_seen_ == recorded_->size()) return;
  findings_.add(Soundness::incomplete, object_,
                fmt::format("{} of the {} files that were written are not in it", recorded_->size() - recorded_seen_,
                            recorded_->size()));
}

}  // namespace seawall::ops
