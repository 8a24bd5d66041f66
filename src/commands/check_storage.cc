#include <fmt/format.h>

#include "commands/app.hh"
#include "commands/commands.hh"
#include "manuals/check_storage.hh"
#include "manuals/st_check_read.hh"
#include "manuals/st_check_write.hh"
#include "ops/check_storage.hh"

namespace seawall::commands {
namespace {

struct ReadArgs {
  std::vector<std::string> names;
  std::string target;
};

struct Args {
  std::string target;
};

int run_read(const ReadArgs& args, App& app) {
  const pipeline::Repository repository = app.open_repository();
  refuse_unknown_storage(args.target, repository);
  ops::check_reading(repository, args.names, app.run);
  app.run.log.info("Read check OK");
  return 0;
}

int run_write(const Args& args, App& app) {
  const pipeline::Repository repository = app.open_repository();
  refuse_unknown_storage(args.target, repository);
  ops::check_writing(repository, app.run);
  app.run.log.info("Write check OK");
  return 0;
}

std::string spoken(std::string_view name) {
  std::string words(name);
  for (char& c : words) {
    if (c == '_') c = ' ';
  }
  return words;
}

int run_contract(const Args&, App& app) {
  const pipeline::Repository repository = app.open_repository();
  app.out << repository.store->description() << '\n';
  unsigned broken = 0;
  ops::check_contract(
      repository,
      [&](const ops::StorageCheck& check) {
        if (!check.failure.empty()) ++broken;
        app.out << fmt::format("{:<4} {}\n", check.failure.empty() ? "yes" : "NO", spoken(check.name));
        if (!check.failure.empty()) app.out << "     " << check.failure << '\n';
        app.out.flush();
      },
      app.run);
  const std::vector<storage::Feature> features = repository.store->features(app.run.stop);
  if (!features.empty()) app.out << "\nAlso:\n";
  for (const storage::Feature& feature : features) app.out << fmt::format("{:<20}{}\n", feature.name, feature.state);
  if (broken == 0) return 0;
  throw Error(Errc::unsupported, fmt::format("{} does not keep {} of the promises that an archive stands on",
                                             repository.store->description(), broken));
}

constexpr std::string_view target_help = "Only this storage.";

}  // namespace

std::unique_ptr<cli::AnyCommand> st_check_read_command() {
  return cli::make_command<ReadArgs>({
      .name = "st check read",
      .summary = "Try to list the archive, and look for objects in it",
      .manual = manuals::st_check_read,
      .positionals = {{"names", "", "Objects that have to be there.", &ReadArgs::names}},
      .options = {{"target", "NAME", target_help, &ReadArgs::target, 't'}},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::not_found},
      .run = run_read,
  });
}

std::unique_ptr<cli::AnyCommand> st_check_write_command() {
  return cli::make_command<Args>({
      .name = "st check write",
      .summary = "Try to write to the archive",
      .manual = manuals::st_check_write,
      .positionals = {},
      .options = {{"target", "NAME", target_help, &Args::target, 't'}},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::no_space},
      .run = run_write,
  });
}

std::unique_ptr<cli::AnyCommand> check_storage_command() {
  return cli::make_command<Args>({
      .name = "check storage",
      .summary = "Find out whether the storage keeps what an archive needs",
      .manual = manuals::check_storage,
      .positionals = {},
      .options = {},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::no_space, Errc::unsupported, Errc::cancelled},
      .run = run_contract,
  });
}

}  // namespace seawall::commands
