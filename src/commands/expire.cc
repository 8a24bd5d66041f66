#include <fmt/format.h>

#include "archive/expire.hh"
#include "base/text.hh"
#include "commands/commands.hh"
#include "commands/plan_report.hh"
#include "commands/whole_archive.hh"
#include "manuals/expire.hh"
#include "ops/delete_objects.hh"
#include "ops/expire_settings.hh"

namespace seawall::commands {
namespace {

using archive::ExpireRules;

struct Args {
  std::optional<std::string> keep_full;
  std::optional<std::string> keep_days;
  std::optional<std::string> keep_daily;
  std::optional<std::string> keep_weekly;
  std::optional<std::string> keep_monthly;
  std::optional<std::string> keep_yearly;
  std::optional<std::string> keep_at_least;
  bool confirm = false;
  bool json = false;
};

struct Rule {
  std::string_view name;
  std::optional<std::string> Args::*given;
  std::optional<unsigned> ExpireRules::*rule;
};

constexpr std::array<Rule, 7> all_rules{{{"keep-full", &Args::keep_full, &ExpireRules::keep_full},
                                         {"keep-days", &Args::keep_days, &ExpireRules::keep_days},
                                         {"keep-daily", &Args::keep_daily, &ExpireRules::keep_daily},
                                         {"keep-weekly", &Args::keep_weekly, &ExpireRules::keep_weekly},
                                         {"keep-monthly", &Args::keep_monthly, &ExpireRules::keep_monthly},
                                         {"keep-yearly", &Args::keep_yearly, &ExpireRules::keep_yearly},
                                         {"keep-at-least", &Args::keep_at_least, &ExpireRules::keep_at_least}}};

/// A flag stands for its own setting; rules that no flag names are the settings'.
ExpireRules rules_of(const Args& args, App& app) {
  ops::ExpireSettings settings;
  app.sources.load(settings);
  ExpireRules rules = settings.rules();
  for (const Rule& rule : all_rules) {
    const std::optional<std::string>& given = args.*rule.given;
    if (!given) continue;
    const auto count = parse_int<unsigned>(*given);
    if (!count) throw Error(Errc::usage, fmt::format("--{} is '{}': give a whole number", rule.name, *given));
    rules.*rule.rule = *count == 0 ? std::nullopt : count;
  }
  return rules;
}

int run(const Args& args, App& app) {
  const ExpireRules rules = rules_of(args, app);
  const pipeline::Repository repository = app.open_repository();
  const ops::CatalogueRequest request = catalogue_request(app);
  const archive::Catalogue catalogue = ops::load_catalogue(repository, request, app.run);
  warn_of_faults(catalogue, app);
  const archive::DeletionPlan plan = archive::plan_expire(catalogue, rules);
  ops::require_safe(catalogue, plan, false);
  if (args.json) {
    app.out << plan_json(catalogue, plan, !args.confirm) << '\n';
  } else {
    app.out << plan_text(catalogue, plan);
  }
  app.out.flush();
  if (args.confirm && !plan.empty()) {
    const std::uint64_t gone = ops::delete_planned(repository, catalogue, plan, request, false, app.run);
    app.run.log.info("{} objects deleted, {} are free", gone, human_bytes(plan.bytes));
  } else if (!plan.empty()) {
    app.run.log.info("dry run: nothing was deleted; --confirm deletes");
  }
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> expire_command() {
  return cli::make_command<Args>({
      .name = "expire",
      .summary = "Delete the backups and the WAL that no retention rule wants",
      .manual = manuals::expire,
      .positionals = {},
      .options = {{"keep-full", "N", "The newest N full backups, and all since the oldest of them.", &Args::keep_full},
                  {"keep-days", "D", "What recovery to any moment of the last D days needs.", &Args::keep_days},
                  {"keep-daily", "N", "The last backup of each of the last N days that have one.", &Args::keep_daily},
                  {"keep-weekly", "N", "The same of weeks, with the WAL that makes it consistent only.",
                   &Args::keep_weekly},
                  {"keep-monthly", "N", "The same of months.", &Args::keep_monthly},
                  {"keep-yearly", "N", "The same of years.", &Args::keep_yearly},
                  {"keep-at-least", "N", "N full backups with their deltas, whatever the rules say.",
                   &Args::keep_at_least},
                  {"confirm", "", "Delete. Without it only the plan is shown.", &Args::confirm},
                  {"json", "", "The plan as JSON.", &Args::json}},
      .fails_with = {Errc::usage, Errc::config, Errc::in_use, Errc::denied, Errc::network, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
