#pragma once

#include <chrono>
#include <string>

#include "config/setting.hh"

namespace seawall::commands {

/// What `schedule` runs, and how; the first two names are the backup container's.
struct ScheduleSettings : config::Group {
  config::Setting<std::string> backup_schedule{
      *this,
      {.name = "BACKUP_SCHEDULE",
       .doc =
           "When schedule takes base backups: 5 fields as in cron, 6 with the second first, @daily, @every 6h; a time "
           "zone may stand before it, TZ=Europe/Berlin."}};
  config::Setting<unsigned> retain{
      *this,
      {.name = "BACKUPS_TO_RETAIN",
       .range = {{0, 1'000'000}},
       .doc = "How many base backups schedule keeps: after each successful one, older ones are deleted. 0: all."}};
  config::Setting<std::string> jobs_file{
      *this,
      {.name = "SEAWALL_SCHEDULE_JOBS", .doc = "The file of jobs that schedule runs, as --jobs.", .kind = "path"}};
  config::Setting<std::string> state_dir{*this,
                                         {.name = "SEAWALL_STATE_DIR",
                                          .doc = "Where schedule keeps its history and its lock. Without it systemd's "
                                                 "STATE_DIRECTORY, XDG_STATE_HOME/seawall "
                                                 "or ~/.local/state/seawall.",
                                          .kind = "path"}};
  config::Setting<std::chrono::nanoseconds> drain{
      *this,
      {.name = "SEAWALL_SCHEDULE_DRAIN",
       .initial = std::chrono::seconds(5),
       .range = {{std::chrono::nanoseconds(0), std::chrono::hours(24 * 365)}},
       .doc =
           "How long running jobs may go on once schedule is told to end; then they are asked to stop. A container's "
           "engine waits 10 s by default."}};
  config::Setting<bool> catch_up{
      *this,
      {.name = "SEAWALL_SCHEDULE_CATCH_UP",
       .initial = false,
       .doc = "When schedule starts, run once what was due while it did not run. It is told in any case."}};
};

}  // namespace seawall::commands
