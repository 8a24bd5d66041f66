#include <fmt/format.h>

#include "base/text.hh"
#include "base/time_text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "commands/table.hh"
#include "manuals/verify.hh"
#include "ops/verify_archive.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::string backup, since;
  bool all = false, json = false;
};

/// A time, or how long ago: "36h", "7d".
std::optional<Time> since_of(const std::string& text, const Run& run) {
  if (text.empty()) return std::nullopt;
  if (const auto time = parse_rfc3339(text)) return time;
  std::optional<std::chrono::nanoseconds> age = parse_duration(text);
  if (text.ends_with('d')) {
    if (const auto days = parse_int<unsigned>(text.substr(0, text.size() - 1))) age = std::chrono::hours(24) * *days;
  }
  if (!age || age->count() < 0) {
    throw Error(Errc::usage,
                fmt::format("--since '{}' is neither a time (2026-11-21T08:00:00Z) nor an age (36h, 7d)", text));
  }
  return run.clock.wall() - *age;
}

std::string what(const ops::VerifiedLine& line) {
  if (!line.is_wal) return line.name;
  return line.name == line.last ? line.name : line.name + " - " + line.last;
}

void print_text(const ops::VerifyReport& report, std::ostream& out) {
  Table table{.heading = {"verified", "objects", "stored", "at", "state"}, .rows = {}};
  for (const ops::VerifiedLine& line : report.lines) {
    table.rows.push_back({what(line), line.again ? std::to_string(line.objects) : "-",
                          line.again ? human_bytes(line.stored_bytes) : "-", rfc3339(line.at),
                          std::string(name_of(line.soundness))});
  }
  print_columns(table, out);
  if (!report.findings.empty()) out << '\n';
  for (const ops::Finding& finding : report.findings) {
    const std::string_view kind = finding.soundness == ops::Soundness::whole ? "remark" : name_of(finding.soundness);
    const bool named = finding.text.find(finding.object) != std::string::npos;
    out << fmt::format("{:<11} {}{}\n", kind, named ? "" : finding.object + ": ", finding.text);
  }
  out << fmt::format("\nThe archive is {}: {} WAL records and the checksums of {} pages were looked at\n",
                     name_of(report.soundness), report.records, report.pages);
}

void print_json(const ops::VerifyReport& report, std::ostream& out) {
  std::string backups;
  std::string wal;
  for (const ops::VerifiedLine& line : report.lines) {
    const std::string common =
        fmt::format(R"("objects":{},"stored_bytes":{},"state":"{}","verified_at":"{}","read_now":{})", line.objects,
                    line.stored_bytes, name_of(line.soundness), rfc3339(line.at), line.again);
    std::string& into = line.is_wal ? wal : backups;
    if (!into.empty()) into += ',';
    into += line.is_wal ? fmt::format(R"({{"timeline":{},"first":{},"last":{},{}}})", line.timeline,
                                      json_string(line.name), json_string(line.last), common)
                        : fmt::format(R"({{"name":{},{}}})", json_string(line.name), common);
  }
  std::string findings;
  for (const ops::Finding& finding : report.findings) {
    findings += fmt::format(R"({}{{"kind":"{}","object":{},"text":{}}})", findings.empty() ? "" : ",",
                            finding.soundness == ops::Soundness::whole ? "remark" : name_of(finding.soundness),
                            json_string(finding.object), json_string(finding.text));
  }
  out << fmt::format(R"({{"state":"{}","backups":[{}],"wal":[{}],"findings":[{}],"wal_records":{},"pages":{}}})",
                     name_of(report.soundness), backups, wal, findings, report.records, report.pages)
      << '\n';
}

int run(const Args& args, App& app) {
  if (!args.backup.empty() && args.all) throw Error(Errc::usage, "--backup names one backup, --all means everything");
  ops::VerifySettings settings;
  app.sources.load(settings);
  app.sources.load(settings.cluster);
  const pipeline::Repository repository = app.open_repository();
  const ops::VerifyReport report = ops::verify_archive(
      repository, {.backup = args.backup, .since = since_of(args.since, app.run)}, settings, app.run);
  args.json ? print_json(report, app.out) : print_text(report, app.out);
  switch (report.soundness) {
    case ops::Soundness::whole:
      return 0;
    case ops::Soundness::incomplete:
      return info(Errc::incomplete).exit_status;
    case ops::Soundness::damaged:
      break;
  }
  return info(Errc::corrupt).exit_status;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> verify_command() {
  return cli::make_command<Args>({
      .name = "verify",
      .summary = "Read the archive back and check everything in it",
      .manual = manuals::verify,
      .positionals = {},
      .options = {{"backup", "NAME", "Only this backup, or LATEST, what it stands on, and the WAL that it needs.",
                   &Args::backup},
                  {"all", "", "Everything in the archive; so it is without --backup.", &Args::all},
                  {"since", "WHEN", "Not what was found whole since then: a time, or an age as 36h or 7d.",
                   &Args::since},
                  {"json", "", "JSON on one line.", &Args::json}},
      .fails_with = {Errc::config, Errc::not_found, Errc::corrupt, Errc::incomplete, Errc::denied, Errc::network,
                     Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
