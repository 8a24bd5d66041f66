#include <fmt/format.h>

#include "archive/archive_summary.hh"
#include "archive/expire.hh"
#include "commands/commands.hh"
#include "commands/info_report.hh"
#include "commands/whole_archive.hh"
#include "manuals/info.hh"
#include "ops/expire_settings.hh"

namespace seawall::commands {
namespace {

struct Args {
  bool json = false;
};

/// What the configured rules would delete; nothing if there are none.
std::optional<archive::DeletionPlan> expiry(const archive::Catalogue& catalogue, App& app) {
  ops::ExpireSettings settings;
  app.sources.load(settings);
  const bool any = std::any_of(settings.settings().begin(), settings.settings().end(),
                               [](const config::SettingBase* rule) { return rule->value_text() != "0"; });
  if (!any) return std::nullopt;
  try {
    return archive::plan_expire(catalogue, settings.rules());
  } catch (const Error& error) {
    app.run.log.warning("expire would do nothing: {}", error.what());
    return std::nullopt;
  }
}

int run(const Args& args, App& app) {
  const pipeline::Repository repository = app.open_repository();
  const archive::Catalogue catalogue = ops::load_catalogue(repository, catalogue_request(app), app.run);
  const archive::ArchiveSummary summary = archive::summarize(catalogue);
  const InfoReport report{
      .catalogue = catalogue,
      .summary = summary,
      .expiry = expiry(catalogue, app),
      .place = repository.store->description() + (repository.prefix.empty() ? "" : "/" + repository.prefix)};
  app.out << (args.json ? info_json(report) + "\n" : info_text(report));
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> info_command() {
  return cli::make_command<Args>({
      .name = "info",
      .summary = "Tell what can be restored, what is wrong, and what expire would free",
      .manual = manuals::info,
      .positionals = {},
      .options = {{"json", "", "JSON on one line.", &Args::json}},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
