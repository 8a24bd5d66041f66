#include "ops/ready_queue.hh"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "archive/wal_name.hh"
#include "base/error.hh"

namespace seawall::ops {
namespace {

constexpr std::string_view ready_suffix = ".ready";

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

/// History files first, as PostgreSQL archives them: a standby needs them to follow a promotion.
bool goes_before(const std::string& a, const std::string& b) {
  const bool a_history = archive::wal_file_kind(a) == archive::WalFileKind::history;
  const bool b_history = archive::wal_file_kind(b) == archive::WalFileKind::history;
  return a_history != b_history ? a_history : a < b;
}

}  // namespace

ReadyQueue::ReadyQueue(std::filesystem::path status_folder, std::string first, std::uint64_t segment_bytes,
                       std::size_t limit, const Receipts& receipts)
    : folder_(std::move(status_folder)),
      segment_bytes_(segment_bytes),
      receipts_(receipts),
      last_in_a_row_(segment_bytes == 0 ? std::string() : first),
      handed_out_{std::move(first)},
      left_(limit) {}

bool ReadyQueue::ready(const std::string& name) const {
  return ::access((folder_ / (name + std::string(ready_suffix))).c_str(), F_OK) == 0;
}

std::optional<std::string> ReadyQueue::next_in_a_row() {
  while (!last_in_a_row_.empty()) {
    const auto last = archive::parse_segment(last_in_a_row_, segment_bytes_);
    if (!last) break;
    std::string name = last->next().name(segment_bytes_);
    if (!ready(name)) break;
    last_in_a_row_ = name;
    if (!handed_out_.contains(name) && !receipts_.holds(name)) return name;
  }
  last_in_a_row_.clear();
  return std::nullopt;
}

bool ReadyQueue::list() {
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(folder_.c_str()));
  if (directory == nullptr) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw system_error(errno, folder_.native());
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    std::string_view file(entry->d_name);
    if (!file.ends_with(ready_suffix)) continue;
    file.remove_suffix(ready_suffix.size());
    std::string name(file);
    if (archive::wal_file_kind(name) == archive::WalFileKind::other) continue;
    if (handed_out_.contains(name) || receipts_.holds(name)) continue;
    names.push_back(std::move(name));
  }
  const std::size_t wanted = std::min(names.size(), left_);
  std::partial_sort(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(wanted), names.end(), goes_before);
  listed_.assign(std::make_move_iterator(names.begin()),
                 std::make_move_iterator(names.begin() + static_cast<std::ptrdiff_t>(wanted)));
  return !listed_.empty();
}

std::optional<std::string> ReadyQueue::next() {
  std::lock_guard lock(mutex_);
  if (left_ == 0) return std::nullopt;
  std::optional<std::string> name = next_in_a_row();
  if (!name) {
    if (listed_.empty() && !list()) return std::nullopt;
    name = std::move(listed_.front());
    listed_.pop_front();
  }
  handed_out_.insert(*name);
  --left_;
  return name;
}

void ReadyQueue::close() {
  std::lock_guard lock(mutex_);
  left_ = 0;
}

bool ReadyQueue::any_status_folder() const { return ::access(folder_.c_str(), X_OK) == 0; }

}  // namespace seawall::ops
