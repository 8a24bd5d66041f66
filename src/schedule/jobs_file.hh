#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schedule/job.hh"

namespace seawall::schedule {

/// What a file of jobs comes to.
struct JobsFile {
  std::vector<Job> jobs;                ///< in the file's order
  std::vector<std::string> complaints;  ///< what is accepted and not done: jobs in containers, mail
};

/// Reads ofelia's configuration, which is git's: sections [job-local "NAME"] with schedule, command, dir, environment,
/// no-overlap, save-folder, save-only-on-error; [global] gives those of the last two kinds to all. Beside ofelia's,
/// `cluster` (the data directory that the job is about), and `command` may come again: the next runs if the one before
/// succeeded. Reports by Slack and mail, and jobs of other kinds, are complaints. Errc::config naming `origin` and the
/// line for anything else.
JobsFile parse_jobs_file(std::string_view text, std::string_view origin);

}  // namespace seawall::schedule
