#include "postgres/walk.hh"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/file.hh"
#include "base/text.hh"

namespace seawall::postgres {
namespace {

/// Where in a data directory we are: what is left out depends on it.
enum class Zone {
  root,
  base,         ///< base: directories of databases
  global,       ///< relations that all databases share
  tablespaces,  ///< pg_tblspc
  tablespace,   ///< a tablespace: PG_15_202209061
  version,      ///< PG_15_202209061: directories of databases
  database,     ///< relations
  other,
};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Directories under PGDATA whose contents a restored cluster must not have (basebackup.c, excludeDirContents), or
/// that are a matter of the machine (server logs).
constexpr std::array<std::string_view, 10> emptied_directories = {
    "pg_wal",    "pg_stat_tmp",  "pg_replslot", "pg_dynshmem", "pg_notify",
    "pg_serial", "pg_snapshots", "pg_subtrans", "log",         "pg_log"};

/// basebackup.c, excludeFiles; then what steers a recovery and belongs to the restore, not to the backup.
constexpr std::array<std::string_view, 10> left_out_files = {
    "postgresql.auto.conf.tmp", "current_logfiles.tmp", "backup_label",    "tablespace_map", "backup_manifest",
    "postmaster.pid",           "postmaster.opts",      "recovery.signal", "standby.signal", "recovery.conf"};

/// Directories without which no server starts. PostgreSQL follows them when an administrator made them links.
constexpr std::array<std::string_view, 8> needed_directories = {
    "base", "global", "pg_xact", "pg_multixact", "pg_commit_ts", "pg_logical", "pg_twophase", "pg_tblspc"};

constexpr std::string_view relation_cache = "pg_internal.init";

std::size_t digits_at(std::string_view text, std::size_t from) {
  std::size_t end = from;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  return end - from;
}

bool all_digits(std::string_view text) { return !text.empty() && digits_at(text, 0) == text.size(); }

/// What follows a relation's number: nothing, a fork, a segment, or both: "_fsm.1".
struct RelationSuffix {
  std::string_view fork;  ///< "", "fsm", "vm", "init"
};
std::optional<RelationSuffix> relation_suffix(std::string_view rest) {
  RelationSuffix suffix;
  if (rest.starts_with('_')) {
    suffix.fork = rest.substr(1, rest.find('.') - 1);
    if (suffix.fork != "fsm" && suffix.fork != "vm" && suffix.fork != "init") return std::nullopt;
    rest.remove_prefix(1 + suffix.fork.size());
  }
  if (!rest.empty() && (rest.front() != '.' || !all_digits(rest.substr(1)))) return std::nullopt;
  return suffix;
}

/// t3_16384, t3_16384_fsm, t3_16384.1 (reinit.c and fd.c: looks_like_temp_rel_name).
bool is_temporary_relation(std::string_view name) {
  if (!name.starts_with('t')) return false;
  const std::size_t backend = digits_at(name, 1);
  if (backend == 0 || 1 + backend >= name.size() || name[1 + backend] != '_') return false;
  const std::size_t relation = digits_at(name, 2 + backend);
  return relation != 0 && relation_suffix(name.substr(2 + backend + relation)).has_value();
}

/// The names of one directory, sorted, and what can be known only from all of them.
class Listing {
 public:
  Listing(std::vector<std::string> names, bool of_database) : names_(std::move(names)) {
    std::sort(names_.begin(), names_.end());
    if (!of_database) return;
    for (const std::string_view name : names_) {
      if (name.ends_with("_init") && all_digits(name.substr(0, name.size() - 5))) {
        unlogged_.push_back(name.substr(0, name.size() - 5));
      }
    }
    std::sort(unlogged_.begin(), unlogged_.end());  // "_" sorts behind digits, so the names' order is another
  }
  Listing(const Listing&) = delete;
  Listing& operator=(const Listing&) = delete;

  const std::vector<std::string>& names() const { return names_; }

  /// A fork of an unlogged relation that recovery makes anew from the init fork.
  bool is_reset(std::string_view name) const {
    if (unlogged_.empty()) return false;
    const std::size_t digits = digits_at(name, 0);
    if (digits == 0) return false;
    const auto suffix = relation_suffix(name.substr(digits));
    return suffix && suffix->fork != "init" &&
           std::binary_search(unlogged_.begin(), unlogged_.end(), name.substr(0, digits));
  }

 private:
  std::vector<std::string> names_;
  std::vector<std::string_view> unlogged_;
};

/// An open directory; what it holds is reached from its descriptor, so that no path is resolved twice.
class Directory {
 public:
  /// Nothing if it is not there, or no directory any more. `path` is for messages.
  static std::optional<Directory> try_open(int parent, const char* name, const std::string& path) {
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
      if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
      throw system_error(errno, path);
    }
    Stream stream(fdopendir(fd));  // owns fd from here on
    if (stream == nullptr) {
      const int failure = errno;
      close(fd);
      throw system_error(failure, path);
    }
    return Directory(std::move(stream));
  }

  int fd() const { return dirfd(stream_.get()); }

  std::vector<std::string> names(const std::string& path) const {
    std::vector<std::string> found;
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(stream_.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") found.emplace_back(name);
    }
    if (errno != 0) throw system_error(errno, path);
    return found;
  }

 private:
  struct Close {
    void operator()(DIR* stream) const noexcept { closedir(stream); }
  };
  using Stream = std::unique_ptr<DIR, Close>;
  explicit Directory(Stream stream) : stream_(std::move(stream)) {}

  Stream stream_;
};

/// Names of users and groups; each is looked up once, because a lookup may ask a directory service.
class Owners {
 public:
  const std::string& user(uid_t id) { return look_up(users_, id, getpwuid_r, &passwd::pw_name); }
  const std::string& group(gid_t id) { return look_up(groups_, id, getgrgid_r, &::group::gr_name); }

 private:
  template <class Record>
  static const std::string& look_up(std::unordered_map<std::uint32_t, std::string>& known, std::uint32_t id,
                                    int (*find)(std::uint32_t, Record*, char*, std::size_t, Record**),
                                    char* Record::*name) {
    const auto [at, is_new] = known.try_emplace(id);
    if (is_new) {
      std::vector<char> buffer(4096);
      Record record{};
      Record* found = nullptr;
      while (find(id, &record, buffer.data(), buffer.size(), &found) == ERANGE && buffer.size() < (1U << 20)) {
        buffer.resize(buffer.size() * 2);
      }
      if (found != nullptr) at->second = found->*name;
    }
    return at->second;
  }

  std::unordered_map<std::uint32_t, std::string> users_;
  std::unordered_map<std::uint32_t, std::string> groups_;
};

Zone zone_within(Zone zone, std::string_view name) {
  switch (zone) {
    case Zone::root:
      return name == "base"        ? Zone::base
             : name == "global"    ? Zone::global
             : name == "pg_tblspc" ? Zone::tablespaces
                                   : Zone::other;
    case Zone::tablespaces:
      return Zone::tablespace;
    case Zone::tablespace:
      return Zone::version;
    case Zone::base:
    case Zone::version:
      return all_digits(name) ? Zone::database : Zone::other;
    default:
      return Zone::other;
  }
}

bool holds_temporary_files(Zone zone) {
  return zone == Zone::base || zone == Zone::tablespace || zone == Zone::version || zone == Zone::database;
}

bool is_emptied(Zone zone, std::string_view name) {
  if (zone == Zone::root) return contains(emptied_directories, name);
  return holds_temporary_files(zone) && name.starts_with("pgsql_tmp");
}

/// This program's own: the mark of a restore, its settings (which may hold secrets), files being written.
bool is_ours(Zone zone, std::string_view name) {
  return zone == Zone::root &&
         (name.starts_with(".seawall") || name == "seawall_restore_incomplete" || name == "seawall_recovery.json");
}

bool is_left_out(Zone zone, std::string_view name, const Listing& listing) {
  if (name == ".DS_Store") return true;
  if (holds_temporary_files(zone) && name.starts_with("pgsql_tmp")) return true;
  if (zone == Zone::root) return contains(left_out_files, name);
  if (zone == Zone::global) return name.starts_with(relation_cache);
  return zone == Zone::database &&
         (name.starts_with(relation_cache) || is_temporary_relation(name) || listing.is_reset(name));
}

/// A link there stands for what it points to: the server would miss the content, and would not miss the link.
bool is_followed(Zone zone, std::string_view name) {
  if (zone == Zone::root) return contains(needed_directories, name);
  return zone == Zone::global || holds_temporary_files(zone);
}

class Walk {
 public:
  Walk(const std::filesystem::path& data_directory, const std::function<void(Entry)>& visit, const Run& run)
      : visit_(visit), run_(run) {
    std::error_code failure;
    root_ = std::filesystem::canonical(data_directory, failure).string();
    if (failure) throw system_error(failure.value(), data_directory.string());
    walked_.spec.base_prefix = root_;
    if (const auto version = try_read_file(root_ + "/PG_VERSION", 64)) {
      version_directory_ = fmt::format("PG_{}_", trim(*version));
    }
  }

  Walked all() {
    const auto directory = Directory::try_open(AT_FDCWD, root_.c_str(), root_);
    if (!directory) throw system_error(ENOTDIR, root_);
    struct stat info {};
    if (fstat(directory->fd(), &info) != 0) throw system_error(errno, root_);
    walked_.data_catalog_bytes += static_cast<std::uint64_t>(info.st_size);
    emit("", info);
    walk(*directory, "", Zone::root);
    return std::move(walked_);
  }

 private:
  struct Place {
    const Directory& directory;
    const std::string& name;  ///< "/base/1", "" for the root
    Zone zone;
    const Listing& listing;
  };

  std::string path_of(const std::string& name) const { return root_ + name; }

  void walk(const Directory& directory, const std::string& name, Zone zone) {
    const Listing listing(directory.names(path_of(name)), zone == Zone::database);
    const Place place{directory, name, zone, listing};
    for (const std::string& child : listing.names()) {
      run_.check();
      step(place, child);
    }
  }

  void step(const Place& place, const std::string& child) {
    const std::string name = place.name + '/' + child;
    struct stat info {};
    if (fstatat(place.directory.fd(), child.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) throw system_error(errno, path_of(name));
      return vanished(name);
    }
    walked_.data_catalog_bytes += static_cast<std::uint64_t>(info.st_size);
    if (is_ours(place.zone, child)) return;
    if (S_ISLNK(info.st_mode)) return link(place, child, name, info);
    if (place.zone == Zone::tablespace && !child.starts_with(version_directory_)) return;
    if (S_ISDIR(info.st_mode)) return directory(place, child, name, info);
    if (is_left_out(place.zone, child, place.listing)) return;
    if (S_ISREG(info.st_mode)) return emit(name, info);
    run_.log.debug("{} is neither a file, a directory nor a link and is left out", path_of(name));
  }

  void directory(const Place& place, const std::string& child, const std::string& name, const struct stat& info) {
    if (is_emptied(place.zone, child)) return emit(name, info);
    const auto opened = Directory::try_open(place.directory.fd(), child.c_str(), path_of(name));
    if (!opened) return vanished(name);
    emit(name, info);
    walk(*opened, name, zone_within(place.zone, child));
  }

  void link(const Place& place, const std::string& child, const std::string& name, struct stat info) {
    if (place.zone == Zone::tablespaces) return tablespace(place, child, name);
    if (place.zone == Zone::tablespace && !child.starts_with(version_directory_)) return;
    const int at = place.directory.fd();
    struct stat target {};
    const bool has_target = fstatat(at, child.c_str(), &target, 0) == 0;
    if (place.zone == Zone::root && is_emptied(place.zone, child)) {
      if (!has_target || !S_ISDIR(target.st_mode)) {
        target = info;
        target.st_mode = S_IFDIR | 0700;
      }
      return emit(name, target);
    }
    if (is_left_out(place.zone, child, place.listing)) return;
    if (has_target && is_followed(place.zone, child)) {
      if (S_ISDIR(target.st_mode)) return directory(place, child, name, target);
      if (S_ISREG(target.st_mode)) return emit(name, target);
    }
    if (auto to = target_of(place, child, name)) emit(name, info, std::move(*to));
  }

  void tablespace(const Place& place, const std::string& child, const std::string& name) {
    auto location = target_of(place, child, name);
    if (!location) return;
    const auto opened = Directory::try_open(place.directory.fd(), child.c_str(), *location);
    if (!opened) {
      struct stat still {};
      // A dropped tablespace loses its link as well; a link into nothing is a disk that is not mounted.
      if (fstatat(place.directory.fd(), child.c_str(), &still, AT_SYMLINK_NOFOLLOW) != 0) return vanished(name);
      throw Error(Errc::not_found, fmt::format("tablespace {} of {}: {} is not there; is its file system mounted?",
                                               child, root_, *location));
    }
    walked_.spec.tablespaces.push_back({child, std::move(*location), fmt::format("pg_tblspc/{}", child)});
    walk(*opened, name, Zone::tablespace);
  }

  std::optional<std::string> target_of(const Place& place, const std::string& child, const std::string& name) {
    std::array<char, 4096> target{};
    const ssize_t length = readlinkat(place.directory.fd(), child.c_str(), target.data(), target.size());
    if (length >= 0) return std::string(target.data(), static_cast<std::size_t>(length));
    if (errno != ENOENT && errno != EINVAL) throw system_error(errno, path_of(name));
    vanished(name);
    return std::nullopt;
  }

  void vanished(const std::string& name) { run_.log.debug("{} vanished while it was looked at", path_of(name)); }

  void emit(const std::string& name, const struct stat& info, std::string link_target = {}) {
    Entry entry;
    entry.path = path_of(name);
    entry.modified = Time(std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec));
    entry.is_control_file = name == "/global/pg_control";
    archive::Member& member = entry.member;
    member.name = name.empty() ? "/" : name;
    member.mode = info.st_mode & 07777U;
    member.uid = info.st_uid;
    member.gid = info.st_gid;
    member.user = owners_.user(info.st_uid);
    member.group = owners_.group(info.st_gid);
    // As Go's archive/tar rounds: to the nearest second, halves up.
    member.modified = std::chrono::floor<std::chrono::seconds>(entry.modified + std::chrono::milliseconds(500))
                          .time_since_epoch()
                          .count();
    if (S_ISREG(info.st_mode)) {
      member.bytes = static_cast<std::uint64_t>(info.st_size);
    } else {
      member.type = S_ISDIR(info.st_mode) ? archive::MemberType::directory : archive::MemberType::symlink;
      member.link = std::move(link_target);
    }
    visit_(std::move(entry));
  }

  const std::function<void(Entry)>& visit_;
  const Run& run_;
  std::string root_;
  std::string version_directory_;  ///< "PG_15_"; empty, and all is taken, if PG_VERSION is not there
  Owners owners_;
  Walked walked_;
};

}  // namespace

Walked walk_data_directory(const std::filesystem::path& data_directory, const std::function<void(Entry)>& visit,
                           const Run& run) {
  return Walk(data_directory, visit, run).all();
}

}  // namespace seawall::postgres
