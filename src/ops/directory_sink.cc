#include "ops/directory_sink.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace seawall::ops {
namespace {

constexpr std::size_t staging_bytes = std::size_t{1} << 20;
constexpr mode_t directory_mode = 0700;

void make_parents(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.parent_path();
  if (::mkdir(parent.c_str(), directory_mode) == 0 || errno == EEXIST) return;
  if (errno != ENOENT) throw system_error(errno, parent.native());
  make_parents(parent);
  if (::mkdir(parent.c_str(), directory_mode) != 0 && errno != EEXIST) throw system_error(errno, parent.native());
}

Fd create(const std::string& path, int flags) {
  const int all_flags = flags | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
  int fd = ::open(path.c_str(), all_flags, 0600);
  if (fd < 0 && errno == ENOENT) {
    make_parents(path);
    fd = ::open(path.c_str(), all_flags, 0600);
  }
  if (fd < 0) throw system_error(errno, path);
  return Fd(fd);
}

}  // namespace

RestoredDirectory::RestoredDirectory(std::filesystem::path root, std::vector<std::string> keep, PageLedger* ledger)
    : root_(std::move(root)), keep_(std::move(keep)), ledger_(ledger), root_user_(::geteuid() == 0) {}

std::string RestoredDirectory::relative_path(std::string_view member_name) const {
  std::string relative;
  std::size_t at = 0;
  while (at <= member_name.size()) {
    const std::size_t slash = std::min(member_name.find('/', at), member_name.size());
    const std::string_view component = member_name.substr(at, slash - at);
    at = slash + 1;
    if (component.empty() || component == ".") continue;
    if (component == ".." || component.find('\0') != std::string_view::npos) {
      throw Error(Errc::corrupt, fmt::format("member '{}' would be written outside {}", member_name, root_.native()));
    }
    if (!relative.empty()) relative.push_back('/');
    relative.append(component);
  }
  return relative;
}

bool RestoredDirectory::kept(std::string_view relative) const {
  return std::any_of(keep_.begin(), keep_.end(), [&](const std::string& name) {
    return relative.starts_with(name) && (relative.size() == name.size() || relative[name.size()] == '/');
  });
}

RestoredDirectory::Owner RestoredDirectory::owner_of(const archive::Member& member) {
  const std::string key = fmt::format("{}:{}:{}:{}", member.user, member.uid, member.group, member.gid);
  std::lock_guard lock(mutex_);
  if (const auto known = owners_.find(key); known != owners_.end()) return known->second;
  Owner owner{static_cast<uid_t>(member.uid), static_cast<gid_t>(member.gid)};
  std::array<char, 4096> buffer;
  passwd user{};
  passwd* found_user = nullptr;
  if (!member.user.empty() &&
      ::getpwnam_r(member.user.c_str(), &user, buffer.data(), buffer.size(), &found_user) == 0 &&
      found_user != nullptr) {
    owner.uid = found_user->pw_uid;
  }
  struct group group {};
  struct group* found_group = nullptr;
  if (!member.group.empty() &&
      ::getgrnam_r(member.group.c_str(), &group, buffer.data(), buffer.size(), &found_group) == 0 &&
      found_group != nullptr) {
    owner.gid = found_group->gr_gid;
  }
  return owners_.emplace(key, owner).first->second;
}

void RestoredDirectory::give_to_owner(const Fd& fd, const archive::Member& member, const std::string& path) {
  // The labels carry no owner (number 0, no name): they go to whom the directory belongs.
  if (!root_user_) return;
  Owner owner{};
  if (member.user.empty() && member.uid == 0) {
    struct stat status {};
    if (::stat(root_.c_str(), &status) != 0) throw system_error(errno, root_.native());
    owner = {status.st_uid, status.st_gid};
  } else {
    owner = owner_of(member);
  }
  if (::fchown(fd.get(), owner.uid, owner.gid) != 0) throw system_error(errno, path + ": setting the owner");
}

void RestoredDirectory::remember_link(std::string relative, std::string target) {
  std::lock_guard lock(mutex_);
  links_.emplace_back(std::move(relative), std::move(target));
}

void RestoredDirectory::remember_hard_link(std::string relative, std::string target) {
  std::lock_guard lock(mutex_);
  hard_links_.emplace_back(std::move(relative), std::move(target));
}

void RestoredDirectory::make_links() {
  for (const auto& [relative, target] : hard_links_) {
    const std::string path = (root_ / relative).native();
    const std::string file = (root_ / target).native();
    make_parents(path);
    struct stat status {};
    if (::lstat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
      throw Error(Errc::incomplete, fmt::format("{} is a hard link to {}, which no part has", relative, target));
    }
    if (::link(file.c_str(), path.c_str()) != 0) throw system_error(errno, path);
  }
  for (const auto& [relative, target] : links_) {
    const std::string path = (root_ / relative).native();
    make_parents(path);
    if (::symlink(target.c_str(), path.c_str()) != 0 && errno != EEXIST) throw system_error(errno, path);
  }
}

void RestoredDirectory::note_absent_pages(const std::string& file, std::uint64_t pages) {
  if (pages == 0) return;
  std::lock_guard lock(mutex_);
  if (absent_.pages == 0) absent_.first_file = file;
  absent_.pages += pages;
}

RestoredDirectory::AbsentPages RestoredDirectory::absent_pages() const {
  std::lock_guard lock(mutex_);
  return absent_;
}

DirectorySink::DirectorySink(RestoredDirectory& directory, Decide decide, Restored restored, const Run& run)
    : directory_(directory),
      decide_(std::move(decide)),
      restored_(std::move(restored)),
      run_(run),
      staging_(staging_bytes) {}

std::string DirectorySink::full_path() const {
  std::string path = directory_.root().native();
  if (!relative_.empty()) path.append("/").append(relative_);
  return path;
}

void DirectorySink::begin(const archive::Member& member, std::uint64_t) {
  run_.check();
  member_ = member;
  relative_ = directory_.relative_path(member.name);
  treatment_ = decide_(member_);
  if (treatment_ == Treatment::skip) return;
  if (member.type != archive::MemberType::file) return begin_other();
  if (directory_.kept(relative_)) {
    run_.log.warning("{} stands in {} already and is kept; the backup's own is not restored", relative_,
                     directory_.root().native());
    treatment_ = Treatment::skip;
    return restored_(member_, true);
  }
  if (directory_.ledger() != nullptr) {
    PagesDone pages = directory_.ledger()->take(member_.name);
    if (pages.begun || treatment_ == Treatment::patch) return begin_backwards(std::move(pages));
  }
  if (treatment_ == Treatment::whole) begin_file();
  if (treatment_ == Treatment::patch) begin_patch();
}

void DirectorySink::begin_other() {
  switch (member_.type) {
    case archive::MemberType::directory:
      make_directory();
      return restored_(member_, true);
    case archive::MemberType::symlink:
      directory_.remember_link(relative_, member_.link);
      return restored_(member_, true);
    case archive::MemberType::hard_link:
      // WAL-E stores them, each name but the first as a link to the first.
      directory_.remember_hard_link(relative_, directory_.relative_path(member_.link));
      return restored_(member_, true);
    case archive::MemberType::file:
    case archive::MemberType::other:
      run_.log.warning("member '{}' of unknown type is passed over", member_.name);
      restored_(member_, true);
  }
}

Fd DirectorySink::create_file(const std::string& path) {
  Fd fd = create(path, O_RDWR | O_TRUNC);
  if (::fchmod(fd.get(), member_.mode & 07777U) != 0) throw system_error(errno, path + ": setting the mode");
  directory_.give_to_owner(fd, member_, path);
  return fd;
}

void DirectorySink::begin_file() {
  if (relative_ == RestoredDirectory::control_file) {
    directory_.saw_control_file = true;
    relative_ = RestoredDirectory::provisional_control_file;
  }
  if (relative_ == "backup_label") directory_.saw_backup_label = true;
  const std::string path = full_path();
  writer_.emplace(create_file(path), path, member_.bytes, staging_.span());
}

void DirectorySink::begin_patch() {
  const std::string path = full_path();
  std::optional<Fd> fd = try_open_file(path, O_RDWR | O_NOFOLLOW);
  if (!fd) {
    throw Error(Errc::incomplete, fmt::format("{} is stored as an increment, but the backup it stands on did not bring "
                                              "that file",
                                              member_.name));
  }
  patched_ = std::move(*fd);
  // As when the chain is restored backwards: the newest backup that has anything of the file says whose it is.
  if (::fchmod(patched_.get(), member_.mode & 07777U) != 0) throw system_error(errno, path + ": setting the mode");
  directory_.give_to_owner(patched_, member_, path);
  begin_increment(
      [this, path](const archive::IncrementHeader& header) {
        block_bytes_ = header.block_bytes;
        const auto had = static_cast<std::uint64_t>(stat_of(patched_, path).st_size);
        directory_.note_absent_pages(relative_, archive::absent_pages(header, had));
        if (::ftruncate(patched_.get(), static_cast<off_t>(header.file_bytes)) != 0) throw system_error(errno, path);
      },
      [this, path](std::uint32_t block, Bytes page) {
        write_all_at(patched_, page, std::uint64_t{block} * block_bytes_, path);
      });
}

void DirectorySink::begin_increment(std::function<void(const archive::IncrementHeader&)> header,
                                    std::function<void(std::uint32_t, Bytes)> page) {
  increment_.emplace(member_.name, member_.bytes, std::move(header), std::move(page));
}

void DirectorySink::begin_backwards(PagesDone pages) {
  const std::string path = full_path();
  backwards_.emplace(path, std::move(pages), [&] { return create_file(path); });
  if (treatment_ == Treatment::whole) return;
  begin_increment([this](const archive::IncrementHeader& header) { backwards_->begin_increment(header); },
                  [this](std::uint32_t block, Bytes page) { backwards_->page(block, page); });
}

void DirectorySink::end_backwards() {
  if (increment_) {
    backwards_->end_increment();
  } else {
    backwards_->end_fill();
  }
  directory_.note_absent_pages(relative_, backwards_->absent_pages());
  directory_.ledger()->keep(member_.name, backwards_->pages());
}

void DirectorySink::make_directory() {
  const std::string path = full_path();
  if (::mkdir(path.c_str(), directory_mode) != 0) {
    if (errno == ENOENT) {
      make_parents(path + "/x");
    } else if (errno != EEXIST) {
      throw system_error(errno, path);
    }
  }
  // A tablespace's link stands where the directory's name leads to: its location gets owner and mode.
  const Fd fd = open_file(path, O_RDONLY | O_DIRECTORY);
  if (::fchmod(fd.get(), member_.mode & 07777U) != 0) throw system_error(errno, path + ": setting the mode");
  directory_.give_to_owner(fd, member_, path);
}

void DirectorySink::body(Bytes data) {
  run_.progress.advance(data.size());
  if (increment_) return increment_->write(data);
  if (backwards_) return backwards_->fill(data);
  if (writer_) writer_->write(data);
}

MutableBytes DirectorySink::room(std::size_t bytes) { return writer_ ? writer_->room(bytes) : MutableBytes{}; }

void DirectorySink::placed(std::size_t n) {
  run_.progress.advance(n);
  writer_->placed(n);
}

void DirectorySink::end() {
  if (treatment_ == Treatment::skip) return;
  bool complete = treatment_ == Treatment::whole;
  if (increment_) increment_->finish();
  if (backwards_) {
    end_backwards();
    complete = backwards_->pages().complete();
    backwards_.reset();
  } else if (writer_) {
    writer_->finish();
    writer_.reset();
    // Writing and a change of owner took these bits away.
    constexpr std::uint32_t identity_bits = 06000;
    if ((member_.mode & identity_bits) != 0 && ::chmod(full_path().c_str(), member_.mode & 07777U) != 0) {
      throw system_error(errno, full_path() + ": setting the mode");
    }
    if (directory_.ledger() != nullptr) directory_.ledger()->drop(member_.name);
  }
  increment_.reset();
  patched_.close();
  directory_.files += 1;
  directory_.bytes += member_.bytes;
  restored_(member_, complete);
}

}  // namespace seawall::ops
