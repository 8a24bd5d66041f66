#include <fmt/format.h>

#include <algorithm>

#include "archive/wal_report.hh"
#include "base/text.hh"
#include "commands/commands.hh"
#include "commands/table.hh"
#include "commands/whole_archive.hh"
#include "manuals/wal_verify.hh"
#include "ops/integrity_settings.hh"
#include "postgres/session.hh"

namespace seawall::commands {
namespace {

struct Args {
  std::vector<std::string> checks;
  bool json = false;
  std::optional<std::string> timeline;
  std::optional<std::string> lsn;
  std::string backup_name;
};

struct Wanted {
  bool integrity = false;
  bool timeline = false;
};

Wanted wanted_checks(const Args& args) {
  Wanted wanted;
  for (const std::string& check : args.checks) {
    if (check != "integrity" && check != "timeline") {
      throw Error(Errc::usage, fmt::format("there is no check '{}': integrity and timeline are possible", check));
    }
    (check == "integrity" ? wanted.integrity : wanted.timeline) = true;
  }
  return wanted;
}

/// The segment that the cluster's last record lies in, as the flags say or the server.
archive::Segment current_segment(const Args& args, std::uint64_t segment_bytes, App& app) {
  if (args.lsn.has_value() != args.timeline.has_value()) {
    throw Error(Errc::usage, "--lsn and --timeline are only good together");
  }
  archive::Timeline timeline = 0;
  archive::Lsn end;
  if (args.lsn) {
    const auto lsn = archive::parse_lsn(*args.lsn);
    if (!lsn || lsn->value == 0) throw Error(Errc::usage, fmt::format("'{}' is no LSN like 0/1500028", *args.lsn));
    const auto number = parse_int<archive::Timeline>(*args.timeline);
    if (!number) throw Error(Errc::usage, fmt::format("'{}' is no timeline's number", *args.timeline));
    timeline = *number;
    end = *lsn;
  } else {
    const std::unique_ptr<postgres::Session> session = postgres::connect("", app.run);
    timeline = session->timeline();
    end = session->wal_end();
    if (end.value == 0) throw Error(Errc::db, "the standby has neither received nor replayed any WAL yet");
  }
  // An LSN on a boundary is the end of the segment before it.
  return archive::segment_of(timeline, {end.value - 1}, segment_bytes);
}

class Results {
 public:
  Results(const archive::Catalogue& catalogue, std::ostream& out) : catalogue_(catalogue), out_(out) {}

  std::string json_of(const archive::IntegrityReport& report) const {
    std::string text = fmt::format(R"("integrity":{{"status":"{}","details":)", name_of(report.status));
    if (report.rows.empty()) return text + "null}";
    text += '[';
    for (const archive::SegmentRow& row : report.rows) {
      if (text.back() != '[') text += ',';
      text += fmt::format(
          R"({{"timeline_id":{},"start_segment":"{}","end_segment":"{}","segments_count":{},"status":"{}"}})",
          row.timeline, name(row.timeline, row.numbers.first), name(row.timeline, row.numbers.last),
          row.numbers.count(), name_of(row.status));
    }
    return text + "]}";
  }

  static std::string json_of(const archive::TimelineCheck& check) {
    return fmt::format(
        R"("timeline":{{"status":"{}","details":{{"current_timeline_id":{},"highest_storage_timeline_id":{}}}}})",
        name_of(check.status), check.current, check.highest);
  }

  void print(const archive::IntegrityReport& report) const {
    out_ << fmt::format("[wal-verify] integrity check status: {}\n[wal-verify] integrity check details:\n",
                        name_of(report.status));
    Table table{.heading = {"TLI", "Start", "End", "Segments count", "Status"},
                .rows = {},
                .right = {true, true, true, true, true}};
    for (const archive::SegmentRow& row : report.rows) {
      table.rows.push_back({std::to_string(row.timeline), name(row.timeline, row.numbers.first),
                            name(row.timeline, row.numbers.last), std::to_string(row.numbers.count()),
                            std::string(name_of(row.status))});
    }
    print_boxed(table, out_);
  }

  void print(const archive::TimelineCheck& check) const {
    out_ << fmt::format(
        "[wal-verify] timeline check status: {}\n[wal-verify] timeline check details:\n"
        "Highest timeline found in storage: {}\nCurrent cluster timeline: {}\n",
        name_of(check.status), check.highest, check.current);
  }

 private:
  std::string name(archive::Timeline timeline, std::uint64_t number) const {
    return archive::Segment{timeline, number}.name(catalogue_.settings().segment_bytes);
  }

  const archive::Catalogue& catalogue_;
  std::ostream& out_;
};

int run(const Args& args, App& app) {
  const Wanted wanted = wanted_checks(args);
  ops::IntegritySettings settings;
  app.sources.load(settings);
  const pipeline::Repository repository = app.open_repository();
  ops::CatalogueRequest request = catalogue_request(app);
  using Request = ops::CatalogueRequest;
  request.backups = wanted.integrity ? Request::Backups::sentinels : Request::Backups::none;
  request.documents = wanted.integrity ? Request::Documents::metadata : Request::Documents::none;
  request.others = false;
  request.wal_sizes = ops::CatalogueRequest::WalSizes::none;
  const archive::Segment current = current_segment(args, request.segment_bytes, app);
  const archive::Catalogue catalogue = ops::load_catalogue(repository, request, app.run);
  warn_of_metadata(catalogue, app);
  const Results results(catalogue, app.out);
  std::vector<std::string> json;
  if (wanted.integrity) {
    const archive::IntegrityReport report =
        archive::check_integrity(catalogue, {.current = current,
                                             .backup = args.backup_name,
                                             .delayed = settings.max_delayed_wals(),
                                             .uploading = settings.upload_concurrency()});
    if (report.earliest) {
      app.run.log.info("WAL is followed back to {}", catalogue.backups()[*report.earliest].name);
    }
    args.json ? json.push_back(results.json_of(report)) : results.print(report);
  }
  if (wanted.timeline) {
    const archive::TimelineCheck check = archive::check_timeline(catalogue, current.timeline);
    args.json ? json.push_back(Results::json_of(check)) : results.print(check);
  }
  if (args.json) app.out << fmt::format("{{{}}}", fmt::join(json, ","));
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> wal_verify_command() {
  return cli::make_command<Args>({
      .name = "wal-verify",
      .summary = "Check that the archive's WAL has no gap up to now, and is on the cluster's timeline",
      .manual = manuals::wal_verify,
      .positionals = {{"checks", "", "integrity, timeline, or both.", &Args::checks, 0, true}},
      .options = {{"json", "", "JSON on one line.", &Args::json},
                  {"timeline", "N", "The cluster's timeline; with --lsn no server is asked.", &Args::timeline},
                  {"lsn", "LSN", "Where the cluster's WAL ends.", &Args::lsn},
                  {"backup-name", "NAME", "Follow the WAL back to this backup, not to the earliest.",
                   &Args::backup_name}},
      .fails_with = {Errc::usage, Errc::config, Errc::not_found, Errc::foreign, Errc::db, Errc::denied, Errc::network,
                     Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
