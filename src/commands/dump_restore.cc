#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "manuals/dump_restore.hh"
#include "ops/dump.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string name;
  std::vector<std::string> databases;
  std::string into;
  bool globals = false;
  bool clean = false;
  bool to_stdout = false;
};

class StreamSink final : public Sink {
 public:
  explicit StreamSink(std::ostream& out) : out_(out) {}
  void write(Bytes data) override {
    if (!out_.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()))) {
      throw Error(Errc::io, "stdout takes no more");
    }
  }

 private:
  std::ostream& out_;
};

/// By database: the dumps of that run, or of LATEST the newest of each. The list is oldest first.
std::map<std::string, archive::Dump> dumps_of(const std::vector<ops::ListedDump>& lines, const std::string& name) {
  std::map<std::string, archive::Dump> found;
  for (const ops::ListedDump& line : lines) {
    if (name == "LATEST" || line.dump.name == name) found[line.dump.database] = line.dump;
  }
  if (found.empty()) {
    throw Error(Errc::not_found, name == "LATEST"
                                     ? "the archive holds no dump"
                                     : fmt::format("there is no dump '{}'; dump-list shows their names", name));
  }
  return found;
}

/// The globals first: databases have owners.
std::vector<archive::Dump> chosen_dumps(const std::map<std::string, archive::Dump>& found, const Args& args) {
  std::vector<std::string> wanted;
  if (args.globals) wanted.emplace_back();
  wanted.insert(wanted.end(), args.databases.begin(), args.databases.end());
  if (args.databases.empty() && !(args.globals && args.to_stdout)) {
    for (const auto& [database, dump] : found) {
      if (!database.empty()) wanted.push_back(database);
    }
  }
  std::vector<archive::Dump> chosen;
  for (const std::string& database : wanted) {
    const auto dump = found.find(database);
    if (dump == found.end()) {
      throw Error(Errc::not_found, database.empty() ? fmt::format("'{}' holds no globals", args.name)
                                                    : fmt::format("'{}' holds no dump of database {}", args.name,
                                                                  json_string(database)));
    }
    chosen.push_back(dump->second);
  }
  return chosen;
}

int run(const Args& args, App& app) {
  ops::DumpSettings settings;
  app.sources.load(settings);
  if (!args.into.empty() && (args.databases.size() != 1 || args.globals || args.to_stdout)) {
    throw Error(Errc::usage, "--into goes with the name of one database, and without --globals and --stdout");
  }
  if (!args.into.empty() && args.clean) throw Error(Errc::usage, "--clean does not drop what --into names");
  const pipeline::Repository repository = app.open_repository();
  const auto dumps = chosen_dumps(dumps_of(ops::list_dumps(repository, {}, app.run), args.name), args);
  if (args.to_stdout) {
    if (dumps.size() != 1) throw Error(Errc::usage, "--stdout prints one dump: name a database, or say --globals");
    StreamSink out(app.out);
    ops::print_dump(repository, dumps.front(), out, app.run);
    return 0;
  }
  for (const archive::Dump& dump : dumps) {
    const std::string what = dump.database.empty() ? "the globals" : json_string(dump.database);
    try {
      ops::restore_dump(repository, settings, dump, {.into = args.into, .clean = args.clean}, app.run);
    } catch (Error& error) {
      throw Error(error.during(fmt::format("restoring {} of {}", what, dump.name)));
    }
    app.run.log.info("restored {} as it was dumped at {}", what, dump.name);
  }
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> dump_restore_command() {
  return cli::make_command<Args>({
      .name = "dump-restore",
      .summary = "Restore databases from a logical dump",
      .manual = manuals::dump_restore,
      .positionals = {{"name", "", "The dump, as dump-list names it, or LATEST: the newest of each database.",
                       &Args::name, 0, true},
                      {"databases", "", "Databases to restore; without any, all of the dump.", &Args::databases}},
      .options = {{"into", "DATABASE", "Restore the one database under this name.", &Args::into},
                  {"globals", "", "Roles and tablespaces too, first.", &Args::globals},
                  {"clean", "", "Drop a database that holds something, and make it anew.", &Args::clean},
                  {"stdout", "", "Print the one dump as pg_dump wrote it, and ask no server.", &Args::to_stdout}},
      .fails_with = {Errc::config, Errc::corrupt, Errc::db, Errc::denied, Errc::exists, Errc::incomplete, Errc::network,
                     Errc::not_found, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
