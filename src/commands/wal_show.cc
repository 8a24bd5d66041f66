#include <fmt/format.h>

#include "archive/wal_report.hh"
#include "base/text.hh"
#include "commands/backup_json.hh"
#include "commands/commands.hh"
#include "commands/table.hh"
#include "commands/whole_archive.hh"
#include "manuals/wal_show.hh"

namespace seawall::commands {
namespace {

using archive::TimelineReport;

struct Args {
  bool detailed_json = false;
  bool without_backups = false;
};

class Report {
 public:
  Report(const archive::Catalogue& catalogue, const Args& args, std::string storage)
      : catalogue_(catalogue), args_(args), storage_(std::move(storage)), lines_(report_timelines(catalogue)) {}

  void print_table(std::ostream& out) const {
    Table table{.heading = {"TLI", "Parent TLI", "Switchpoint LSN", "Start segment", "End segment", "Segment range",
                            "Segments count", "Status"},
                .rows = {},
                .right = {true, true, true, false, false, true, true, false}};
    if (!args_.without_backups) {
      table.heading.emplace_back("Backups count");
      table.right.push_back(true);
    }
    for (const TimelineReport& line : lines_) {
      table.rows.push_back({std::to_string(line.timeline), std::to_string(line.parent), line.switch_point.text(),
                            name(line, line.first), name(line, line.last), std::to_string(line.range()),
                            std::to_string(line.count), std::string(status(line))});
      if (!args_.without_backups) table.rows.back().push_back(std::to_string(line.backups.size()));
    }
    print_boxed(table, out);
  }

  void print_json(std::ostream& out) const {
    out << '[';
    for (const TimelineReport& line : lines_) {
      if (&line != &lines_.front()) out << ',';
      print_json(line, out);
    }
    out << ']';
  }

 private:
  std::string name(const TimelineReport& line, std::uint64_t number) const {
    return archive::Segment{line.timeline, number}.name(catalogue_.settings().segment_bytes);
  }
  static std::string_view status(const TimelineReport& line) { return line.complete() ? "OK" : "LOST_SEGMENTS"; }

  void print_json(const TimelineReport& line, std::ostream& out) const {
    out << fmt::format(
        R"({{"id":{},"parent_id":{},"switch_point_lsn":{},"start_segment":"{}","end_segment":"{}","segments_count":{},)"
        R"("missing_segments":[)",
        line.timeline, line.parent, line.switch_point.value, name(line, line.first), name(line, line.last), line.count);
    bool first = true;
    for (auto gap = line.missing.rbegin(); gap != line.missing.rend(); ++gap) {
      for (std::uint64_t number = gap->last; number >= gap->first; --number) {
        out << (first ? "\"" : ",\"") << name(line, number) << '"';
        first = false;
      }
    }
    out << ']';
    if (!args_.without_backups && !line.backups.empty()) print_backups(line, out);
    out << fmt::format(R"(,"segment_range_size":{},"status":"{}"}})", line.range(), status(line));
  }

  void print_backups(const TimelineReport& line, std::ostream& out) const {
    out << R"(,"backups":[)";
    for (const std::size_t& index : line.backups) {
      const archive::Backup& backup = catalogue_.backups()[index];
      out << (&index == &line.backups.front() ? "" : ",")
          << backup_json(backup.name, backup.modified, storage_, backup.metadata);
    }
    out << ']';
  }

  const archive::Catalogue& catalogue_;
  const Args& args_;
  const std::string storage_;
  const std::vector<TimelineReport> lines_;
};

int run(const Args& args, App& app) {
  const pipeline::Repository repository = app.open_repository();
  ops::CatalogueRequest request = catalogue_request(app);
  using Request = ops::CatalogueRequest;
  request.backups = args.without_backups ? Request::Backups::none : Request::Backups::sentinels;
  request.documents = args.without_backups ? Request::Documents::none : Request::Documents::metadata;
  request.others = false;
  request.wal_sizes = ops::CatalogueRequest::WalSizes::none;
  const archive::Catalogue catalogue = ops::load_catalogue(repository, request, app.run);
  warn_of_metadata(catalogue, app);
  const Report report(catalogue, args, repository.name);
  args.detailed_json ? report.print_json(app.out) : report.print_table(app.out);
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> wal_show_command() {
  return cli::make_command<Args>({
      .name = "wal-show",
      .summary = "Show which WAL is in the archive, timeline by timeline",
      .manual = manuals::wal_show,
      .positionals = {},
      .options = {{"detailed-json", "", "JSON on one line, with every missing segment and every backup.",
                   &Args::detailed_json},
                  {"without-backups", "", "Do not look at the backups.", &Args::without_backups}},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
