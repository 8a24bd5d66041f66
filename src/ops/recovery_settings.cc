#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/file.hh"
#include "base/text.hh"
#include "ops/recovery_plan.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> settings_of(const RecoveryPlan& plan, const std::string& restore_command) {
  const RecoveryTarget& target = plan.target;
  std::map<std::string, std::string> settings{{"restore_command", restore_command}};
  if (target.kind != RecoveryTarget::Kind::end) settings["recovery_target_action"] = target.action;
  switch (target.kind) {
    case RecoveryTarget::Kind::time:
      settings["recovery_target_time"] = target.text;
      break;
    case RecoveryTarget::Kind::lsn:
      settings["recovery_target_lsn"] = target.text;
      break;
    case RecoveryTarget::Kind::xid:
      settings["recovery_target_xid"] = target.text;
      break;
    case RecoveryTarget::Kind::name:
      settings["recovery_target_name"] = target.text;
      break;
    case RecoveryTarget::Kind::immediate:
      settings["recovery_target"] = "immediate";
      break;
    case RecoveryTarget::Kind::end:
      break;
  }
  // Before 12 the current timeline is what the server follows unless told otherwise, and it has no word for it.
  const bool has_word = plan.pg_version >= 120000 || target.timeline != "current";
  if (has_word) settings["recovery_target_timeline"] = target.timeline;
  return settings;
}

/// Without the settings of an earlier recovery: two targets are an error to the server, and a stale one a disaster.
std::string without_recovery_settings(std::string_view text) {
  std::string kept;
  for (const std::string_view line : split(text, '\n')) {
    const std::string name = lower(trim(line));
    if (name.starts_with("recovery_target") || name.starts_with("restore_command")) continue;
    if (!line.empty()) kept.append(line).append("\n");
  }
  return kept;
}

void replace_as_owner(const fs::path& path, const std::string& content) {
  replace_file(path, content, 0600);
  if (::geteuid() != 0) return;
  struct stat owner {};
  if (::stat(path.parent_path().c_str(), &owner) != 0) throw system_error(errno, path.parent_path().native());
  if (::chown(path.c_str(), owner.st_uid, owner.st_gid) != 0) throw system_error(errno, path.native());
}

}  // namespace

/// As guc-file.l reads it: a backslash escapes, also in a command, and a line ends a value.
std::string conf_quoted(std::string_view value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '\'' || c == '\\') text += c;
    text += c;
  }
  return text + "'";
}

void write_recovery_settings(const std::string& directory, const RecoveryPlan& plan, const std::string& restore_command,
                             const Run& run) {
  const fs::path root = fs::absolute(directory);
  std::string lines;
  for (const auto& [name, value] : settings_of(plan, restore_command))
    lines += fmt::format("{} = {}\n", name, conf_quoted(value));
  if (plan.pg_version < 120000) {
    replace_as_owner(root / "recovery.conf", lines);
    run.log.info("Wrote recovery.conf; start the server to recover");
    return;
  }
  const fs::path settings = root / "postgresql.auto.conf";
  replace_as_owner(settings, without_recovery_settings(try_read_file(settings).value_or("")) + lines);
  replace_as_owner(root / "recovery.signal", "");
  run.log.info("Wrote recovery.signal and the settings in postgresql.auto.conf; start the server to recover");
}

}  // namespace seawall::ops
