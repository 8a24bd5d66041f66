#include <fmt/format.h>

#include <algorithm>

#include "commands/app.hh"
#include "commands/commands.hh"
#include "manuals/docs.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string page;
};

/// The file's name: "st-check-read".
std::string page_of(const cli::AnyCommand& command) {
  std::string name(command.name());
  std::ranges::replace(name, ' ', '-');
  return name;
}

int run(const Args& args, App& app) {
  if (args.page == "settings") {
    app.out << cli::settings_page(app.documentation);
    return 0;
  }
  if (args.page == "exit-codes") {
    app.out << cli::exit_codes_page(app.documentation);
    return 0;
  }
  if (args.page == "commands") {
    for (const auto& command : app.documentation.commands) {
      if (!command->hidden()) app.out << page_of(*command) << '\n';
    }
    return 0;
  }
  for (const auto& command : app.documentation.commands) {
    if (page_of(*command) != args.page) continue;
    app.out << cli::manual_page(app.documentation, *command);
    return 0;
  }
  throw Error(Errc::usage,
              fmt::format("there is no page '{}'; settings, exit-codes, commands, or a command's name", args.page));
}

}  // namespace

std::unique_ptr<cli::AnyCommand> docs_command() {
  return cli::make_command<Args>({
      .name = "docs",
      .summary = "Print a generated page of the documentation",
      .manual = manuals::docs,
      .positionals = {{"page", "", "settings, exit-codes, commands, or a command's name.", &Args::page, 0, true}},
      .options = {},
      .fails_with = {Errc::usage},
      .hidden = true,
      .run = run,
  });
}

}  // namespace seawall::commands
