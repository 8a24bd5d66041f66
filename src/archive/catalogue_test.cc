#include "archive/catalogue.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/backup_order.hh"
#include "archive/layout.hh"
#include "archive/permanence.hh"
#include "archive/recovery_windows.hh"
#include "archive/wal_report.hh"
#include "base/error.hh"
#include "support/archive_listing.hh"

namespace seawall::archive {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = BackupFault::Kind;
using std::chrono::hours;

Time day(int number) { return Time(std::chrono::sys_days(std::chrono::year(2026) / 3 / 1)) + hours(24 * number); }

/// A full and two deltas, with all WAL from 2 to 12.
class CatalogueTest : public testing::Test {
 protected:
  CatalogueTest() {
    full = listing.backup({.start = 2, .time = day(0)});
    first = listing.backup({.start = 5, .finish = 6, .time = day(1), .parent = full});
    second = listing.backup({.start = 9, .time = day(2), .parent = first});
    listing.segments(1, 2, 12, day(3));
  }

  Catalogue catalogue() const { return listing.catalogue(day(4)); }
  static const Backup& get(const Catalogue& catalogue, const std::string& name) {
    return catalogue.backups()[catalogue.find(name).value()];
  }
  /// Kinds of the faults of a backup; its name is made restorable or not by them.
  std::vector<Kind> faults(const std::string& name, bool restorable = false) const {
    const Catalogue model = catalogue();
    const Backup& backup = get(model, name);
    EXPECT_EQ(restorable, backup.restorable) << name;
    std::vector<Kind> kinds;
    for (const BackupFault& fault : backup.faults) kinds.push_back(fault.kind);
    return kinds;
  }
  std::string part(const std::string& name, const std::string& part) const { return parts_folder(name) + part; }
  Errc code_of(const std::function<void()>& call) const {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return Errc::bug;
  }

  test::ArchiveListing listing;
  std::string full;
  std::string first;
  std::string second;
};

TEST_F(CatalogueTest, ChainsAreKnownInBothDirections) {
  const Catalogue model = catalogue();
  const std::size_t a = model.find(full).value();
  const std::size_t b = model.find(first).value();
  const std::size_t c = model.find(second).value();
  EXPECT_THAT(model.ancestors(c), ElementsAre(b, a));
  EXPECT_THAT(model.descendants(a), ElementsAre(b, c));
  EXPECT_EQ(a, model.base_of(c));
  EXPECT_THAT(model.systems(), ElementsAre(7000000000000000001U));
  const Backup& backup = get(model, first);
  EXPECT_TRUE(backup.restorable);
  EXPECT_EQ(5U, backup.wal->first);
  EXPECT_EQ(6U, backup.wal->last);
  EXPECT_EQ(day(1), backup.finish_time());
  EXPECT_EQ(day(1) - std::chrono::minutes(10), backup.start_time());
  EXPECT_EQ(6U, backup.folder.objects() + 1);
}

TEST_F(CatalogueTest, WhatIsMissingIsSaidAndWhatStandsOnItIsDamagedToo) {
  listing.objects.erase(part(first, "part_001.tar.lz4"));
  EXPECT_THAT(faults(first), ElementsAre(Kind::part_missing));
  EXPECT_THAT(faults(second), ElementsAre(Kind::parent_damaged));
  EXPECT_THAT(faults(full, true), IsEmpty());
  EXPECT_THAT(get(catalogue(), first).faults[0].text, HasSubstr(part(first, "") + " lacks part_001.tar"));
}

TEST_F(CatalogueTest, EveryKindOfLossIsSeen) {
  const auto loses = [&](const std::string& key, const std::string& backup, Kind kind) {
    const auto object = listing.objects.extract(key);
    ASSERT_FALSE(object.empty()) << key;
    EXPECT_THAT(faults(backup, kind == Kind::metadata_missing || (kind == Kind::file_list_missing && backup == full)),
                ElementsAre(kind))
        << key;
    listing.objects[object.key()] = object.mapped();
  };
  loses(part(full, "pg_control.tar.lz4"), full, Kind::control_missing);
  loses(metadata_object(full), full, Kind::metadata_missing);
  loses(files_metadata_object(full), full, Kind::file_list_missing);
  loses(files_metadata_object(first), first, Kind::file_list_missing);
  loses(sentinel_object(full), first, Kind::parent_missing);
  loses(listing.segment_key(1, 6), first, Kind::wal_missing);
  listing.objects.at(part(first, "part_002.tar.lz4")).bytes = 0;
  EXPECT_THAT(faults(first), ElementsAre(Kind::part_empty));
  for (const char* name : {"part_001.tar.lz4", "part_002.tar.lz4", "pg_control.tar.lz4"}) {
    listing.objects.erase(part(second, name));
  }
  EXPECT_THAT(faults(second), ElementsAre(Kind::no_parts, Kind::parent_damaged));
}

TEST_F(CatalogueTest, AParentThatOnlyLacksItsOwnWalServesItsDeltas) {
  listing.objects.erase(listing.segment_key(1, 5));
  EXPECT_THAT(faults(first), ElementsAre(Kind::wal_missing));
  EXPECT_THAT(faults(second, true), IsEmpty());
}

TEST_F(CatalogueTest, WithoutAnyWalNothingIsSaidAboutIt) {
  for (std::uint64_t i = 2; i <= 12; ++i) listing.objects.erase(listing.segment_key(1, i));
  EXPECT_THAT(faults(second, true), IsEmpty());
}

TEST_F(CatalogueTest, UnreadableDocumentsSpoilOnlyTheirOwnBackup) {
  listing.objects.at(sentinel_object(first)).text = "{\"LSN\":";
  listing.objects.at(metadata_object(full)).text = "no JSON";
  EXPECT_THAT(faults(first), ElementsAre(Kind::sentinel_unreadable));
  EXPECT_THAT(faults(full, true), ElementsAre(Kind::metadata_unreadable));
  EXPECT_FALSE(get(catalogue(), full).permanence_known);
  EXPECT_EQ(5U, get(catalogue(), first).wal->first);
  EXPECT_EQ(no_last, get(catalogue(), first).wal->last);
  EXPECT_THAT(catalogue().parents_by_name(first), ElementsAre(catalogue().find(full).value()));
}

TEST_F(CatalogueTest, PermanenceIsInTheMetadataAndOnlyWithoutItInTheSentinel) {
  const std::string name = listing.backup({.start = 12, .time = day(3), .permanent = true});
  EXPECT_TRUE(get(catalogue(), name).permanent);
  listing.objects.at(metadata_object(name)).text = print_metadata({.is_permanent = false});
  EXPECT_FALSE(get(catalogue(), name).permanent);
  listing.objects.erase(metadata_object(name));
  EXPECT_TRUE(get(catalogue(), name).permanent);
}

TEST_F(CatalogueTest, ANameThatWasUsedAgainIsNotTheParent) {
  listing.backup({.start = 2, .time = day(3), .offset = 0x400});
  EXPECT_THAT(faults(first), ElementsAre(Kind::parent_differs));
  EXPECT_EQ(Errc::incomplete, code_of([&] { catalogue().base_of(catalogue().find(second).value()); }));
  listing.backup({.start = 2, .time = day(3), .system = 42});
  EXPECT_THAT(get(catalogue(), first).faults[0].text, HasSubstr("system 7000000000000000001"));
}

TEST_F(CatalogueTest, CirclesEnd) {
  Sentinel sentinel = parse_sentinel(listing.objects.at(sentinel_object(full)).text, full);
  sentinel.delta_from = second;
  sentinel.delta_full_name = second;
  sentinel.delta_count = 3;
  sentinel.delta_lsn = get(catalogue(), second).sentinel->start_lsn;
  listing.put_text(sentinel_object(full), day(0), print_sentinel(sentinel));
  const Catalogue model = catalogue();
  for (const Backup& backup : model.backups()) EXPECT_FALSE(backup.restorable) << backup.name;
  EXPECT_EQ(2U, model.ancestors(0).size());
  EXPECT_EQ(2U, model.descendants(0).size());
  EXPECT_EQ(Errc::incomplete, code_of([&] { model.base_of(0); }));
}

TEST_F(CatalogueTest, AYoungFolderWithoutSentinelIsInFlightAndAnOldOneIsNot) {
  const std::string young = listing.backup_without_sentinel({.start = 11, .time = day(4) - hours(3), .parent = first});
  const std::string old = listing.backup_without_sentinel({.start = 10, .time = day(2)});
  const Catalogue model = catalogue();
  ASSERT_EQ(2U, model.unfinished().size());
  EXPECT_EQ(old, model.unfinished()[0].name);
  EXPECT_FALSE(model.unfinished()[0].in_flight);
  EXPECT_EQ(young, model.unfinished()[1].name);
  EXPECT_TRUE(model.unfinished()[1].in_flight);
  EXPECT_EQ((Segment{1, 11}), model.unfinished()[1].segment);
  listing.put(lease_object(old), day(4) + hours(1));
  EXPECT_TRUE(catalogue().unfinished()[0].in_flight);
}

TEST_F(CatalogueTest, WhatIsNotUnderstoodIsForeign) {
  for (const char* key : {"README", "wal_005/x", "basebackups_005/notes.txt", "basebackups_005/mine/part_001.tar.lz4",
                          "basebackups_005/_backup_stop_sentinel.json"}) {
    listing.put(key, day(0), 7);
  }
  listing.put("catchup_005/base_000000010000000000000002/metadata.json", day(0));
  listing.put("wal-g_storage_check", day(0));
  listing.put("seawall_005/verified.json", day(0));
  const Catalogue model = catalogue();
  EXPECT_EQ(5U, model.foreign().objects);
  EXPECT_EQ(35U, model.foreign().bytes);
  EXPECT_THAT(model.foreign().examples, testing::Contains("basebackups_005/mine/part_001.tar.lz4"));
  EXPECT_EQ(3U, model.others().size());
}

TEST_F(CatalogueTest, ABackupOfAnOddNameIsListedButItsWalIsNotKnown) {
  const std::string odd = listing.backup({.start = 3, .time = day(3), .name = "monday"});
  EXPECT_EQ(std::nullopt, get(catalogue(), odd).segment);
  EXPECT_FALSE(get(catalogue(), odd).wal.has_value());
}

TEST_F(CatalogueTest, AWrongSegmentSizeIsFoundByTheNames) {
  catalogue().require_segment_size();
  listing.segment_bytes = std::uint64_t{64} << 20;
  const Catalogue model = catalogue();
  try {
    model.require_segment_size();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(Errc::config, error.code());
    EXPECT_THAT(error.what(), HasSubstr("WALG_PG_WAL_SIZE=16"));
  }
}

TEST_F(CatalogueTest, AnUnreadableHistoryIsAComplaint) {
  listing.put_text("wal_005/00000002.history.lz4", day(3), "what?\n");
  listing.put_text("wal_005/00000003.history.lz4", day(3), "# nothing\n");
  const Catalogue model = catalogue();
  EXPECT_EQ(2U, model.complaints().size());
  EXPECT_FALSE(model.timelines().known(2));
  EXPECT_EQ(TimelineTree::Reach::unknown, model.timelines().reaches(1, {}, 2));
}

TEST_F(CatalogueTest, TimelinesLeadOnFromBeforeTheirSwitchOnly) {
  listing.history(2, {{1, {9 * listing.segment_bytes + 5}}});
  // Recovered to a point before timeline 2 began: the history of 3 says so by falling LSNs.
  listing.history(3, {{1, {9 * listing.segment_bytes + 5}}, {2, {7 * listing.segment_bytes}}});
  const Catalogue model = catalogue();
  const TimelineTree& tree = model.timelines();
  using Reach = TimelineTree::Reach;
  EXPECT_EQ(Reach::yes, tree.reaches(1, {9 * listing.segment_bytes + 5}, 2));
  EXPECT_EQ(Reach::no, tree.reaches(1, {9 * listing.segment_bytes + 6}, 2));
  EXPECT_EQ(Reach::yes, tree.reaches(1, {7 * listing.segment_bytes}, 3));
  EXPECT_EQ(Reach::no, tree.reaches(1, {8 * listing.segment_bytes}, 3));
  EXPECT_EQ(Reach::no, tree.reaches(2, {0}, 1));
  EXPECT_EQ(2U, tree.parent(3)->timeline);
}

TEST_F(CatalogueTest, TheWalDecidesTheOrderWhereTheClockIsWrong) {
  // The clock was a month behind when the third one was made.
  listing.backup({.start = 12, .time = day(-30)});
  const Catalogue model = catalogue();
  const auto names = [&](const std::vector<std::size_t>& order) {
    std::vector<std::uint64_t> starts;
    for (const std::size_t i : order) starts.push_back(model.backups()[i].segment->number);
    return starts;
  };
  EXPECT_THAT(names(order_by_time(model, BackupTime::finished)), ElementsAre(12, 2, 5, 9));
  EXPECT_THAT(names(order_by_lineage(model, BackupTime::finished)), ElementsAre(2, 5, 9, 12));
}

TEST_F(CatalogueTest, MarksGoDownTheChainAndComeOffOneByOne) {
  const auto marked = [&](const std::string& name, bool permanent) {
    const Catalogue model = catalogue();
    std::vector<std::string> names;
    for (const std::size_t i : backups_to_mark(model, name, permanent)) names.push_back(model.backups()[i].name);
    return names;
  };
  EXPECT_THAT(marked(second, true), ElementsAre(full, first, second));
  EXPECT_THAT(marked(full, false), IsEmpty());
  listing.backup({.start = 2, .time = day(0), .permanent = true});
  EXPECT_THAT(marked(second, true), ElementsAre(first, second));
  EXPECT_THAT(marked(full, false), ElementsAre(full));
  listing.backup({.start = 5, .finish = 6, .time = day(1), .parent = full, .permanent = true});
  EXPECT_EQ(Errc::usage, code_of([&] { marked(full, false); }));
  EXPECT_EQ(Errc::not_found, code_of([&] { marked("LATEST", true); }));
  listing.objects.erase(metadata_object(second));
  EXPECT_EQ(Errc::incomplete, code_of([&] { marked(second, true); }));
}

TEST_F(CatalogueTest, WindowsEndAtGapsAndGoOnBehindThem) {
  listing.objects.erase(listing.segment_key(1, 7));
  listing.objects.erase(listing.segment_key(1, 8));
  const Catalogue model = catalogue();
  const std::vector<TimelineWindows> all = recovery_windows(model);
  ASSERT_EQ(1U, all.size());
  ASSERT_EQ(2U, all[0].windows.size());
  const RecoveryWindow& early = all[0].windows[0];
  EXPECT_THAT(early.backups, ElementsAre(model.find(full).value(), model.find(first).value()));
  EXPECT_EQ(day(0), early.from);
  EXPECT_EQ(day(3), early.until);
  EXPECT_EQ((Segment{1, 6}), early.last);
  EXPECT_EQ((NumberRange{7, 8}), early.gap);
  EXPECT_THAT(all[0].windows[1].backups, ElementsAre(model.find(second).value()));
  EXPECT_EQ(std::nullopt, all[0].windows[1].gap);
}

TEST_F(CatalogueTest, AWindowFollowsTheTimelines) {
  listing.history(2, {{1, {6 * listing.segment_bytes + 0x8000}}});
  listing.segments(2, 6, 20, day(4));
  const std::string after = listing.backup({.timeline = 2, .start = 15, .time = day(4)});
  const Catalogue model = catalogue();
  const std::vector<TimelineWindows> all = recovery_windows(model);
  ASSERT_EQ(2U, all.size());
  EXPECT_THAT(all[0].windows[0].backups, testing::SizeIs(3));
  EXPECT_EQ((Segment{1, 12}), all[0].windows[0].last);
  // The delta at segment 9 was made on timeline 1 after timeline 2 had left it.
  EXPECT_THAT(all[1].windows[0].backups,
              ElementsAre(model.find(full).value(), model.find(first).value(), model.find(after).value()));
  EXPECT_EQ((Segment{2, 20}), all[1].windows[0].last);
}

TEST_F(CatalogueTest, SizesThatTheListingLeftOutAreLookedUpWhereABackupNeedsThem) {
  const Catalogue listed = catalogue();
  const BackupWal need = listed.backups()[listed.find(first).value()].wal.value();
  listing.objects.at(listing.segment_key(need.timeline, need.first)).bytes = 0;
  const std::size_t none = listing.objects.size();
  const Catalogue model = listing.catalogue(day(4), none);
  EXPECT_FALSE(model.backups()[model.find(first).value()].restorable);
  EXPECT_TRUE(model.backups()[model.find(full).value()].restorable);
  EXPECT_FALSE(model.wal().timeline(1)->usable.contains(need.first));
  EXPECT_EQ((NumberRange{2, 12}), model.wal().timeline(1)->listed.all().front());
}

TEST(SizeSum, TakesTheMeanForWhatIsNotKnown) {
  SizeSum sum;
  sum.add(10);
  sum.add(20);
  EXPECT_TRUE(sum.exact());
  EXPECT_EQ(30U, sum.bytes());
  sum.add(std::nullopt);
  sum.add(std::nullopt);
  EXPECT_FALSE(sum.exact());
  EXPECT_EQ(60U, sum.bytes());
  SizeSum nothing_known;
  nothing_known.add(std::nullopt);
  EXPECT_EQ(0U, nothing_known.bytes());
  EXPECT_EQ(15U, nothing_known.bytes(sum));
}

TEST_F(CatalogueTest, IntegrityTellsLateFromUploadingFromLost) {
  listing.objects.erase(listing.segment_key(1, 12));
  listing.objects.erase(listing.segment_key(1, 10));
  listing.objects.erase(listing.segment_key(1, 4));
  listing.objects.erase(listing.segment_key(1, 3));
  const Catalogue model = catalogue();
  const IntegrityReport report =
      check_integrity(model, {.current = {1, 15}, .backup = {}, .delayed = 10, .uploading = 3});
  using enum SegmentStatus;
  EXPECT_THAT(report.rows, ElementsAre(SegmentRow{1, {2, 2}, found}, SegmentRow{1, {3, 4}, lost},
                                       SegmentRow{1, {5, 9}, found}, SegmentRow{1, {10, 10}, uploading},
                                       SegmentRow{1, {11, 11}, found}, SegmentRow{1, {12, 14}, delayed}));
  EXPECT_EQ(CheckStatus::failure, report.status);
  EXPECT_EQ(model.find(full), report.earliest);
  const IntegrityReport late = check_integrity(model, {.current = {1, 15}, .backup = first, .delayed = 10});
  EXPECT_EQ(CheckStatus::warning, late.status);
  EXPECT_EQ(Errc::not_found, code_of([&] { check_integrity(model, {.current = {1, 15}, .backup = "base_x"}); }));
}

TEST_F(CatalogueTest, WithoutABackupTheBeginningMayBeMissing) {
  test::ArchiveListing bare;
  bare.segments(1, 10, 12);
  const Catalogue model = bare.catalogue(day(4));
  const IntegrityReport report =
      check_integrity(model, {.current = {1, 13}, .backup = {}, .delayed = 0, .uploading = 0});
  using enum SegmentStatus;
  EXPECT_THAT(report.rows, ElementsAre(SegmentRow{1, {1, 9}, lost}, SegmentRow{1, {10, 12}, found}));
  EXPECT_EQ(CheckStatus::warning, report.status);
  // From an LSN far ahead it is no more work.
  const std::uint64_t far = std::uint64_t{1} << 40;
  EXPECT_EQ(CheckStatus::failure, check_integrity(model, {.current = {1, far}}).status);
  EXPECT_EQ(3U, check_integrity(model, {.current = {1, far}, .backup = {}, .delayed = 0, .uploading = 0}).rows.size());
}

TEST_F(CatalogueTest, AnEmptyArchiveIsAnswered) {
  const Catalogue model = test::ArchiveListing().catalogue(day(4));
  EXPECT_THAT(report_timelines(model), IsEmpty());
  EXPECT_THAT(recovery_windows(model), IsEmpty());
  EXPECT_EQ(CheckStatus::warning, check_timeline(model, 1).status);
  const IntegrityReport report = check_integrity(model, {.current = {1, 0x2F}});
  using enum SegmentStatus;
  EXPECT_THAT(report.rows, ElementsAre(SegmentRow{1, {1, 0x1E}, lost}, SegmentRow{1, {0x1F, 0x2E}, uploading}));
  EXPECT_EQ(CheckStatus::warning, report.status);
}

}  // namespace
}  // namespace seawall::archive
