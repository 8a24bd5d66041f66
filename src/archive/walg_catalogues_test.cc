// Listings and answers of archives that WAL-G made: what it showed, verified and would have deleted.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "archive/catalogue.hh"
#include "archive/deletion_invariant.hh"
#include "archive/detail/json.hh"
#include "archive/layout.hh"
#include "archive/recovery_windows.hh"
#include "archive/retention.hh"
#include "archive/wal_report.hh"
#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "support/archive_listing.hh"

namespace seawall::archive {
namespace {

/// Answers by their first word: "show", "verify", "delete".
struct Recorded {
  test::ArchiveListing listing;
  std::vector<std::string> keys;  ///< in the listing's order, as answers number them
  std::map<std::string, std::vector<std::string>> answers;

  Catalogue catalogue() const { return listing.catalogue(parse_rfc3339("2026-12-01T00:00:00Z").value()); }
};

std::pair<std::string, std::string> cut(const std::string& line, std::string_view at = " ") {
  const std::size_t end = line.find(at);
  if (end == std::string::npos) return {line, ""};
  return {line.substr(0, end), line.substr(end + at.size())};
}

void add_object(Recorded& recorded, const std::string& line, std::int64_t since) {
  std::istringstream words(line);
  std::int64_t after = 0;
  std::uint64_t bytes = 0;
  std::size_t shared = 0;
  std::string rest;
  words >> after >> bytes >> shared >> rest;
  std::string key = (recorded.keys.empty() ? "" : recorded.keys.back().substr(0, shared)) + rest;
  recorded.listing.put(key, Time(std::chrono::nanoseconds(since + after)), bytes);
  recorded.keys.push_back(std::move(key));
}

Recorded read(const std::filesystem::path& path) {
  Recorded recorded;
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::int64_t since = 0;
  for (std::string line; std::getline(file, line);) {
    const auto [word, rest] = cut(line);
    const auto [name, text] = cut(rest);
    if (word == "segment_mib") {
      recorded.listing.segment_bytes = parse_int<std::uint64_t>(rest).value() << 20;
    } else if (word == "since") {
      since = parse_int<std::int64_t>(rest).value();
    } else if (word == "object") {
      add_object(recorded, rest, since);
    } else if (word == "sentinel") {
      recorded.listing.objects.at(sentinel_object(name)).text = text;
    } else if (word == "metadata") {
      recorded.listing.objects.at(metadata_object(name)).text = text;
    } else if (word == "history") {
      const Timeline timeline = parse_int<Timeline>(name).value();
      recorded.listing.objects.at(wal_object(history_name(timeline)) + ".lz4").text =
          parse_json(text, Errc::corrupt, "history").text;
    } else {
      recorded.answers[word].push_back(rest);
    }
  }
  return recorded;
}

std::vector<std::filesystem::path> all_cases() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(SEAWALL_FIXTURES) + "/catalogues")) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  EXPECT_GE(paths.size(), 19U);
  return paths;
}

std::string text_of(const Catalogue& catalogue, const TimelineReport& report) {
  const auto name = [&](std::uint64_t number) {
    return Segment{report.timeline, number}.name(catalogue.settings().segment_bytes);
  };
  std::vector<std::string> missing;
  for (const NumberRange& gap : report.missing) {
    for (std::uint64_t number = gap.first; number <= gap.last; ++number) missing.push_back(name(number));
  }
  std::vector<std::string> backups;
  for (const std::size_t backup : report.backups) backups.push_back(catalogue.backups()[backup].name);
  return fmt::format("{} {} {} {} {} {} {} {} [{}] {}", report.timeline, report.parent, report.switch_point.text(),
                     name(report.first), name(report.last), report.range(), report.count,
                     report.complete() ? "OK" : "LOST_SEGMENTS", fmt::join(missing, ","), fmt::join(backups, ","));
}

TEST(WalgCatalogues, TimelinesAreShownAsWalgShowsThem) {
  for (const auto& path : all_cases()) {
    const Recorded recorded = read(path);
    const Catalogue catalogue = recorded.catalogue();
    std::vector<std::string> shown;
    for (const TimelineReport& report : report_timelines(catalogue)) shown.push_back(text_of(catalogue, report));
    const auto expected = recorded.answers.find("show");
    EXPECT_EQ(expected == recorded.answers.end() ? shown : expected->second, shown) << path;
  }
}

TEST(WalgCatalogues, EveryBackupIsWhole) {
  for (const auto& path : all_cases()) {
    const Catalogue catalogue = read(path).catalogue();
    for (const Backup& backup : catalogue.backups()) {
      EXPECT_TRUE(backup.restorable) << path << backup.name;
      for (const BackupFault& fault : backup.faults) ADD_FAILURE() << path << backup.name << ": " << fault.text;
      EXPECT_TRUE(backup.wal && backup.wal->last != no_last) << path << backup.name;
    }
    EXPECT_EQ(0U, catalogue.unfinished().size()) << path;
    EXPECT_THAT(catalogue.complaints(), testing::IsEmpty()) << path;
    // One was stored under a name that is no WAL file's.
    EXPECT_EQ(path.stem() == "wal-commands" ? 1U : 0U, catalogue.foreign().objects)
        << path << fmt::to_string(fmt::join(catalogue.foreign().examples, ", "));
  }
}

std::string verified(const Catalogue& catalogue, const std::string& question, bool with_timeline) {
  std::istringstream words(question);
  Timeline timeline = 0;
  std::string lsn;
  std::string backup;
  words >> timeline >> lsn >> backup;
  const std::uint64_t segment_bytes = catalogue.settings().segment_bytes;
  const Lsn end = parse_lsn(lsn).value();
  const IntegrityReport integrity = check_integrity(
      catalogue,
      {.current = segment_of(timeline, {end.value - 1}, segment_bytes), .backup = backup == "-" ? "" : backup});
  std::vector<std::string> rows;
  for (const SegmentRow& row : integrity.rows) {
    rows.push_back(fmt::format(
        "{}:{}-{}:{}:{}", row.timeline, Segment{row.timeline, row.numbers.first}.name(segment_bytes),
        Segment{row.timeline, row.numbers.last}.name(segment_bytes), row.numbers.count(), name_of(row.status)));
  }
  std::string text = fmt::format("{} {}", name_of(integrity.status), fmt::join(rows, ","));
  if (with_timeline) {
    const TimelineCheck check = check_timeline(catalogue, timeline);
    text += fmt::format(" timeline {} {} {}", name_of(check.status), check.current, check.highest);
  }
  return text;
}

TEST(WalgCatalogues, WalIsVerifiedAsWalgVerifiesIt) {
  std::size_t questions = 0;
  for (const auto& path : all_cases()) {
    Recorded recorded = read(path);
    const Catalogue catalogue = recorded.catalogue();
    for (const std::string& line : recorded.answers["verify"]) {
      const auto [question, answer] = cut(line, " => ");
      EXPECT_EQ(answer, verified(catalogue, question, answer.find("timeline") != std::string::npos)) << path << line;
      ++questions;
    }
  }
  EXPECT_GE(questions, 20U);
}

struct DeleteCall {
  std::vector<std::string> words;
  std::string user_data;
};

std::optional<DeletionPlan> plan(const Catalogue& catalogue, const DeleteCall& call) {
  std::vector<std::string> words = call.words;
  const std::string verb = words.front();
  words.erase(words.begin());
  DeleteOptions options;
  std::optional<Boundary> after;
  Modifier modifier = Modifier::none;
  bool force = false;
  std::string last;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--use-sentinel-time") {
      options.use_sentinel_time = true;
    } else if (words[i] == "--after") {
      after = parse_boundary(words[++i]);
    } else if (words[i] == "FULL" || words[i] == "FIND_FULL") {
      modifier = words[i] == "FULL" ? Modifier::full : Modifier::find_full;
    } else if (words[i] == "FORCE") {
      force = true;
    } else {
      last = words[i];
    }
  }
  if (verb == "before") return plan_before(catalogue, parse_boundary(last), modifier, options);
  if (verb == "retain") return plan_retain(catalogue, parse_int<std::size_t>(last).value(), modifier, after, options);
  if (verb == "everything") return plan_everything(catalogue, force);
  if (verb == "target") {
    return plan_target(catalogue,
                       {.name = last, .user_data_json = call.user_data, .find_full = modifier == Modifier::find_full});
  }
  const auto scope = last == "ARCHIVES"  ? GarbageScope::archives
                     : last == "BACKUPS" ? GarbageScope::backups
                                         : GarbageScope::all;
  return plan_garbage(catalogue, scope, false);
}

/// "keys 0-25,74", or "error".
std::string answer(const Recorded& recorded, const Catalogue& catalogue, const DeleteCall& call) {
  std::optional<DeletionPlan> made;
  try {
    made = plan(catalogue, call);
  } catch (const Error&) {
    return "error";
  }
  std::set<std::size_t> numbers;
  if (made) {
    EXPECT_EQ(std::nullopt, first_violation(catalogue, *made));
    std::size_t objects = 0;
    std::uint64_t bytes = 0;
    made->visit(catalogue, [&](const std::string& key) {
      const auto found = std::find(recorded.keys.begin(), recorded.keys.end(), key);
      if (found == recorded.keys.end()) {
        ADD_FAILURE() << key;
        return;
      }
      EXPECT_TRUE(numbers.insert(static_cast<std::size_t>(found - recorded.keys.begin())).second) << key;
      ++objects;
      bytes += recorded.listing.objects.at(key).bytes;
    });
    EXPECT_EQ(objects, made->objects);
    EXPECT_EQ(bytes, made->bytes);
  }
  std::vector<NumberRange> ranges;
  for (const std::size_t number : numbers) {
    if (!ranges.empty() && ranges.back().last + 1 == number) {
      ranges.back().last = number;
    } else {
      ranges.push_back({number, number});
    }
  }
  std::string text = "keys ";
  for (const NumberRange& range : ranges) {
    if (text.back() != ' ') text += ',';
    text += range.first == range.last ? fmt::to_string(range.first) : fmt::format("{}-{}", range.first, range.last);
  }
  return text;
}

/// Where WAL-G deletes what is needed, or keeps what nobody can use: composer-copy has WAL metadata of groups, which
/// WAL-G never deletes; copy-16m and lz4-delta have targets that are permanent, and deltas on a second timeline whose
/// parents WAL-G deletes; wal-delta has a delta object whose group of segments reaches into what stays.
const std::map<std::string, std::string>& differences() {
  static const std::map<std::string, std::string> all{
      {"composer-copy: retain FULL 1", "keys 0-11,30-34,36"},
      {"composer-copy: retain FIND_FULL 1", "keys 0-11,30-34,36"},
      {"composer-copy: retain 2", "keys 0-11,30-34,36"},
      {"composer-copy: before FIND_FULL base_000000010000000000000026_D_000000010000000000000011",
       "keys 0-11,30-34,36"},
      {"copy-16m: target FIND_FULL base_000000010000000000000006", "error"},
      {"copy-16m: target LATEST", "error"},
      {"lz4-delta: retain FULL 1", "keys 74"},
      {"lz4-delta: retain FULL 2", "keys 74"},
      {"lz4-delta: retain FIND_FULL 1", "keys 74"},
      {"lz4-delta: before FIND_FULL base_00000002000000000000001E_D_00000002000000000000001C", "keys 74"},
      {"lz4-delta: before base_00000001000000000000001C", "keys 74"},
      {"lz4-delta: target base_00000001000000000000001C", "error"},
      {"lz4-delta: retain FULL 1 --after base_00000001000000000000001C", "keys 74"},
      {"lz4-delta: retain FIND_FULL 2", "keys 74"},
      {"lz4-delta: before base_00000001000000000000001E", "keys 74"},
      {"wal-delta: retain FULL 1", "keys 18-20,22-23"},
      {"wal-delta: retain FIND_FULL 1", "keys 18-20,22-23"},
      {"wal-delta: before FIND_FULL base_000000010000000000000030_D_000000010000000000000013", "keys 18-20,22-23"},
      {"wal-delta: before 2020-01-01T00:00:00Z", "keys 18-20,22-23"},
      {"wal-delta: garbage", "keys 18-20,22-23"},
      {"wal-delta: garbage ARCHIVES", "keys 18-20,22-23"},
  };
  return all;
}

TEST(WalgCatalogues, TheSameIsDeletedWhereThatLosesNothing) {
  std::size_t same = 0;
  for (const auto& path : all_cases()) {
    Recorded recorded = read(path);
    const Catalogue catalogue = recorded.catalogue();
    for (const std::string& line : recorded.answers["delete"]) {
      const auto [question, expected] = cut(line, " => ");
      DeleteCall call;
      const auto [arguments, user_data] = cut(question, " --target-user-data ");
      call.user_data = user_data;
      std::istringstream words(arguments);
      for (std::string word; words >> word;) call.words.push_back(word);
      const std::string name = path.stem().string() + ": " + question;
      const auto difference = differences().find(name);
      EXPECT_EQ(difference == differences().end() ? expected : difference->second, answer(recorded, catalogue, call))
          << name;
      if (difference == differences().end()) ++same;
    }
  }
  EXPECT_GE(same, 300U);
}

}  // namespace
}  // namespace seawall::archive
