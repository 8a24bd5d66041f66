#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.hh"
#include "base/time_text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "commands/table.hh"
#include "manuals/dump_list.hh"
#include "ops/dump.hh"

namespace seawall::commands {
namespace {

struct Args {
  bool json = false;
  bool pretty = false;
};

std::vector<std::string_view> reasons(const archive::DumpKept& kept) {
  std::vector<std::string_view> words;
  if (kept.newest) words.emplace_back("newest");
  if (kept.day) words.emplace_back("day");
  if (kept.week) words.emplace_back("week");
  if (kept.month) words.emplace_back("month");
  return words;
}

std::string json_of(const std::vector<ops::ListedDump>& lines) {
  std::string text = "[";
  for (const ops::ListedDump& line : lines) {
    const archive::Dump& dump = line.dump;
    std::vector<std::string> kept;
    for (const std::string_view reason : reasons(line.kept)) kept.push_back(json_string(reason));
    if (text.size() > 1) text += ',';
    text += fmt::format(
        R"({{"name":{},"database":{},"started":"{}","finished":"{}","raw_bytes":{},"stored_bytes":{},"object":{},)"
        R"("server_version":{},"kept_as":[{}]}})",
        json_string(dump.name), dump.database.empty() ? "null" : json_string(dump.database), rfc3339_nano(dump.started),
        rfc3339_nano(dump.finished), dump.raw_bytes, dump.stored_bytes, json_string(dump.object), dump.server_version,
        fmt::join(kept, ","));
  }
  return text + ']';
}

Table table_of(const std::vector<ops::ListedDump>& lines) {
  Table table{.heading = {"name", "database", "finished", "size", "stored", "kept_as"}, .rows = {}};
  for (const ops::ListedDump& line : lines) {
    const archive::Dump& dump = line.dump;
    const std::vector<std::string_view> kept = reasons(line.kept);
    table.rows.push_back({dump.name, dump.database.empty() ? "(globals)" : dump.database, rfc3339(dump.finished),
                          human_bytes(dump.raw_bytes), human_bytes(dump.stored_bytes),
                          kept.empty() ? "-" : fmt::format("{}", fmt::join(kept, ","))});
  }
  return table;
}

int run(const Args& args, App& app) {
  ops::DumpSettings settings;
  app.sources.load(settings);
  const std::vector<ops::ListedDump> lines = ops::list_dumps(app.open_repository(), settings.rotation(), app.run);
  if (lines.empty()) app.run.log.info("there are no dumps");
  if (args.json) {
    const std::string json = json_of(lines);
    app.out << (args.pretty ? indent_json(json) : json) << '\n';
  } else if (!lines.empty()) {
    args.pretty ? print_boxed(table_of(lines), app.out) : print_columns(table_of(lines), app.out);
  }
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> dump_list_command() {
  return cli::make_command<Args>({
      .name = "dump-list",
      .summary = "List the logical dumps in the archive, oldest first",
      .manual = manuals::dump_list,
      .positionals = {},
      .options = {{"json", "", "JSON on one line.", &Args::json},
                  {"pretty", "", "A table with borders; with --json, indented.", &Args::pretty}},
      .fails_with = {Errc::config, Errc::network},
      .run = run,
  });
}

}  // namespace seawall::commands
