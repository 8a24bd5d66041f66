#include <fmt/format.h>

#include "archive/retention.hh"
#include "base/text.hh"
#include "commands/commands.hh"
#include "commands/plan_report.hh"
#include "commands/whole_archive.hh"
#include "manuals/delete_before.hh"
#include "manuals/delete_everything.hh"
#include "manuals/delete_garbage.hh"
#include "manuals/delete_retain.hh"
#include "manuals/delete_target.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::vector<std::string> words;
  bool confirm = false;
  bool use_sentinel_time = false;
  std::optional<std::string> after;
  std::optional<std::string> user_data;
  bool without_backup_check = false;
};

/// What stands before the name or number, and that.
struct Words {
  archive::Modifier modifier = archive::Modifier::none;
  std::string rest;  ///< empty: not given
};

Words words_of(const Args& args, std::string_view usage) {
  Words words;
  for (const std::string& word : args.words) {
    if (word == "FULL" && words.rest.empty()) {
      words.modifier = archive::Modifier::full;
    } else if (word == "FIND_FULL" && words.rest.empty()) {
      words.modifier = archive::Modifier::find_full;
    } else if (words.rest.empty()) {
      words.rest = word;
    } else {
      throw Error(Errc::usage, fmt::format("'{}' is one word too many: {}", word, usage));
    }
  }
  return words;
}

/// The one line on stdout is WAL-G's: its users' scripts may compare it. Why and what to do is in the log.
[[noreturn]] void refuse(App& app, std::string_view line, std::string reason) {
  app.out << line << '\n';
  throw Error(Errc::usage, std::move(reason));
}

class Deletion {
 public:
  Deletion(const Args& args, App& app)
      : args_(args), app_(app), repository_(app.open_repository()), request_(catalogue_request(app)) {
    request_.wal_sizes = ops::CatalogueRequest::WalSizes::some;
  }

  template <class Plan>
  int run(Plan&& plan_of, bool in_flight_may_go = false) {
    app_.run.log.info("Start delete");
    const archive::Catalogue catalogue = ops::load_catalogue(repository_, request_, app_.run);
    warn_of_faults(catalogue, app_);
    const std::optional<archive::DeletionPlan> plan = plan_of(catalogue);
    if (plan) app_.run.log.lines(LogLevel::info, plan_text(catalogue, *plan));
    carry_out(plan, catalogue, repository_, request_, {.confirm = args_.confirm, .in_flight_may_go = in_flight_may_go},
              app_);
    return 0;
  }

 private:
  const Args& args_;
  App& app_;
  const pipeline::Repository repository_;
  ops::CatalogueRequest request_;
};

int run_before(const Args& args, App& app) {
  const Words words = words_of(args, "delete before [FIND_FULL] NAME|TIME");
  if (words.modifier == archive::Modifier::full) {
    refuse(app, "unsupported moodifier for delete before command", "'delete before' takes FIND_FULL, but not FULL");
  }
  if (words.rest.empty()) throw Error(Errc::usage, "'delete before' wants the name of a backup, or a time");
  const archive::Boundary boundary = archive::parse_boundary(words.rest);
  if (boundary.time && *boundary.time > app.run.clock.wall()) {
    refuse(app, "cannot delete before future date",
           fmt::format("{} is still to come: nothing can be older than that", boundary.text));
  }
  return Deletion(args, app).run([&](const archive::Catalogue& catalogue) {
    return archive::plan_before(catalogue, boundary, words.modifier, {.use_sentinel_time = args.use_sentinel_time});
  });
}

int run_retain(const Args& args, App& app) {
  const Words words = words_of(args, "delete retain [FULL|FIND_FULL] COUNT");
  const auto count = parse_int<std::int64_t>(words.rest);
  if (!count) {
    throw Error(Errc::usage, words.rest.empty() ? "'delete retain' wants the number of backups to keep"
                                                : fmt::format("'{}' is no number of backups", words.rest));
  }
  if (*count < 1) {
    refuse(app, "cannot retain less than one backup. Check out delete everything",
           "'delete retain' keeps one backup at least; 'delete everything' keeps none");
  }
  std::optional<archive::Boundary> after;
  if (args.after) after = archive::parse_boundary(*args.after);
  return Deletion(args, app).run([&](const archive::Catalogue& catalogue) {
    return archive::plan_retain(catalogue, static_cast<std::size_t>(*count), words.modifier, after,
                                {.use_sentinel_time = args.use_sentinel_time});
  });
}

int run_everything(const Args& args, App& app) {
  const bool force = args.words == std::vector<std::string>{"FORCE"};
  if (!force && !args.words.empty()) {
    throw Error(Errc::usage, fmt::format("'delete everything' takes the word FORCE alone, not '{}'", args.words[0]));
  }
  const auto plan_of = [&](const archive::Catalogue& catalogue) {
    return std::optional(archive::plan_everything(catalogue, force));
  };
  return Deletion(args, app).run(plan_of, force);
}

int run_target(const Args& args, App& app) {
  const Words words = words_of(args, "delete target [FIND_FULL] NAME");
  if (words.modifier == archive::Modifier::full) {
    throw Error(Errc::usage, "'delete target' takes FIND_FULL, but not FULL");
  }
  if (words.rest.empty() == !args.user_data) {
    throw Error(Errc::usage, "'delete target' wants either the name of a backup or --target-user-data");
  }
  archive::DeletionTarget target{
      .name = words.rest, .user_data_json = {}, .find_full = words.modifier == archive::Modifier::find_full};
  if (args.user_data) target.user_data_json = archive::canonical_user_data(*args.user_data);
  return Deletion(args, app).run(
      [&](const archive::Catalogue& catalogue) { return std::optional(archive::plan_target(catalogue, target)); });
}

int run_garbage(const Args& args, App& app) {
  archive::GarbageScope scope = archive::GarbageScope::all;
  const std::string word = args.words.empty() ? "" : args.words[0];
  if (word == "ARCHIVES") scope = archive::GarbageScope::archives;
  if (word == "BACKUPS") scope = archive::GarbageScope::backups;
  if (args.words.size() > 1 || (!word.empty() && scope == archive::GarbageScope::all)) {
    throw Error(Errc::usage, "'delete garbage' takes ARCHIVES or BACKUPS, and nothing else");
  }
  return Deletion(args, app).run([&](const archive::Catalogue& catalogue) {
    return archive::plan_garbage(catalogue, scope, args.without_backup_check);
  });
}

const cli::Option<Args> confirm_option{"confirm", "", "Delete. Without it only the plan is shown.", &Args::confirm};
const cli::Option<Args> sentinel_time_option{
    "use-sentinel-time", "", "Go by the start times in metadata.json instead of the objects' modification times.",
    &Args::use_sentinel_time};
std::vector<Errc> delete_errors() {
  return {Errc::usage,  Errc::config, Errc::not_found, Errc::incomplete,
          Errc::in_use, Errc::denied, Errc::network,   Errc::cancelled};
}

}  // namespace

std::unique_ptr<cli::AnyCommand> delete_before_command() {
  return cli::make_command<Args>({
      .name = "delete before",
      .summary = "Delete what is older than a backup or a time",
      .manual = manuals::delete_before,
      .positionals = {{"boundary", "", "[FIND_FULL] and the beginning of a name, or a time with its zone.",
                       &Args::words, 0, true}},
      .options = {confirm_option, sentinel_time_option},
      .fails_with = delete_errors(),
      .run = run_before,
  });
}

std::unique_ptr<cli::AnyCommand> delete_retain_command() {
  return cli::make_command<Args>({
      .name = "delete retain",
      .summary = "Delete what is older than the newest N backups",
      .manual = manuals::delete_retain,
      .positionals = {{"count", "", "[FULL|FIND_FULL] and the number of backups to keep.", &Args::words, 0, true}},
      .options = {confirm_option,
                  sentinel_time_option,
                  {"after", "NAME|TIME", "Keep this backup, or the first since that time, and what is younger too.",
                   &Args::after, 'a'}},
      .fails_with = delete_errors(),
      .run = run_retain,
  });
}

std::unique_ptr<cli::AnyCommand> delete_everything_command() {
  return cli::make_command<Args>({
      .name = "delete everything",
      .summary = "Delete the whole archive",
      .manual = manuals::delete_everything,
      .positionals = {{"force", "", "FORCE: permanent backups and such in flight as well.", &Args::words}},
      .options = {confirm_option, sentinel_time_option},
      .fails_with = delete_errors(),
      .run = run_everything,
  });
}

std::unique_ptr<cli::AnyCommand> delete_target_command() {
  return cli::make_command<Args>({
      .name = "delete target",
      .summary = "Delete a backup and all that stand on it",
      .manual = manuals::delete_target,
      .positionals = {{"backup", "", "[FIND_FULL] and a backup's name, or LATEST.", &Args::words}},
      .options = {confirm_option,
                  sentinel_time_option,
                  {"target-user-data", "JSON", "The backup that carries this.", &Args::user_data}},
      .fails_with = delete_errors(),
      .run = run_target,
  });
}

std::unique_ptr<cli::AnyCommand> delete_garbage_command() {
  return cli::make_command<Args>({
      .name = "delete garbage",
      .summary = "Delete WAL that no backup needs, and remains of backups",
      .manual = manuals::delete_garbage,
      .positionals = {{"scope", "", "ARCHIVES: only WAL. BACKUPS: only remains of backups.", &Args::words}},
      .options = {confirm_option,
                  sentinel_time_option,
                  {"without-backup-check", "", "Also where no backup is left to tell what is needed.",
                   &Args::without_backup_check}},
      .fails_with = delete_errors(),
      .run = run_garbage,
  });
}

}  // namespace seawall::commands
