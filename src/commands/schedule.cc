#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/child.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "commands/schedule_settings.hh"
#include "commands/table.hh"
#include "manuals/schedule.hh"
#include "schedule/jobs_file.hh"
#include "schedule/scheduler.hh"
#include "schedule/zone.hh"

namespace seawall::commands {
namespace {

namespace fs = std::filesystem;

using schedule::Entry;
using schedule::History;
using schedule::Job;
using schedule::Outcome;
using schedule::Step;

struct Args {
  std::string jobs;
  bool status = false;
  bool check = false;
  bool json = false;
};

constexpr std::string_view ofelia_file = "/etc/ofelia.conf";
constexpr std::string_view container_directory = "/pgdata";
constexpr std::string_view backup_job = "backup";
/// How many runs --status shows.
constexpr std::size_t shown_runs = 20;

std::string setting(const App& app, std::string_view name) {
  const auto found = app.sources.find(name);
  return found ? found->text : std::string();
}

/// Of systemd's unit, of the user, or of the machine.
fs::path state_directory(const ScheduleSettings& settings) {
  if (!settings.state_dir().empty()) return settings.state_dir();
  for (const auto& [variable, below] : std::array<std::pair<const char*, const char*>, 3>{
           {{"STATE_DIRECTORY", ""}, {"XDG_STATE_HOME", "seawall"}, {"HOME", ".local/state/seawall"}}}) {
    const char* value = std::getenv(variable);
    if (value != nullptr && *value == '/') return fs::path(value) / below;
  }
  return "/var/lib/seawall";
}

/// A site whose archive is told by WAL-E's variables alone keeps WAL-E's form of it.
bool writes_as_wal_e(const App& app) {
  const auto given = [&](std::string_view name) { return !setting(app, name).empty(); };
  constexpr std::array<std::string_view, 5> storages{"S3_PREFIX", "FILE_PREFIX", "GS_PREFIX", "SWIFT_PREFIX",
                                                     "WABS_PREFIX"};
  const auto with = [&](std::string_view prefix) {
    return std::any_of(storages.begin(), storages.end(),
                       [&](std::string_view name) { return given(std::string(prefix) + std::string(name)); });
  };
  return with("WALE_") && !with("WALG_");
}

Step own_step(const App& app, std::vector<std::string> words) {
  words.insert(words.end(), app.global_arguments.begin(), app.global_arguments.end());
  return {.words = std::move(words), .program = own_program()};
}

bool wants_expiry(const App& app) {
  constexpr std::array<std::string_view, 6> rules{"FULL", "DAYS", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"};
  return std::any_of(rules.begin(), rules.end(), [&](std::string_view rule) {
    const std::string value = setting(app, "SEAWALL_KEEP_" + std::string(rule));
    return !value.empty() && value != "0";
  });
}

/// BACKUP_SCHEDULE's: a base backup, and only once that is done what it makes superfluous goes.
Job backup_job_of(const ScheduleSettings& settings, const App& app) {
  Job job{.name = std::string(backup_job), .schedule = {}, .steps = {}};
  try {
    job.schedule = schedule::Schedule::parse(settings.backup_schedule());
  } catch (Error& error) {
    throw error.during("BACKUP_SCHEDULE");
  }
  std::string directory = setting(app, "PGDATA");
  if (directory.empty() && fs::exists(fs::path(container_directory) / "PG_VERSION")) directory = container_directory;
  job.cluster = directory;
  const std::string retain = std::to_string(settings.retain());
  if (writes_as_wal_e(app)) {
    if (directory.empty()) throw Error(Errc::config, "PGDATA is not set: which directory is to be backed up?");
    job.steps.push_back({.words = {"wal-e", "backup-push", directory}, .program = own_program()});
    if (settings.retain() > 0) {
      job.steps.push_back({.words = {"wal-e", "delete", "--confirm", "retain", retain}, .program = own_program()});
    }
    return job;
  }
  std::vector<std::string> push{"seawall", "backup-push"};
  if (!directory.empty()) push.push_back(directory);
  job.steps.push_back(own_step(app, std::move(push)));
  if (settings.retain() > 0) job.steps.push_back(own_step(app, {"seawall", "delete", "retain", retain, "--confirm"}));
  if (wants_expiry(app)) job.steps.push_back(own_step(app, {"seawall", "expire", "--confirm"}));
  return job;
}

/// Programs of other names that this one is as well, where the machine has no other.
void find_programs(std::vector<Job>& jobs) {
  constexpr std::array<std::string_view, 3> own_names{"seawall", "wal-e", "wal-g"};
  const std::vector<std::string> path = search_path();
  for (Job& job : jobs) {
    for (Step& step : job.steps) {
      const std::string& name = step.words.at(0);
      if (!step.program.empty() || std::find(own_names.begin(), own_names.end(), name) == own_names.end()) continue;
      const bool installed = std::any_of(path.begin(), path.end(), [&](const std::string& directory) {
        return ::access((fs::path(directory) / name).c_str(), X_OK) == 0;
      });
      if (!installed) step.program = own_program();
    }
  }
}

std::vector<Job> jobs_of_file(const std::string& file, App& app) {
  const std::optional<std::string> text = try_read_file(file);
  if (!text) throw Error(Errc::not_found, fmt::format("{}: there is no such file of jobs", file));
  schedule::JobsFile parsed = schedule::parse_jobs_file(*text, file);
  for (const std::string& complaint : parsed.complaints) app.run.log.warning("{}", complaint);
  if (parsed.jobs.empty()) throw Error(Errc::config, fmt::format("{} holds no [job-local \"NAME\"]", file));
  const std::string cluster = setting(app, "PGDATA");
  for (Job& job : parsed.jobs) {
    const auto pgdata = std::find_if(job.environment.begin(), job.environment.end(),
                                     [](const auto& variable) { return variable.first == "PGDATA"; });
    if (job.cluster.empty()) job.cluster = pgdata == job.environment.end() ? cluster : pgdata->second;
  }
  return std::move(parsed.jobs);
}

/// From the file that is named, else from BACKUP_SCHEDULE, else from ofelia's own.
std::vector<Job> jobs_of(const Args& args, const ScheduleSettings& settings, App& app) {
  const std::string file = args.jobs.empty() ? settings.jobs_file() : args.jobs;
  std::vector<Job> jobs;
  if (!file.empty()) {
    jobs = jobs_of_file(file, app);
  } else if (!settings.backup_schedule().empty()) {
    jobs.push_back(backup_job_of(settings, app));
    if (fs::exists(ofelia_file)) {
      app.run.log.info("BACKUP_SCHEDULE counts; {} is read with --jobs {}", ofelia_file, ofelia_file);
    }
  } else if (fs::exists(ofelia_file)) {
    jobs = jobs_of_file(std::string(ofelia_file), app);
  } else {
    throw Error(
        Errc::config,
        "nothing is to be run: set BACKUP_SCHEDULE (such as '0 3 * * *' or @daily), or name a file of jobs with "
        "--jobs");
  }
  find_programs(jobs);
  return jobs;
}

std::string outcome_text(const Entry& entry, bool alive) {
  if (entry.outcome == Outcome::started) return alive ? "running" : "broken off";
  if (entry.outcome == Outcome::failed) return fmt::format("failed ({})", entry.status);
  return std::string(name_of(entry.outcome));
}

std::string duration_of(const Entry& entry) {
  if (entry.started == Time{} || entry.finished == Time{}) return "";
  return duration_text(std::chrono::floor<std::chrono::seconds>(entry.finished - entry.started));
}

std::optional<Time> next_run(const Job& job, const std::vector<Entry>& entries, Time now) {
  if (!job.schedule.is_interval()) return job.schedule.next(now);
  const auto last = std::find_if(entries.rbegin(), entries.rend(), [&](const Entry& e) { return e.job == job.name; });
  if (last == entries.rend()) return std::nullopt;
  const auto next = job.schedule.next(last->due);
  return next && *next > now ? next : std::nullopt;
}

std::string json_time(Time time) { return time == Time{} ? "null" : json_string(rfc3339(time)); }

void print_status_json(const std::vector<Job>& jobs, const std::vector<Entry>& entries, bool alive, App& app) {
  app.out << fmt::format("{{\"scheduler\":{},\"jobs\":[", alive ? "\"running\"" : "\"stopped\"");
  std::string_view comma;
  for (const Job& job : jobs) {
    const auto next = alive ? next_run(job, entries, app.run.clock.wall()) : std::nullopt;
    app.out << fmt::format("{}{{\"name\":{},\"schedule\":{},\"next\":{}}}", comma, json_string(job.name),
                           json_string(job.schedule.text()), json_time(next.value_or(Time{})));
    comma = ",";
  }
  app.out << "],\"runs\":[";
  comma = "";
  for (const Entry& entry : entries) {
    const std::string_view outcome =
        entry.outcome == Outcome::started ? (alive ? "running" : "broken off") : name_of(entry.outcome);
    app.out << fmt::format(
        "{}{{\"job\":{},\"due\":{},\"started\":{},\"finished\":{},\"outcome\":\"{}\",\"status\":{},\"detail\":{}}}",
        comma, json_string(entry.job), json_time(entry.due), json_time(entry.started), json_time(entry.finished),
        outcome, entry.status, json_string(entry.detail));
    comma = ",";
  }
  app.out << "]}\n";
}

void print_status(const std::vector<Job>& jobs, std::vector<Entry> entries, bool alive, App& app) {
  app.out << (alive ? "the scheduler runs\n" : "NO SCHEDULER RUNS\n");
  Table next{.heading = {"job", "schedule", "next run"}, .rows = {}};
  for (const Job& job : jobs) {
    const auto time = alive ? next_run(job, entries, app.run.clock.wall()) : std::nullopt;
    next.rows.push_back({job.name, job.schedule.text(), time ? schedule::local_text(*time, job.schedule.zone()) : "-"});
  }
  print_columns(next, app.out);
  app.out << '\n';
  if (entries.empty()) {
    app.out << "nothing was run yet\n";
    return;
  }
  if (entries.size() > shown_runs) entries.erase(entries.begin(), entries.end() - shown_runs);
  Table past{.heading = {"due", "job", "outcome", "took", "last words"}, .rows = {}};
  for (const Entry& entry : entries) {
    past.rows.push_back(
        {schedule::local_text(entry.due, ""), entry.job, outcome_text(entry, alive), duration_of(entry), entry.detail});
  }
  print_columns(past, app.out);
}

/// Of each job the last run that took place: 0 if all went well and a scheduler runs, so that a health check can ask.
int status_of(const std::vector<Job>& jobs, const std::vector<Entry>& entries, bool alive) {
  for (const Job& job : jobs) {
    const auto last = std::find_if(entries.rbegin(), entries.rend(), [&](const Entry& entry) {
      return entry.job == job.name && entry.outcome != Outcome::skipped && entry.outcome != Outcome::missed;
    });
    if (last == entries.rend()) continue;
    const bool well = last->outcome == Outcome::ok || (last->outcome == Outcome::started && alive);
    if (!well && last->outcome != Outcome::stopped) return 1;
  }
  return alive ? 0 : 1;
}

int show_status(const std::vector<Job>& jobs, const History& history, bool json, App& app) {
  const std::vector<Entry> entries = history.read();
  const bool alive = history.is_locked();
  json ? print_status_json(jobs, entries, alive, app) : print_status(jobs, entries, alive, app);
  return status_of(jobs, entries, alive);
}

/// What would be run, in words that a shell takes.
int show_jobs(const std::vector<Job>& jobs, App& app) {
  for (const Job& job : jobs) {
    const auto next = job.schedule.is_interval() ? std::nullopt : job.schedule.next(app.run.clock.wall());
    app.out << fmt::format("{}: '{}', {}{}\n", job.name, job.schedule.text(), job.schedule.reading(),
                           next ? "; next run " + schedule::local_text(*next, job.schedule.zone()) : "");
    for (const Step& step : job.steps) app.out << fmt::format("  {}\n", fmt::join(step.words, " "));
  }
  return 0;
}

int run(const Args& args, App& app) {
  if (args.json && !args.status) throw Error(Errc::usage, "--json goes with --status");
  ScheduleSettings settings;
  app.sources.load(settings);
  const std::vector<Job> jobs = jobs_of(args, settings, app);
  const History history(state_directory(settings));
  if (args.check) return show_jobs(jobs, app);
  if (args.status) return show_status(jobs, history, args.json, app);
  const Fd lock = history.lock();
  history.trim();
  const auto launcher = schedule::process_launcher(lock.get());
  schedule::Scheduler(jobs, history, *launcher, {.catch_up = settings.catch_up(), .drain = settings.drain()}, app.run)
      .work();
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> schedule_command() {
  return cli::make_command<Args>({
      .name = "schedule",
      .summary = "Run backups and other jobs when they are due",
      .manual = manuals::schedule,
      .positionals = {},
      .options = {{"jobs", "FILE", "The jobs, as ofelia's file has them.", &Args::jobs},
                  {"check", "", "Only show what would be run, and when.", &Args::check},
                  {"status", "", "Show what was run, and whether a scheduler runs.", &Args::status},
                  {"json", "", "With --status: one JSON object.", &Args::json}},
      .fails_with = {Errc::usage, Errc::config, Errc::not_found, Errc::in_use, Errc::denied, Errc::io},
      .run = run,
  });
}

}  // namespace seawall::commands
