#include "commands/restore_command.hh"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.hh"
#include "base/text.hh"

namespace seawall::commands {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view settings_file = "seawall_recovery.json";

/// This program as the server's shell finds it.
std::string own_path() {
  std::error_code failure;
  const fs::path self = fs::read_symlink("/proc/self/exe", failure);
  if (failure) throw system_error(failure.value(), "/proc/self/exe");
  return self.native();
}

/// Quoted for the shell that PostgreSQL runs the command with.
std::string shell_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

bool is_path(std::string_view key) { return key.ends_with("FILE_PREFIX") || key.ends_with("_DESTINATION"); }

}  // namespace

std::string write_restore_command(const std::string& directory, const App& app) {
  std::string json = "{";
  for (const auto& [key, value] : app.sources.given()) {
    // Of this machine's old cluster and this run, not of the recovery.
    if (key.starts_with("PG") || key == "WALG_CONFIG_PATH" || key == "WALG_LOG_DESTINATION") continue;
    const std::string text = is_path(key) && !value.starts_with("file://") ? fs::absolute(value).native() : value;
    json += fmt::format("{}\n  {}: {}", json.size() > 1 ? "," : "", json_string(key), json_string(text));
  }
  json += "\n}\n";
  const fs::path path = fs::absolute(directory) / settings_file;
  replace_file(path, json, 0600);
  if (::geteuid() == 0) {
    struct stat owner {};
    if (::stat(directory.c_str(), &owner) != 0) throw system_error(errno, directory);
    if (::chown(path.c_str(), owner.st_uid, owner.st_gid) != 0) throw system_error(errno, path.native());
  }
  return fmt::format("{} --config {} wal-fetch \"%f\" \"%p\"", shell_quoted(own_path()), shell_quoted(path.native()));
}

}  // namespace seawall::commands
