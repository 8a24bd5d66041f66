#include "commands/plan_report.hh"

#include <fmt/format.h>

#include <sstream>

#include "archive/layout.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "commands/table.hh"

namespace seawall::commands {
namespace {

using archive::Backup;
using archive::Catalogue;
using archive::DeletionPlan;

std::string size_text(std::uint64_t bytes, bool exact) { return (exact ? "" : "~") + human_bytes(bytes); }

std::string reasons_text(const archive::KeptBackup& kept) {
  // A full backup has a reason for every delta on it: the first few tell enough.
  constexpr std::size_t most = 3;
  std::string text;
  for (std::size_t i = 0; i < kept.reasons.size() && i < most; ++i) {
    text += (i == 0 ? "" : ", ") + kept.reasons[i].text();
  }
  if (kept.reasons.size() > most) text += fmt::format(", {} more", kept.reasons.size() - most);
  if (kept.long_term) text += "; with its own WAL only";
  return text;
}

std::string segments_text(const Catalogue& catalogue, const archive::TimelineCut& cut) {
  const std::uint64_t segment_bytes = catalogue.settings().segment_bytes;
  const auto ranges = cut.goes.all();
  if (ranges.empty()) return fmt::format("{}timeline {}, no segment", archive::wal_folder, cut.timeline);
  const std::string first = archive::Segment{cut.timeline, ranges.front().first}.name(segment_bytes);
  const std::string last = archive::Segment{cut.timeline, ranges.back().last}.name(segment_bytes);
  const std::string gaps = ranges.size() > 1 ? fmt::format(" in {} runs", ranges.size()) : "";
  return fmt::format("{}{} to {}{}", archive::wal_folder, first, last, gaps);
}

std::string goes_text(const Backup& backup) {
  return fmt::format("{}, finished {}", backup.is_delta() ? "delta" : "full", rfc3339(backup.finish_time()));
}

void add_goes(const Catalogue& catalogue, const DeletionPlan& plan, Table& table) {
  for (const std::size_t index : plan.backups) {
    const Backup& backup = catalogue.backups()[index];
    table.rows.push_back({"delete", backup.name, std::to_string(backup.folder.objects() + 1),
                          human_bytes(backup.stored_bytes()), goes_text(backup)});
  }
  for (const std::size_t index : plan.unfinished) {
    const archive::UnfinishedBackup& remains = catalogue.unfinished()[index];
    table.rows.push_back({"delete", remains.name, std::to_string(remains.folder.objects()),
                          human_bytes(remains.folder.bytes()), "remains without a sentinel"});
  }
  for (const archive::TimelineCut& cut : plan.timelines) {
    if (cut.objects == 0) continue;
    table.rows.push_back({"delete", segments_text(catalogue, cut), std::to_string(cut.objects),
                          size_text(cut.sizes.bytes(catalogue.wal().bytes()), cut.sizes.exact()),
                          cut.goes.count() == 1 ? "1 segment" : fmt::format("{} segments", cut.goes.count())});
  }
}

void add_stays(const Catalogue& catalogue, const DeletionPlan& plan, Table& table) {
  for (const archive::KeptBackup& kept : plan.kept) {
    const Backup& backup = catalogue.backups()[kept.backup];
    table.rows.push_back({"keep", backup.name, std::to_string(backup.folder.objects() + 1),
                          human_bytes(backup.stored_bytes()), reasons_text(kept)});
  }
  for (const archive::TimelineCut& cut : plan.timelines) {
    if (cut.needed_from.empty()) continue;
    table.rows.push_back({"keep", fmt::format("{}{} and after", archive::wal_folder, cut.needed_from), "-", "-",
                          "needed from " + cut.needed_by + " on"});
  }
}

std::string backup_members(const Backup& backup) {
  return fmt::format(R"("name":{},"objects":{},"bytes":{})", json_string(backup.name), backup.folder.objects() + 1,
                     backup.stored_bytes());
}

std::string goes_json(const Catalogue& catalogue, const DeletionPlan& plan) {
  std::string text = R"({"backups":[)";
  const auto separate = [&] {
    if (text.back() != '[') text += ',';
  };
  for (const std::size_t index : plan.backups) {
    separate();
    text += fmt::format("{{{}}}", backup_members(catalogue.backups()[index]));
  }
  text += R"(],"remains":[)";
  for (const std::size_t index : plan.unfinished) {
    const archive::UnfinishedBackup& remains = catalogue.unfinished()[index];
    separate();
    text += fmt::format(R"({{"name":{},"objects":{},"bytes":{}}})", json_string(remains.name), remains.folder.objects(),
                        remains.folder.bytes());
  }
  text += R"(],"wal":[)";
  for (const archive::TimelineCut& cut : plan.timelines) {
    if (cut.objects == 0) continue;
    separate();
    text += fmt::format(R"({{"timeline":{},"objects":{},"bytes":{},"segments":[)", cut.timeline, cut.objects,
                        cut.sizes.bytes(catalogue.wal().bytes()));
    for (const archive::NumberRange& range : cut.goes.all()) {
      separate();
      const std::uint64_t segment_bytes = catalogue.settings().segment_bytes;
      text += fmt::format(R"({{"first":"{}","last":"{}","count":{}}})",
                          archive::Segment{cut.timeline, range.first}.name(segment_bytes),
                          archive::Segment{cut.timeline, range.last}.name(segment_bytes), range.count());
    }
    text += "]}";
  }
  return text + "]}";
}

std::string stays_json(const Catalogue& catalogue, const DeletionPlan& plan) {
  std::string text = R"({"backups":[)";
  const auto separate = [&] {
    if (text.back() != '[') text += ',';
  };
  for (const archive::KeptBackup& kept : plan.kept) {
    separate();
    text += fmt::format(R"({{{},"long_term":{},"reasons":[)", backup_members(catalogue.backups()[kept.backup]),
                        kept.long_term);
    for (const archive::KeepReason& reason : kept.reasons) {
      separate();
      text += fmt::format(R"({{"kind":"{}","text":{}}})", archive::name_of(reason.kind), json_string(reason.text()));
    }
    text += "]}";
  }
  text += R"(],"wal":[)";
  for (const archive::TimelineCut& cut : plan.timelines) {
    if (cut.needed_from.empty()) continue;
    separate();
    text += fmt::format(R"({{"timeline":{},"from":"{}","needed_by":{}}})", cut.timeline, cut.needed_from,
                        json_string(cut.needed_by));
  }
  return text + "]}";
}

}  // namespace

std::string plan_text(const Catalogue& catalogue, const DeletionPlan& plan) {
  Table table{.heading = {"what", "name", "objects", "size", "why"}, .rows = {}};
  add_goes(catalogue, plan, table);
  if (plan.timelines.empty() && !plan.wal.empty()) {
    const archive::SizeSum& sizes = catalogue.wal().bytes();
    table.rows.push_back({"delete", std::string(archive::wal_folder), std::to_string(catalogue.wal().objects()),
                          size_text(sizes.bytes(), sizes.exact()), "everything goes"});
  }
  add_stays(catalogue, plan, table);
  std::ostringstream text;
  if (!table.rows.empty()) print_columns(table, text);
  for (const std::string& note : plan.notes) text << "note: " << note << '\n';
  const archive::Catalogue::Foreign& foreign = catalogue.foreign();
  if (foreign.objects != 0) {
    text << fmt::format("note: {} objects that nobody here knows stay untouched, {} for one\n", foreign.objects,
                        foreign.examples.front());
  }
  text << fmt::format("{} objects go, {}{} are freed\n", plan.objects, plan.bytes_exact ? "" : "about ",
                      human_bytes(plan.bytes));
  return text.str();
}

std::string plan_json(const Catalogue& catalogue, const DeletionPlan& plan, bool dry_run) {
  std::string text = fmt::format(R"({{"dry_run":{},"objects":{},"bytes":{},"delete":{},"keep":{},"notes":[)", dry_run,
                                 plan.objects, plan.bytes, goes_json(catalogue, plan), stays_json(catalogue, plan));
  for (const std::string& note : plan.notes) {
    if (text.back() != '[') text += ',';
    text += json_string(note);
  }
  return text + "]}";
}

}  // namespace seawall::commands
