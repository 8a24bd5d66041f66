#include "ops/data_directory_source.hh"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/file.hh"
#include "ops/page_verifier.hh"
#include "postgres/page.hh"

namespace seawall::ops {
namespace {

constexpr std::uint32_t blocks_per_segment = 131072;  // RELSEG_SIZE: 1 GiB of 8 KiB pages
/// Below it the kernel reads the whole file ahead anyway and the call only costs.
constexpr std::uint64_t sequential_hint_bytes = std::uint64_t{1} << 20;

Time modification_time(const struct stat& status) {
  return Time(std::chrono::seconds(status.st_mtim.tv_sec) + std::chrono::nanoseconds(status.st_mtim.tv_nsec));
}

/// Go's archive/tar rounds to the nearest second, and so must we for equal headers.
std::int64_t header_seconds(Time modified) {
  return std::chrono::floor<std::chrono::seconds>(modified + std::chrono::milliseconds(500)).time_since_epoch().count();
}

}  // namespace

/// A regular file, opened before its header is made.
class DataDirectorySource::File final : public PendingMember {
 public:
  File(const DataDirectorySource& source, Fd fd, const archive::Member& attributes, std::string_view name)
      : source_(source), fd_(std::move(fd)), header_(attributes) {
    header_.name = name;
    const struct stat status = stat_of(fd_, header_.name);
    header_.bytes = static_cast<std::uint64_t>(status.st_size);
    modified_ = modification_time(status);
    header_.modified = header_seconds(modified_);
    if (header_.bytes > sequential_hint_bytes) ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    postgres::RelationFile relation;
    if (source.options_.verify_pages && postgres::is_relation_file(name, relation)) {
      verifier_.emplace(relation.segment * blocks_per_segment, source.options_.backup_start,
                        [this](std::uint32_t block, MutableBytes page) {
                          const std::uint64_t at = std::uint64_t{block} * PageVerifier::page_bytes;
                          return read_at(fd_, page, at, header_.name) == page.size();
                        });
    }
  }

  const archive::Member& header() const override { return header_; }
  Time modified() const override { return modified_; }

  void read(MutableBytes into) override {
    if (source_.options_.limiter != nullptr) source_.options_.limiter->take(into.size(), source_.run_.stop);
    const std::size_t n = read_at(fd_, into, offset_, header_.name);
    if (verifier_) verifier_->update(into.first(n));
    // Truncated since its header was made: replay truncates it again, so the missing bytes may be anything.
    std::fill(into.begin() + static_cast<std::ptrdiff_t>(n), into.end(), std::byte{0});
    offset_ += into.size();
    source_.run_.progress.advance(into.size());
  }

  const std::vector<std::uint32_t>& corrupt_blocks() const override {
    static const std::vector<std::uint32_t> none;
    return verifier_ ? verifier_->bad_blocks() : none;
  }

 private:
  const DataDirectorySource& source_;
  Fd fd_;
  archive::Member header_;
  Time modified_{};
  std::uint64_t offset_ = 0;
  std::optional<PageVerifier> verifier_;
};

/// A directory or a link: a header only.
class DataDirectorySource::Other final : public PendingMember {
 public:
  explicit Other(const postgres::Entry& entry) : entry_(entry) {}
  const archive::Member& header() const override { return entry_.member; }
  Time modified() const override { return entry_.modified; }
  void read(MutableBytes) override {}
  const std::vector<std::uint32_t>& corrupt_blocks() const override {
    static const std::vector<std::uint32_t> none;
    return none;
  }

 private:
  const postgres::Entry& entry_;
};

DataDirectorySource::DataDirectorySource(std::filesystem::path data_directory, Options options, const Run& run)
    : data_directory_(std::move(data_directory)), options_(std::move(options)), run_(run) {
  walked_ = postgres::walk_data_directory(
      data_directory_, [this](postgres::Entry entry) { add(std::move(entry)); }, run);
  large_first();
}

void DataDirectorySource::add(postgres::Entry entry) {
  if (entry.is_control_file) return;
  if (options_.leave_out && options_.leave_out(entry.member.name)) return;
  if (entry.member.type != archive::MemberType::file) {
    others_.push_back(std::move(entry));
    return;
  }
  files_.push_back({names_.size(), entry.member.bytes, attributes_of(entry.member)});
  names_.append(entry.member.name).push_back('\0');
  total_bytes_ += entry.member.bytes;
}

std::uint32_t DataDirectorySource::attributes_of(const archive::Member& member) {
  for (std::size_t i = attributes_.size(); i-- > 0;) {
    const archive::Member& known = attributes_[i];
    if (known.mode == member.mode && known.uid == member.uid && known.gid == member.gid) {
      return static_cast<std::uint32_t>(i);
    }
  }
  archive::Member attributes = member;
  attributes.name.clear();
  attributes_.push_back(std::move(attributes));
  return static_cast<std::uint32_t>(attributes_.size() - 1);
}

void DataDirectorySource::large_first() {
  constexpr std::uint64_t large = std::uint64_t{16} << 20;
  const auto small =
      std::stable_partition(files_.begin(), files_.end(), [](const Record& r) { return r.bytes >= large; });
  std::stable_sort(files_.begin(), small, [](const Record& a, const Record& b) { return a.bytes > b.bytes; });
}

std::unique_ptr<PendingMember> DataDirectorySource::next() {
  for (;;) {
    run_.check();
    const std::size_t index = next_.fetch_add(1);
    if (index < others_.size()) return std::make_unique<Other>(others_[index]);
    if (index - others_.size() >= files_.size()) return nullptr;
    const Record& record = files_[index - others_.size()];
    const std::string_view name = names_.c_str() + record.name;
    std::optional<Fd> fd = try_open_file(data_directory_.native() + std::string(name), O_RDONLY);
    // Dropped since the walk; its WAL record drops it again.
    if (!fd) {
      run_.log.debug("{} vanished before it was read", name);
      continue;
    }
    return std::make_unique<File>(*this, std::move(*fd), attributes_[record.attributes], name);
  }
}

}  // namespace seawall::ops
