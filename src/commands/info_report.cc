#include "commands/info_report.hh"

#include <fmt/format.h>

#include <chrono>
#include <iterator>

#include "archive/layout.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::commands {
namespace {

using archive::Backup;
using archive::ClusterSummary;
using archive::RecoveryWindow;

/// "3 h 12 min ago": as exact as one wants it at night.
std::string age(Time then, Time now) {
  using namespace std::chrono;
  if (then == Time{}) return "at an unknown time";
  if (then > now) return "in the future, by this machine's clock";
  const std::int64_t total = duration_cast<minutes>(now - then).count();
  if (total < 1) return "just now";
  if (total < 60) return fmt::format("{} min ago", total);
  if (total < std::int64_t{48} * 60) return fmt::format("{} h {} min ago", total / 60, total % 60);
  return fmt::format("{} days ago", total / 60 / 24);
}

std::string version_text(int number) {
  return number == 0 ? "?" : fmt::format("{}.{}", number / 10000, number % 10000);
}

class TextPrinter {
 public:
  explicit TextPrinter(const InfoReport& report) : report_(report), catalogue_(report.catalogue) {}

  std::string print() {
    add("archive", "{}, segments of {} MiB", report_.place, catalogue_.settings().segment_bytes >> 20);
    add("stored", "{} objects: {} of backups, {} of WAL", report_.summary.objects,
        human_bytes(report_.summary.backup_bytes), human_bytes(report_.summary.wal_bytes));
    for (const ClusterSummary& cluster : report_.summary.clusters) print(cluster);
    if (report_.summary.clusters.empty()) add("backups", "none: nothing can be restored");
    print_wal();
    print_wrong();
    if (report_.expiry) {
      add("\nexpire", "would delete {} backups, {} objects, and free {}", report_.expiry->backups.size(),
          report_.expiry->objects, human_bytes(report_.expiry->bytes));
    }
    return std::move(text_);
  }

 private:
  template <class... Args>
  void add(std::string_view label, fmt::format_string<Args...> format, Args&&... args) {
    const std::size_t breaks = label.starts_with('\n') ? 1 : 0;
    text_ += fmt::format("{:<{}} ", label, 14 + breaks) + fmt::format(format, std::forward<Args>(args)...) + '\n';
  }
  const Backup& backup(std::size_t index) const { return catalogue_.backups()[index]; }
  std::string segment(archive::Timeline timeline, std::uint64_t number) const {
    return archive::Segment{timeline, number}.name(catalogue_.settings().segment_bytes);
  }
  Time now() const { return catalogue_.settings().now; }

  void print(const ClusterSummary& cluster) {
    const Backup& latest = backup(cluster.latest);
    add("\ncluster", "{}, PostgreSQL {}{}", cluster.system ? std::to_string(*cluster.system) : "unknown",
        version_text(latest.sentinel ? latest.sentinel->pg_version : 0),
        latest.metadata ? fmt::format(", {}:{}", latest.metadata->hostname, latest.metadata->data_dir) : "");
    const std::string kind = !latest.sentinel    ? "unreadable"
                             : latest.is_delta() ? fmt::format("delta, {} backups deep", cluster.chain_depth + 1)
                                                 : "full";
    add("last backup", "{} ({}), {}, {}{}", latest.name, kind, rfc3339(latest.finish_time()),
        age(latest.finish_time(), now()), latest.restorable ? "" : "; IT DOES NOT RESTORE");
    if (cluster.latest_restorable && *cluster.latest_restorable != cluster.latest) {
      const Backup& good = backup(*cluster.latest_restorable);
      add("last good", "{}, {}, {}", good.name, rfc3339(good.finish_time()), age(good.finish_time(), now()));
    }
    add("backups", "{} full, {} deltas, {} permanent, {} damaged; {} of data in {}", cluster.full, cluster.delta,
        cluster.permanent, cluster.damaged, human_bytes(cluster.raw_bytes), human_bytes(cluster.stored_bytes));
    std::string_view label = "recovery";
    for (const archive::TimelineWindows& windows : cluster.windows) {
      for (const RecoveryWindow& window : windows.windows) {
        add(label, "timeline {}: {} to {} ({}), from {} backups", windows.timeline, rfc3339(window.from),
            rfc3339(window.until), window.last.name(catalogue_.settings().segment_bytes), window.backups.size());
        label = "";
        if (!window.gap) continue;
        if (window.gap->count() == 1) {
          add("", "  then {} is missing", segment(window.last.timeline, window.gap->first));
        } else {
          add("", "  then {} segments are missing: {} to {}", window.gap->count(),
              segment(window.last.timeline, window.gap->first), segment(window.last.timeline, window.gap->last));
        }
      }
    }
    if (cluster.windows.empty()) add(label, "to no moment: no backup has its WAL");
  }

  void print_wal() {
    std::string_view label = "\nWAL";
    for (const archive::TimelineSummary& line : report_.summary.timelines) {
      add(label, "timeline {}: {} to {}, the last stored {}, {}{}", line.timeline, segment(line.timeline, line.first),
          segment(line.timeline, line.last), rfc3339(line.last_stored), age(line.last_stored, now()),
          line.gaps.empty()       ? ""
          : line.gaps.size() == 1 ? "; a gap"
                                  : fmt::format("; {} gaps", line.gaps.size()));
      label = "";
    }
    if (report_.summary.timelines.empty()) add(label, "none");
  }

  void print_wrong() {
    std::string_view label = "\nwrong";
    const auto complain = [&](const std::string& line) {
      add(label, "{}", line);
      label = "";
    };
    for (const Backup& each : catalogue_.backups()) {
      for (const archive::BackupFault& fault : each.faults) {
        complain(fmt::format("{}{}: {}", each.name, fault.damages ? " does not restore" : "", fault.text));
      }
    }
    for (const std::string& complaint : catalogue_.complaints()) complain(complaint);
    if (catalogue_.foreign().objects != 0) {
      const archive::Catalogue::Foreign& foreign = catalogue_.foreign();
      for (const std::string& key : foreign.examples) complain(key + " is nothing that seawall knows");
      if (foreign.objects > foreign.examples.size()) {
        complain(
            fmt::format("{} more objects are nothing that seawall knows", foreign.objects - foreign.examples.size()));
      }
    }
    label = "\nunfinished";
    for (const archive::UnfinishedBackup& each : catalogue_.unfinished()) {
      complain(fmt::format("{}: {}, {} objects, {}, the youngest {}", each.name,
                           each.in_flight ? "being written" : "remains", each.folder.objects(),
                           human_bytes(each.folder.bytes()), age(each.folder.newest(), now())));
    }
  }

  const InfoReport& report_;
  const archive::Catalogue& catalogue_;
  std::string text_;
};

/// Builds one JSON document; commas come by themselves.
class JsonPrinter {
 public:
  explicit JsonPrinter(const InfoReport& report) : report_(report), catalogue_(report.catalogue) {}

  std::string print() {
    open("", '{');
    text("archive", report_.place);
    number("segment_bytes", catalogue_.settings().segment_bytes);
    number("objects", report_.summary.objects);
    number("backup_bytes", report_.summary.backup_bytes);
    number("wal_bytes", report_.summary.wal_bytes);
    open("clusters", '[');
    for (const ClusterSummary& cluster : report_.summary.clusters) print(cluster);
    close(']');
    print_wal();
    print_wrong();
    if (report_.expiry) {
      open("expire", '{');
      number("backups", report_.expiry->backups.size());
      number("objects", report_.expiry->objects);
      number("bytes", report_.expiry->bytes);
      close('}');
    }
    close('}');
    return std::move(out_);
  }

 private:
  void name(std::string_view name) {
    if (!out_.empty() && out_.back() != '{' && out_.back() != '[') out_ += ',';
    if (!name.empty()) out_ += json_string(name) + ':';
  }
  void open(std::string_view member, char bracket) {
    name(member);
    out_ += bracket;
  }
  void close(char bracket) { out_ += bracket; }
  void raw(std::string_view member, std::string_view value) {
    name(member);
    out_ += value;
  }
  void number(std::string_view member, std::uint64_t value) { raw(member, std::to_string(value)); }
  void text(std::string_view member, std::string_view value) { raw(member, json_string(value)); }
  void time(std::string_view member, Time value) {
    raw(member, value == Time{} ? "null" : json_string(rfc3339_nano(value)));
  }
  void segment(std::string_view member, archive::Timeline timeline, std::uint64_t number) {
    text(member, archive::Segment{timeline, number}.name(catalogue_.settings().segment_bytes));
  }
  void gap(std::string_view member, archive::Timeline timeline, const archive::NumberRange& range) {
    open(member, '{');
    segment("first", timeline, range.first);
    segment("last", timeline, range.last);
    number("count", range.count());
    close('}');
  }

  void print(const ClusterSummary& cluster) {
    const Backup& latest = catalogue_.backups()[cluster.latest];
    open("", '{');
    // As text: beyond 2^53 most readers of JSON lose digits.
    raw("system_identifier", cluster.system ? fmt::format("\"{}\"", *cluster.system) : "null");
    number("pg_version", latest.sentinel ? static_cast<std::uint64_t>(latest.sentinel->pg_version) : 0);
    open("last_backup", '{');
    text("name", latest.name);
    time("finished", latest.finish_time());
    number("age_seconds", seconds_since(latest.finish_time()));
    raw("delta", latest.is_delta() ? "true" : "false");
    number("chain_depth", cluster.chain_depth);
    raw("restorable", latest.restorable ? "true" : "false");
    close('}');
    number("full", cluster.full);
    number("deltas", cluster.delta);
    number("permanent", cluster.permanent);
    number("damaged", cluster.damaged);
    number("raw_bytes", cluster.raw_bytes);
    number("stored_bytes", cluster.stored_bytes);
    open("windows", '[');
    for (const archive::TimelineWindows& windows : cluster.windows) {
      for (const RecoveryWindow& window : windows.windows) print(windows.timeline, window);
    }
    close(']');
    close('}');
  }

  void print(archive::Timeline timeline, const RecoveryWindow& window) {
    open("", '{');
    number("timeline", timeline);
    time("from", window.from);
    time("until", window.until);
    text("last_segment", window.last.name(catalogue_.settings().segment_bytes));
    number("backups", window.backups.size());
    if (window.gap) gap("gap", window.last.timeline, *window.gap);
    close('}');
  }

  void print_wal() {
    open("wal", '[');
    for (const archive::TimelineSummary& line : report_.summary.timelines) {
      open("", '{');
      number("timeline", line.timeline);
      segment("first_segment", line.timeline, line.first);
      segment("last_segment", line.timeline, line.last);
      number("segments", line.count);
      time("last_stored", line.last_stored);
      open("gaps", '[');
      for (const archive::NumberRange& range : line.gaps) gap("", line.timeline, range);
      close(']');
      close('}');
    }
    close(']');
  }

  void print_wrong() {
    open("faults", '[');
    for (const Backup& backup : catalogue_.backups()) {
      for (const archive::BackupFault& fault : backup.faults) {
        open("", '{');
        text("backup", backup.name);
        text("kind", archive::name_of(fault.kind));
        raw("damages", fault.damages ? "true" : "false");
        text("text", fault.text);
        close('}');
      }
    }
    close(']');
    open("complaints", '[');
    for (const std::string& complaint : catalogue_.complaints()) text("", complaint);
    close(']');
    open("unfinished", '[');
    for (const archive::UnfinishedBackup& each : catalogue_.unfinished()) {
      open("", '{');
      text("name", each.name);
      raw("in_flight", each.in_flight ? "true" : "false");
      number("objects", each.folder.objects());
      number("bytes", each.folder.bytes());
      time("youngest", each.folder.newest());
      close('}');
    }
    close(']');
    open("foreign", '{');
    number("objects", catalogue_.foreign().objects);
    open("examples", '[');
    for (const std::string& example : catalogue_.foreign().examples) text("", example);
    close(']');
    close('}');
  }

  std::uint64_t seconds_since(Time then) const {
    const Time now = catalogue_.settings().now;
    if (then > now) return 0;
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now - then).count());
  }

  const InfoReport& report_;
  const archive::Catalogue& catalogue_;
  std::string out_;
};

}  // namespace

std::string info_text(const InfoReport& report) { return TextPrinter(report).print(); }
std::string info_json(const InfoReport& report) { return JsonPrinter(report).print(); }

}  // namespace seawall::commands
