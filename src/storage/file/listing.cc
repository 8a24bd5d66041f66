#include "storage/file/listing.hh"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.hh"
#include "storage/file/temp_name.hh"
#include "storage/request.hh"

namespace seawall::storage {
namespace {

constexpr unsigned deepest = 64;  // keys have three or four levels; more is a link that leads back

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

enum class Kind { object, directory, none };

Kind kind_of(const struct stat& status) noexcept {
  return S_ISREG(status.st_mode) ? Kind::object : S_ISDIR(status.st_mode) ? Kind::directory : Kind::none;
}

/// The beginning of a name as a number in the order of names, as far as 12 characters tell it: digits and capital A to
/// F, of which the names of WAL consist, are told apart; any other character is only placed among them, and what
/// follows it is not looked at.
std::uint64_t order_key(std::string_view name) noexcept {
  constexpr std::size_t characters = 12;
  constexpr unsigned bits = 5;
  std::uint64_t key = 0;
  bool exact = true;
  for (std::size_t i = 0; i < characters; ++i) {
    unsigned place = 0;  // the name has ended
    if (exact && i < name.size()) {
      const auto c = static_cast<unsigned char>(name[i]);
      const bool digit = c >= '0' && c <= '9';
      const bool letter = c >= 'A' && c <= 'F';
      exact = digit || letter;
      if (digit) {
        place = 2U + (c - '0');
      } else if (letter) {
        place = 13U + (c - 'A');
      } else {
        place = c < '0' ? 1U : c < 'A' ? 12U : 19U;
      }
    }
    key = key << bits | place;
  }
  return key;
}

/// The names of one directory, those of directories with their '/': compared bytewise they are in key order.
/// In blocks, 16 bytes and the name for each: a million of them take 50 MB, where strings would take twice that.
class Names {
 public:
  void add(std::string_view name, bool directory) {
    const std::size_t length = name.size() + (directory ? 1 : 0);
    if (blocks_.empty() || used_ + length + 1 > block_bytes) {
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_bytes));
      used_ = 0;
    }
    char* const at = blocks_.back().get() + used_;
    std::copy(name.begin(), name.end(), at);
    if (directory) at[length - 1] = '/';
    at[length] = '\0';  // for system calls
    entries_.push_back({0, static_cast<std::uint32_t>(blocks_.size() - 1), static_cast<std::uint16_t>(used_),
                        static_cast<std::uint16_t>(length)});
    used_ += length + 1;
  }
  void sort() {
    const std::size_t shared = shared_beginning();
    for (Entry& entry : entries_) entry.key = order_key(at(entry).substr(shared));
    const auto order = [this](const Entry& a, const Entry& b) {
      return a.key != b.key ? a.key < b.key : at(a) < at(b);
    };
    const auto same = [this](const Entry& a, const Entry& b) { return a.key == b.key && at(a) == at(b); };
    std::sort(entries_.begin(), entries_.end(), order);
    // A directory that changes while it is read may show an entry twice.
    entries_.erase(std::unique(entries_.begin(), entries_.end(), same), entries_.end());
  }
  std::size_t size() const noexcept { return entries_.size(); }
  /// Followed by a NUL.
  std::string_view operator[](std::size_t i) const { return at(entries_[i]); }

 private:
  static constexpr std::size_t block_bytes = std::size_t{1} << 16;
  struct Entry {
    std::uint64_t key;
    std::uint32_t block;
    std::uint16_t start;
    std::uint16_t length;  // a name has at most 255 bytes
  };
  std::string_view at(const Entry& entry) const { return {blocks_[entry.block].get() + entry.start, entry.length}; }

  /// How many characters all names have in common at their beginning.
  std::size_t shared_beginning() const {
    if (entries_.empty()) return 0;
    const std::string_view first = at(entries_.front());
    std::size_t shared = first.size();
    for (const Entry& entry : entries_) {
      const std::string_view name = at(entry).substr(0, shared);
      const auto differ = std::mismatch(name.begin(), name.end(), first.begin()).first;
      shared = static_cast<std::size_t>(differ - name.begin());
    }
    return shared;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t used_ = 0;  // of the last block
  std::vector<Entry> entries_;
};

class Listing {
 public:
  Listing(const Fd& root, const std::string& description, const ListOptions& options, const Store::Visit& visit,
          const Store::VisitPrefix& visit_prefix, const std::stop_token& stop)
      : root_(root),
        description_(description),
        options_(options),
        visit_(visit),
        visit_prefix_(visit_prefix),
        stop_(stop) {}

  void run();

 private:
  Directory open(int parent, const std::string& path);
  Names read(DIR* directory, std::string_view name_prefix);
  bool wanted(std::string_view name, bool directory, std::string_view name_prefix) const;
  bool walk(Directory directory, std::string_view name_prefix, unsigned depth);
  bool walk_below(int parent, std::string_view name, unsigned depth);
  bool visit_file(int parent, std::string_view name);
  bool holds_objects(int parent, std::string_view name);
  Kind look(int parent, const char* name, struct stat& status);
  [[noreturn]] void fail(std::string_view key) const {
    throw system_error(errno, fmt::format("list {}/{}", description_, key));
  }

  const Fd& root_;
  const std::string& description_;
  const ListOptions& options_;
  const Store::Visit& visit_;
  const Store::VisitPrefix& visit_prefix_;
  const std::stop_token& stop_;
  std::string path_;  // of the directory being walked: "" or "some/where/"
};

/// Null if there is no such directory (any more).
Directory Listing::open(int parent, const std::string& path) {
  const int fd = ::openat(parent, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) return nullptr;
    // The root of a volume of its own has this directory of the file system, which only root may read.
    if (errno == EACCES && path_.empty() && path == "lost+found/") return nullptr;
    fail(path_ + path);
  }
  Directory directory(::fdopendir(fd));
  if (!directory) {
    const Fd close(fd);
    fail(path_ + path);
  }
  return directory;
}

Kind Listing::look(int parent, const char* name, struct stat& status) {
  if (::fstatat(parent, name, &status, 0) == 0) return kind_of(status);
  if (errno != ENOENT && errno != ENOTDIR) fail(path_ + name);
  return Kind::none;
}

bool Listing::wanted(std::string_view name, bool directory, std::string_view name_prefix) const {
  if (!directory && is_temp_name(name)) return false;
  if (!name.starts_with(name_prefix)) return false;
  const std::string_view after = options_.start_after;
  if (!after.starts_with(path_)) return true;  // the directory lies behind it, or it had not been entered
  const std::string_view rest = after.substr(path_.size());
  if (!directory) return name > rest;
  // A directory whose keys are all passed is left out; one that start_after points into is not.
  const std::string_view shared = rest.substr(0, std::min(rest.size(), name.size()));
  if (shared != name) return name > shared;
  return rest.size() <= name.size() || static_cast<unsigned char>(rest[name.size()]) <= '/';
}

Names Listing::read(DIR* directory, std::string_view name_prefix) {
  Names names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) {
      if (errno != 0 && errno != ENOENT) fail(path_);
      break;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    Kind kind = entry->d_type == DT_REG ? Kind::object : entry->d_type == DT_DIR ? Kind::directory : Kind::none;
    if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
      struct stat status {};
      kind = look(::dirfd(directory), entry->d_name, status);
    }
    if (kind != Kind::none && wanted(name, kind == Kind::directory, name_prefix))
      names.add(name, kind == Kind::directory);
  }
  names.sort();
  return names;
}

bool Listing::visit_file(int parent, std::string_view name) {
  std::string key = path_;
  key += name;
  if (options_.details_of && !options_.details_of(key)) return visit_({.key = std::move(key), .named_only = true});
  struct stat status {};
  if (look(parent, name.data(), status) != Kind::object) return true;  // gone since the directory was read
  return visit_(info_of(std::move(key), status));
}

/// False once the caller has seen enough.
bool Listing::walk(Directory directory, std::string_view name_prefix, unsigned depth) {
  if (depth > deepest) {
    throw Error(Errc::config,
                fmt::format("list {}/{}: more than {} levels: does a link lead back?", description_, path_, deepest));
  }
  const int fd = ::dirfd(directory.get());
  const Names names = read(directory.get(), name_prefix);
  for (std::size_t i = 0; i < names.size(); ++i) {
    check_stop(stop_, "list", options_.prefix);
    const std::string_view name = names[i];
    const bool more = name.back() == '/' ? walk_below(fd, name, depth) : visit_file(fd, name);
    if (!more) return false;
  }
  return true;
}

bool Listing::walk_below(int parent, std::string_view name, unsigned depth) {
  if (options_.one_level) return !holds_objects(parent, name) || visit_prefix_(path_ + std::string(name));
  Directory below = open(parent, std::string(name));
  if (!below) return true;
  const std::size_t length = path_.size();
  path_ += name;
  const bool more = walk(std::move(below), "", depth + 1);
  path_.resize(length);
  return more;
}

/// Whether a directory stands for any key that is asked for: other tools leave empty ones.
bool Listing::holds_objects(int parent, std::string_view name) {
  const std::string key = path_ + std::string(name);
  if (!options_.start_after.starts_with(key)) {
    // The usual case needs no order: the first file will do.
    Directory directory = open(parent, std::string(name));
    if (!directory) return false;
    while (const dirent* entry = ::readdir(directory.get())) {
      if (entry->d_type == DT_REG && !is_temp_name(entry->d_name)) return true;
    }
  }
  bool found = false;
  const ListOptions below{.prefix = key, .start_after = options_.start_after};
  const Store::Visit visit = [&](const ObjectInfo&) {
    found = true;
    return false;
  };
  Listing(root_, description_, below, visit, visit_prefix_, stop_).run();
  return found;
}

void Listing::run() {
  check_stop(stop_, "list", options_.prefix);
  const std::size_t slash = options_.prefix.rfind('/');
  const std::string base = slash == std::string::npos ? "" : options_.prefix.substr(0, slash + 1);
  if (!base.empty() && !key_fault(std::string_view(base).substr(0, slash)).empty()) return;  // no key begins like that
  if (options_.start_after > base && !options_.start_after.starts_with(base)) return;
  Directory directory = open(root_.get(), base);
  if (!directory) return;
  path_ = base;
  walk(std::move(directory), std::string_view(options_.prefix).substr(base.size()), 0);
}

}  // namespace

ObjectInfo info_of(std::string key, const struct stat& status) {
  const auto modified = std::chrono::seconds(status.st_mtim.tv_sec) + std::chrono::nanoseconds(status.st_mtim.tv_nsec);
  return {.key = std::move(key),
          .bytes = static_cast<std::uint64_t>(status.st_size),
          .modified = Time(modified),
          .version = fmt::format("{}-{}-{}", modified.count(), status.st_size, status.st_ino)};
}

void list_files(const Fd& root, const std::string& description, const ListOptions& options, const Store::Visit& visit,
                const Store::VisitPrefix& visit_prefix, const std::stop_token& stop) {
  Listing(root, description, options, visit, visit_prefix, stop).run();
}

}  // namespace seawall::storage
