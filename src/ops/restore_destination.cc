#include "ops/restore_destination.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <set>

#include "base/file.hh"
#include "ops/directory_sink.hh"
#include "postgres/control_file.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

/// What an operator may put there first: the settings of the recovery and of the server to be.
bool may_stay(const fs::directory_entry& entry) {
  static constexpr std::array<std::string_view, 4> signals{"recovery.conf", "recovery.signal", "standby.signal",
                                                           "conf.d"};
  const std::string name = entry.path().filename();
  return std::find(signals.begin(), signals.end(), name) != signals.end() ||
         (name.ends_with(".conf") && entry.is_regular_file());
}

std::vector<fs::directory_entry> entries_of(const fs::path& directory) {
  std::error_code failure;
  std::vector<fs::directory_entry> entries;
  fs::directory_iterator it(directory, failure);
  if (failure.value() == ENOENT) return entries;
  if (failure) throw system_error(failure.value(), directory.native());
  for (const fs::directory_entry& entry : it) entries.push_back(entry);
  return entries;
}

/// Without the slash at the end, behind which the last name would be empty.
fs::path normal(const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  return normal.has_filename() || !normal.has_relative_path() ? normal : normal.parent_path();
}

void create_directory_durably(const fs::path& directory) {
  if (::mkdir(directory.c_str(), 0700) == 0) {
    sync_directory(directory.parent_path());
    return;
  }
  if (errno == EEXIST) return;
  if (errno != ENOENT) throw system_error(errno, directory.native());
  create_directory_durably(directory.parent_path());
  create_directory_durably(directory);
}

void sync_file_system(const fs::path& path) {
  const Fd fd = open_file(path, O_RDONLY | O_DIRECTORY);
  if (::syncfs(fd.get()) != 0) throw system_error(errno, path.native() + ": flushing the file system");
}

}  // namespace

RestoreDestination::RestoreDestination(fs::path directory, archive::TablespaceSpec spec)
    : directory_(normal(fs::absolute(directory))), spec_(std::move(spec)) {
  check_directory();
  std::set<fs::path> locations;
  for (const auto& tablespace : spec_.tablespaces) {
    // The number becomes a name in pg_tblspc, and must not lead out of it.
    if (tablespace.oid.empty() || tablespace.oid.find_first_not_of("0123456789") != std::string::npos) {
      throw Error(Errc::corrupt, fmt::format("'{}' is no tablespace's number", tablespace.oid));
    }
    check_location(tablespace.location);
    if (const fs::path location = normal(tablespace.location);
        location == directory_ || !locations.insert(location).second) {
      throw Error(Errc::config,
                  fmt::format("tablespace {} cannot lie in {}: that directory is taken by {}", tablespace.oid,
                              location.native(), location == directory_ ? "the cluster itself" : "another tablespace"));
    }
  }
}

void RestoreDestination::check_directory() {
  if (const auto pid = postgres::running_postmaster(directory_)) {
    throw Error(Errc::in_use,
                fmt::format("a server (process {}) runs on {}; stop it first", *pid, directory_.native()));
  }
  // First: whatever else lies there is explained by it.
  if (std::error_code ignored; fs::exists(directory_ / marker, ignored)) {
    throw Error(Errc::exists, fmt::format("{} holds an unfinished restore (file {}); empty it and start again",
                                          directory_.native(), marker));
  }
  for (const fs::directory_entry& entry : entries_of(directory_)) {
    const std::string name = entry.path().filename();
    if (name == "pg_tblspc" && entry.is_directory() && !entry.is_symlink()) {
      check_prepared_links();
      continue;
    }
    if (!may_stay(entry)) {
      throw Error(Errc::exists,
                  fmt::format("Directory {} must be empty, but it holds {}; restore into another directory, "
                              "or move this one away",
                              directory_.native(), name));
    }
    kept_.push_back(name);
  }
}

void RestoreDestination::check_prepared_links() const {
  for (const fs::directory_entry& entry : entries_of(directory_ / "pg_tblspc")) {
    const auto wanted = std::find_if(spec_.tablespaces.begin(), spec_.tablespaces.end(),
                                     [&](const auto& tablespace) { return tablespace.oid == entry.path().filename(); });
    std::error_code failure;
    const fs::path target = entry.path().parent_path() / fs::read_symlink(entry.path(), failure);
    if (!failure && wanted != spec_.tablespaces.end() && normal(target) == normal(wanted->location)) continue;
    throw Error(Errc::exists,
                fmt::format("{} is in the way: it is not the link of a tablespace of this backup to {}",
                            entry.path().native(), wanted == spec_.tablespaces.end() ? "anywhere" : wanted->location));
  }
}

void RestoreDestination::check_location(const fs::path& location) const {
  if (!location.is_absolute()) {
    throw Error(Errc::config, fmt::format("tablespace location {} is not an absolute path", location.native()));
  }
  for (const fs::directory_entry& entry : entries_of(location)) {
    throw Error(Errc::exists, fmt::format("tablespace location {} must be empty, but it holds {}; give other locations "
                                          "with --restore-spec, or move it away",
                                          location.native(), entry.path().filename().native()));
  }
}

void RestoreDestination::prepare() {
  create_directory_durably(directory_);
  replace_file(
      directory_ / marker,
      "seawall is restoring into this directory, or was interrupted. Until this file is gone, nothing here can "
      "be used: empty the directory and restore again.\n",
      0600);
  if (spec_.empty()) return;
  create_directory_durably(directory_ / "pg_tblspc");
  for (const auto& tablespace : spec_.tablespaces) {
    create_directory_durably(normal(tablespace.location));
    const fs::path link = directory_ / "pg_tblspc" / tablespace.oid;
    // One that stands there was found to be right.
    if (::symlink(tablespace.location.c_str(), link.c_str()) != 0 && errno != EEXIST) {
      throw system_error(errno, link.native());
    }
  }
}

void RestoreDestination::finish(bool durable) {
  if (durable) {
    sync_file_system(directory_);
    for (const auto& tablespace : spec_.tablespaces) sync_file_system(tablespace.location);
  }
  const fs::path provisional = directory_ / RestoredDirectory::provisional_control_file;
  if (::rename(provisional.c_str(), (directory_ / RestoredDirectory::control_file).c_str()) == 0) {
    sync_directory(directory_ / "global");
  } else if (errno != ENOENT) {  // a mask may have left it out
    throw system_error(errno, provisional.native());
  }
  const fs::path unfinished = directory_ / marker;
  if (::unlink(unfinished.c_str()) != 0) throw system_error(errno, unfinished.native());
  sync_directory(directory_);
}

}  // namespace seawall::ops
