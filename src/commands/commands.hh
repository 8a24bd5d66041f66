#pragma once

#include <memory>
#include <string_view>

#include "cli/command.hh"
#include "pipeline/repository.hh"

/// One function per command; each command's .cc defines its arguments, its flags and what it prints.
namespace seawall::commands {

std::unique_ptr<cli::AnyCommand> backup_push_command();
std::unique_ptr<cli::AnyCommand> backup_fetch_command();
std::unique_ptr<cli::AnyCommand> backup_list_command();
std::unique_ptr<cli::AnyCommand> backup_mark_command();
std::unique_ptr<cli::AnyCommand> wal_show_command();
std::unique_ptr<cli::AnyCommand> wal_verify_command();
std::unique_ptr<cli::AnyCommand> info_command();
std::unique_ptr<cli::AnyCommand> expire_command();
std::unique_ptr<cli::AnyCommand> delete_before_command();
std::unique_ptr<cli::AnyCommand> delete_retain_command();
std::unique_ptr<cli::AnyCommand> delete_target_command();
std::unique_ptr<cli::AnyCommand> delete_garbage_command();
std::unique_ptr<cli::AnyCommand> delete_everything_command();
std::unique_ptr<cli::AnyCommand> wal_push_command();
std::unique_ptr<cli::AnyCommand> wal_fetch_command();
std::unique_ptr<cli::AnyCommand> wal_prefetch_command();
std::unique_ptr<cli::AnyCommand> copy_command();
std::unique_ptr<cli::AnyCommand> st_ls_command();
std::unique_ptr<cli::AnyCommand> st_stat_command();
std::unique_ptr<cli::AnyCommand> st_cat_command();
std::unique_ptr<cli::AnyCommand> st_get_command();
std::unique_ptr<cli::AnyCommand> st_put_command();
std::unique_ptr<cli::AnyCommand> st_rm_command();
std::unique_ptr<cli::AnyCommand> st_check_read_command();
std::unique_ptr<cli::AnyCommand> st_check_write_command();
std::unique_ptr<cli::AnyCommand> check_storage_command();
std::unique_ptr<cli::AnyCommand> verify_command();
std::unique_ptr<cli::AnyCommand> check_backup_command();
std::unique_ptr<cli::AnyCommand> restore_command();
std::unique_ptr<cli::AnyCommand> schedule_command();
std::unique_ptr<cli::AnyCommand> standby_config_command();
std::unique_ptr<cli::AnyCommand> dump_command();
std::unique_ptr<cli::AnyCommand> dump_list_command();
std::unique_ptr<cli::AnyCommand> dump_restore_command();
/// Hidden: prints the pages under docs/ that are generated from the declarations.
std::unique_ptr<cli::AnyCommand> docs_command();

/// --target-storage: only "default" exists until failover storages do. Errc::usage for another name; empty: fine.
void refuse_unknown_storage(std::string_view name, const pipeline::Repository& repository);

}  // namespace seawall::commands
