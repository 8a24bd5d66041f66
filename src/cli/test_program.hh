#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/program.hh"

namespace seawall {
/// No command of these tests looks at it, and the real one lives in a room above.
struct App {};
}  // namespace seawall

/// What the tests of this room parse, complete and print: a few commands of each shape.
namespace seawall::cli::test {

struct PushArgs {
  std::string directory;
  bool permanent = false;
  bool full = false;
  std::optional<std::string> user_data;
  int steps = 7;
};
struct FetchArgs {
  std::string name, destination;
};

struct LookArgs {
  std::string place;
  std::vector<std::string> names;
};

/// The arguments of the last run, since run is a plain function.
inline PushArgs last_push;
inline FetchArgs last_fetch;
inline LookArgs last_look;

struct TestSettings : config::Group {
  config::Setting<unsigned> uploads{*this,
                                    {.name = "WALG_UPLOAD_CONCURRENCY",
                                     .aliases = {"UPLOAD_CONCURRENCY"},
                                     .initial = 16,
                                     .range = {{1, 1000}},
                                     .doc = "How many uploads run at once."}};
  config::Setting<std::string> key{
      *this, {.name = "WALG_LIBSODIUM_KEY", .initial = "", .secret = true, .doc = "Key of the encryption."}};
  config::Setting<std::string> place{*this,
                                     {.name = "WALG_FILE_PREFIX",
                                      .aliases = {"WALE_FILE_PREFIX"},
                                      .doc = "Directory of the archive: a|b.",
                                      .kind = "path"}};
  config::Setting<bool> careful{*this, {.name = "SEAWALL_CAREFUL", .initial = true, .doc = "Be careful."}};
};

inline std::vector<std::unique_ptr<AnyCommand>> test_commands() {
  std::vector<std::unique_ptr<AnyCommand>> commands;
  commands.push_back(make_command<PushArgs>(
      {.name = "backup-push",
       .summary = "Take a base backup",
       .manual = "# backup-push\n\nTakes a `base` backup of\n**all** databases.\n\n## Details\n\nMore.\n",
       .positionals = {{.name = "directory", .help = "The data directory.", .field = &PushArgs::directory}},
       .options = {{.name = "permanent", .help = "Keep it", .field = &PushArgs::permanent, .letter = 'p'},
                   {.name = "full", .help = "It's [full]: yes", .field = &PushArgs::full, .letter = 'f'},
                   {.name = "add-user-data", .value = "JSON", .help = "Kept with it", .field = &PushArgs::user_data},
                   {.name = "steps", .value = "N", .help = "How many", .field = &PushArgs::steps, .letter = 'n'}},
       .fails_with = {Errc::db, Errc::in_use},
       .run = [](const PushArgs& args, App&) {
         last_push = args;
         return 0;
       }}));
  commands.push_back(make_command<FetchArgs>(
      {.name = "wal-fetch",
       .summary = "Fetch a segment",
       .positionals = {{.name = "wal_name", .help = "", .field = &FetchArgs::name, .required = true},
                       {.name = "destination", .help = "", .field = &FetchArgs::destination, .required = true}},
       .run = [](const FetchArgs& args, App&) {
         last_fetch = args;
         return 0;
       }}));
  commands.push_back(make_command<FetchArgs>(
      {.name = "backup-fetch",
       .summary = "Restore a backup",
       .positionals = {{.name = "directory", .help = "", .field = &FetchArgs::destination, .required = true},
                       {.name = "backup_name", .help = "", .field = &FetchArgs::name}},
       .run = [](const FetchArgs&, App&) { return 0; }}));
  commands.push_back(make_command<FetchArgs>(
      {.name = "backup-list", .summary = "List backups", .run = [](const FetchArgs&, App&) { return 0; }}));
  commands.push_back(make_command<PushArgs>(
      {.name = "drill",
       .summary = "Prove that it restores",
       .positionals = {{.name = "times", .help = "", .field = &PushArgs::steps, .required = true}},
       .fails_with = {Errc::corrupt},
       .run = [](const PushArgs& args, App&) {
         last_push = args;
         return 0;
       }}));
  commands.push_back(make_command<LookArgs>(
      {.name = "st look",
       .summary = "Look for things",
       .positionals = {{.name = "place", .help = "", .field = &LookArgs::place, .required = true},
                       {.name = "names", .help = "", .field = &LookArgs::names}},
       .run = [](const LookArgs& args, App&) {
         last_look = args;
         return 0;
       }}));
  commands.push_back(make_command<FetchArgs>(
      {.name = "wal-prefetch", .summary = "Hidden one", .hidden = true, .run = [](const FetchArgs&, App&) {
         return 0;
       }}));
  return commands;
}

class TestProgram {
 public:
  TestProgram() : commands_(test_commands()) {
    program_ = {.name = "seawall", .version = "0.1.0", .commands = commands_, .settings = {}};
    for (const config::SettingBase* setting : settings_.settings()) program_.settings.push_back(setting);
  }
  TestSettings& settings() { return settings_; }
  const Program& operator()() const { return program_; }
  Parsed parse(const std::vector<const char*>& words) const { return parse_command_line(program_, words); }

 private:
  TestSettings settings_;
  std::vector<std::unique_ptr<AnyCommand>> commands_;
  Program program_;
};

}  // namespace seawall::cli::test
