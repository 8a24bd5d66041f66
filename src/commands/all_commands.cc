#include <fmt/format.h>

#include "commands/app.hh"
#include "commands/commands.hh"

namespace seawall {

std::vector<std::unique_ptr<cli::AnyCommand>> all_commands() {
  std::vector<std::unique_ptr<cli::AnyCommand>> all;
  all.push_back(commands::backup_push_command());
  all.push_back(commands::backup_fetch_command());
  all.push_back(commands::backup_list_command());
  all.push_back(commands::backup_mark_command());
  all.push_back(commands::info_command());
  all.push_back(commands::expire_command());
  all.push_back(commands::delete_before_command());
  all.push_back(commands::delete_retain_command());
  all.push_back(commands::delete_target_command());
  all.push_back(commands::delete_garbage_command());
  all.push_back(commands::delete_everything_command());
  all.push_back(commands::wal_push_command());
  all.push_back(commands::wal_fetch_command());
  all.push_back(commands::wal_prefetch_command());
  all.push_back(commands::wal_show_command());
  all.push_back(commands::wal_verify_command());
  all.push_back(commands::verify_command());
  all.push_back(commands::copy_command());
  all.push_back(commands::st_ls_command());
  all.push_back(commands::st_stat_command());
  all.push_back(commands::st_cat_command());
  all.push_back(commands::st_get_command());
  all.push_back(commands::st_put_command());
  all.push_back(commands::st_rm_command());
  all.push_back(commands::st_check_read_command());
  all.push_back(commands::st_check_write_command());
  all.push_back(commands::check_storage_command());
  all.push_back(commands::check_backup_command());
  all.push_back(commands::restore_command());
  all.push_back(commands::schedule_command());
  all.push_back(commands::standby_config_command());
  all.push_back(commands::dump_command());
  all.push_back(commands::dump_list_command());
  all.push_back(commands::dump_restore_command());
  all.push_back(commands::docs_command());
  return all;
}

namespace commands {

void refuse_unknown_storage(std::string_view name, const pipeline::Repository& repository) {
  if (name.empty() || name == "all" || name == repository.name) return;
  throw Error(Errc::usage, fmt::format("storage '{}' is not configured; there is only '{}'", name, repository.name));
}

}  // namespace commands
}  // namespace seawall
