#include <fmt/format.h>

#include "base/text.hh"
#include "base/time_text.hh"
#include "commands/app.hh"
#include "commands/backup_json.hh"
#include "commands/commands.hh"
#include "commands/table.hh"
#include "manuals/backup_list.hh"
#include "ops/concurrency_settings.hh"
#include "ops/list_backups.hh"

namespace seawall::commands {
namespace {

struct Args {
  bool pretty = false;
  bool json = false;
  bool detail = false;
  std::string target_storage;
};

/// Of a listing, whose times are the machine's own.
std::string modified_text(Time t, bool pretty) { return pretty ? rfc850_local(t) : rfc3339_local(t); }

/// Of a document, whose times are UTC.
std::string recorded_text(Time t, bool pretty) {
  if (t == Time{}) return "-";
  return pretty ? rfc850(t) : rfc3339(t);
}

std::string lsn_text(const std::optional<archive::Lsn>& lsn) { return lsn.value_or(archive::Lsn{}).text(); }

Table table_of(const std::vector<ops::BackupLine>& lines, const Args& args) {
  Table table;
  if (args.pretty) {
    table.heading = {"#", "Backup name", "Modified", "WAL file name", "Storage name"};
  } else {
    table.heading = {"backup_name", "modified", "wal_file_name", "storage_name"};
  }
  if (args.detail) {
    const std::vector<std::string> more =
        args.pretty ? std::vector<std::string>{"Start time", "Finish time", "Hostname",   "Datadir",
                                               "PG version", "Start LSN",   "Finish LSN", "Permanent"}
                    : std::vector<std::string>{"start_time", "finish_time", "hostname",   "data_dir",
                                               "pg_version", "start_lsn",   "finish_lsn", "is_permanent"};
    table.heading.insert(table.heading.end(), more.begin(), more.end());
  }
  for (const ops::BackupLine& line : lines) {
    std::vector<std::string> row;
    if (args.pretty) row.push_back(std::to_string(table.rows.size()));
    row.insert(row.end(), {line.name, modified_text(line.modified, args.pretty), line.segment_name, line.storage_name});
    if (line.metadata) {
      const archive::BackupMetadata& m = *line.metadata;
      row.insert(row.end(), {recorded_text(m.start_time, args.pretty), recorded_text(m.finish_time, args.pretty),
                             m.hostname, m.data_dir, std::to_string(m.pg_version), lsn_text(m.start_lsn),
                             lsn_text(m.finish_lsn), m.is_permanent ? "true" : "false"});
    } else if (args.detail) {
      row.resize(table.heading.size(), "-");
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string json_of(const std::vector<ops::BackupLine>& lines) {
  std::string text = "[";
  for (const ops::BackupLine& line : lines) {
    if (text.size() > 1) text += ',';
    text += backup_json(line.name, line.modified, line.storage_name, line.metadata);
  }
  return text + ']';
}

/// After all that can be shown was shown.
void require_details(const std::vector<ops::BackupLine>& lines, App& app) {
  const ops::BackupLine* first = nullptr;
  for (const ops::BackupLine& line : lines) {
    if (line.problem.empty()) continue;
    app.run.log.warning("{}", line.problem);
    if (first == nullptr) first = &line;
  }
  if (first == nullptr) return;
  app.out.flush();
  throw Error(Errc::incomplete, fmt::format("{}: nothing more is known of {}; 'backup-list' without --detail asks for "
                                            "no metadata.json",
                                            first->problem, first->name));
}

int run(const Args& args, App& app) {
  const pipeline::Repository repository = app.open_repository();
  refuse_unknown_storage(args.target_storage, repository);
  ops::DownloadSettings settings;
  app.sources.load(settings);
  const std::vector<ops::BackupLine> lines =
      ops::list_backups(repository, {.details = args.detail, .concurrency = settings.download_concurrency()}, app.run);
  if (lines.empty()) app.run.log.info("No backups found");
  if (args.json) {
    const std::string json = json_of(lines);
    app.out << (args.pretty ? indent_json(json) : json) << '\n';
  } else if (!lines.empty()) {
    const Table table = table_of(lines, args);
    args.pretty ? print_boxed(table, app.out) : print_columns(table, app.out);
  }
  require_details(lines, app);
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> backup_list_command() {
  return cli::make_command<Args>({
      .name = "backup-list",
      .summary = "List the backups in the archive, oldest first",
      .manual = manuals::backup_list,
      .positionals = {},
      .options = {{"pretty", "", "A table with borders; with --json, indented.", &Args::pretty},
                  {"json", "", "JSON on one line.", &Args::json},
                  {"detail", "", "Times, host, LSNs and permanence as well, from each backup's metadata.json.",
                   &Args::detail},
                  {"target-storage", "NAME", "Only this storage.", &Args::target_storage}},
      .fails_with = {Errc::config, Errc::incomplete, Errc::denied, Errc::network},
      .run = run,
  });
}

}  // namespace seawall::commands
