#include "ops/recovery_plan.hh"

#include "archive/sentinel.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

using Kind = RecoveryTarget::Kind;
using archive::Lsn;

/// An archive of sentinels, metadata and WAL objects whose content nobody looks at. Every minute one segment.
class PlanRecovery : public WalTest {
 protected:
  static constexpr std::uint64_t segment_bytes = 16 * mib;

  Lsn at(std::uint64_t segment, std::uint64_t offset = 0x28) const { return {segment * segment_bytes + offset}; }
  static std::string file(archive::Timeline timeline, std::uint64_t number, std::uint64_t bytes = segment_bytes) {
    return archive::Segment{timeline, number}.name(bytes);
  }

  /// Archives the segments `first` to `last`, a minute each.
  void wal(archive::Timeline timeline, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t number = first; number <= last; ++number) {
      store_plain(archive::wal_object(file(timeline, number)) + ".lz4", "x");
      clock_.advance(std::chrono::minutes(1));
    }
  }
  void lose(archive::Timeline timeline, std::uint64_t number) {
    repository_.store->remove(std::array{archive::wal_object(file(timeline, number)) + ".lz4"}, {});
  }
  /// A backup within segment `number`, which is archived with it.
  std::string backup(archive::Timeline timeline, std::uint64_t number, bool with_wal = true) {
    if (with_wal) wal(timeline, number, number);
    return put_backup(archive::backup_name(file(timeline, number)), at(number), at(number, 0x138));
  }
  std::string put_backup(const std::string& name, Lsn start, Lsn finish, bool with_metadata = true) {
    archive::BackupMetadata metadata;
    metadata.start_lsn = start;
    metadata.finish_lsn = finish;
    metadata.finish_time = clock_.wall();
    metadata.pg_version = 150004;
    if (with_metadata) store_plain(archive::metadata_object(name), archive::print_metadata(metadata));
    archive::Sentinel sentinel;
    sentinel.start_lsn = start;
    sentinel.finish_lsn = finish;
    sentinel.finish_time = clock_.wall();
    sentinel.pg_version = 150004;
    store_plain(archive::sentinel_object(name), archive::print_sentinel(sentinel));
    return name;
  }
  void history(archive::Timeline timeline, const std::string& text) {
    store(archive::wal_object(archive::history_name(timeline)), text);
  }

  RecoveryPlan plan(const RecoveryTarget& target, std::optional<std::string> backup = {}) {
    return plan_recovery(repository_, backup, target, run());
  }
  std::string backup_for(const RecoveryTarget& target) { return plan(target).backup; }
  Error refused(const RecoveryTarget& target, const std::optional<std::string>& backup = {}) {
    return thrown_by([&] { plan(target, backup); });
  }

  static RecoveryTarget to(Kind kind, std::string timeline = "latest") {
    RecoveryTarget target;
    target.kind = kind;
    target.text = "target";
    target.timeline = std::move(timeline);
    return target;
  }
  static RecoveryTarget to(Lsn lsn, std::string timeline = "latest") {
    RecoveryTarget target = to(Kind::lsn, std::move(timeline));
    target.lsn = lsn;
    target.text = lsn.text();
    return target;
  }
  static RecoveryTarget to(Time time) {
    RecoveryTarget target = to(Kind::time);
    target.time = time;
    return target;
  }
};

TEST_F(PlanRecovery, WithoutABackupThereIsNoWay) {
  const Error error = refused(to(Kind::immediate));
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), HasSubstr("holds no backup"));
}

TEST_F(PlanRecovery, TheNewestBackupThatEndsBeforeTheLsnIsTaken) {
  const std::string first = backup(1, 2);
  wal(1, 3, 4);
  const std::string second = backup(1, 5);
  wal(1, 6, 8);
  EXPECT_EQ(backup_for(to(at(8))), second);
  EXPECT_EQ(backup_for(to(at(5, 0x138))), second) << "its very end";
  EXPECT_EQ(backup_for(to(at(5, 0x137))), first);
  EXPECT_EQ(backup_for(to(at(2, 0x138))), first);
  const Error error = refused(to(at(2, 0x100)));
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(first), HasSubstr("0/2000138"), HasSubstr("after the target")));
}

TEST_F(PlanRecovery, TheNewestBackupThatEndsBeforeTheTimeIsTaken) {
  const std::string first = backup(1, 2);
  const Time after_first = clock_.wall();
  wal(1, 3, 4);
  const std::string second = backup(1, 5);
  const Time after_second = clock_.wall();
  wal(1, 6, 8);
  EXPECT_EQ(backup_for(to(after_second)), second);
  EXPECT_EQ(backup_for(to(after_second - std::chrono::seconds(1))), first);
  EXPECT_EQ(backup_for(to(after_first)), first);
  EXPECT_EQ(refused(to(after_first - std::chrono::seconds(1))).code(), Errc::not_found);
  EXPECT_EQ(plan(to(after_second)).pg_version, 150004);
}

TEST_F(PlanRecovery, ASentinelThatWasWrittenAnewDoesNotMakeABackupNewer) {
  const std::string first = backup(1, 2);
  wal(1, 3, 3);
  const std::string second = backup(1, 4);
  clock_.advance(std::chrono::hours(1));
  const std::string sentinel = plain(archive::sentinel_object(first));
  store_plain(archive::sentinel_object(first), sentinel);
  EXPECT_EQ(backup_for(to(Kind::immediate)), second);
}

TEST_F(PlanRecovery, ABackupWithoutMetadataIsKnownByItsSentinel) {
  wal(1, 2, 4);
  const std::string name = put_backup(archive::backup_name(file(1, 2)), at(2), at(2, 0x138), /*with_metadata=*/false);
  EXPECT_EQ(backup_for(to(at(4))), name);
  EXPECT_EQ(plan(to(at(4))).pg_version, 150004);
}

TEST_F(PlanRecovery, ABackupOfUnknownLsnsIsPassedOver) {
  const std::string name = backup(1, 2);
  store_plain(archive::sentinel_object("base_000000010000000000000003"), "{}");
  EXPECT_EQ(backup_for(to(Kind::immediate)), name);
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("base_000000010000000000000003"), HasSubstr("passed over")));
}

TEST_F(PlanRecovery, ABackupOfUnknownEndIsNotTakenForATime) {
  wal(1, 2, 3);
  archive::Sentinel sentinel;
  sentinel.start_lsn = at(2);
  sentinel.finish_lsn = at(2, 0x138);
  store_plain(archive::sentinel_object("base_000000010000000000000002"), archive::print_sentinel(sentinel));
  const Error error = refused(to(clock_.wall()));
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), HasSubstr("not recorded"));
  EXPECT_EQ(backup_for(to(at(3))), "base_000000010000000000000002");
}

TEST_F(PlanRecovery, ANamedBackupIsTakenOrRefusedButNotReplaced) {
  const std::string first = backup(1, 2);
  const std::string second = backup(1, 3);
  EXPECT_EQ(plan(to(at(3, 0x200)), first).backup, first);
  const Error error = refused(to(at(2, 0x200)), second);
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), HasSubstr(second));
  EXPECT_EQ(refused(to(Kind::immediate), "base_000000010000000000000009").code(), Errc::not_found);
}

TEST_F(PlanRecovery, AGapIsNamedExactly) {
  backup(1, 2);
  wal(1, 3, 9);
  lose(1, 5);
  EXPECT_EQ(backup_for(to(at(4, 0xFFFFFF))), "base_000000010000000000000002") << "the gap lies behind the target";
  for (const RecoveryTarget& target : {to(at(5)), to(at(8)), to(Kind::xid), to(Kind::name), to(clock_.wall())}) {
    const Error error = refused(target);
    EXPECT_EQ(error.code(), Errc::incomplete);
    EXPECT_THAT(error.what(), HasSubstr(file(1, 5)));
  }
  EXPECT_EQ(backup_for(to(Kind::immediate)), "base_000000010000000000000002");
}

TEST_F(PlanRecovery, TheBackupsOwnWalMustBeThere) {
  wal(1, 2, 4);
  const std::string name = put_backup(archive::backup_name(file(1, 2)), at(2), at(5, 0));
  EXPECT_EQ(backup_for(to(Kind::immediate)), name) << "an end at the boundary needs no byte of segment 5";
  lose(1, 4);
  const Error error = refused(to(Kind::immediate));
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(file(1, 4)), HasSubstr(name)));
  lose(1, 2);
  EXPECT_THAT(refused(to(Kind::immediate)).what(), HasSubstr(file(1, 2))) << "the first one that is missing";
}

TEST_F(PlanRecovery, AnLsnBehindTheArchiveIsRefused) {
  backup(1, 2);
  wal(1, 3, 4);
  const Error error = refused(to(Lsn{~std::uint64_t{0}}));
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(file(1, 5)), HasSubstr("FFFFFFFF/FFFFFFFF")));
}

TEST_F(PlanRecovery, ATimeNeedsWalUpToTheFirstSegmentStoredAfterIt) {
  backup(1, 2);
  wal(1, 3, 4);
  const Time target = clock_.wall() - std::chrono::seconds(1);
  wal(1, 5, 9);
  lose(1, 7);
  EXPECT_EQ(backup_for(to(target)), "base_000000010000000000000002");
  EXPECT_EQ(log_.text().find("WARNING"), std::string::npos) << log_.text();
  lose(1, 5);
  EXPECT_THAT(refused(to(target)).what(), HasSubstr(file(1, 5)));
}

TEST_F(PlanRecovery, ATimeBeyondTheArchiveIsTriedWithAWarning) {
  backup(1, 2);
  wal(1, 3, 4);
  EXPECT_EQ(backup_for(to(clock_.wall() + std::chrono::hours(1))), "base_000000010000000000000002");
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("WARNING"), HasSubstr(file(1, 4))));
}

TEST_F(PlanRecovery, NeitherPartialsLabelsNorEmptyObjectsAreSegments) {
  backup(1, 2);
  for (const std::string& object : {file(1, 3) + ".partial.lz4", file(1, 3) + ".partial",
                                    file(1, 3) + ".00000028.backup.lz4", file(1, 3) + ".json"}) {
    store_plain(archive::wal_object(object), "x");
  }
  EXPECT_THAT(refused(to(at(3))).what(), HasSubstr(file(1, 3)));
  store_plain(archive::wal_object(file(1, 3)) + ".lz4", "");
  EXPECT_EQ(refused(to(at(3))).code(), Errc::incomplete);
  EXPECT_THAT(log_.text(), AllOf(HasSubstr(file(1, 3) + ".lz4"), HasSubstr("empty")));
  store_plain(archive::wal_object(file(1, 3)), "uncompressed");
  EXPECT_EQ(backup_for(to(at(3))), "base_000000010000000000000002");
}

TEST_F(PlanRecovery, TheSegmentOfASwitchIsReadFromTheNewTimeline) {
  backup(1, 2);
  wal(1, 3, 4);
  history(2, "1\t0/5000100\tno recovery target specified\n");
  wal(2, 5, 6);
  EXPECT_EQ(backup_for(to(at(6))), "base_000000010000000000000002");
  EXPECT_THAT(log_.text(), HasSubstr("follows timeline 2"));
  EXPECT_EQ(backup_for(to(Kind::name)), "base_000000010000000000000002");
  lose(2, 5);
  wal(1, 5, 5);
  EXPECT_THAT(refused(to(at(6))).what(), HasSubstr(file(2, 5))) << "the old timeline's copy ends at the switch";
  lose(1, 4);
  EXPECT_THAT(refused(to(at(6))).what(), HasSubstr(file(1, 4)));
}

TEST_F(PlanRecovery, TheTimelineCanBeChosen) {
  const std::string first = backup(1, 2);
  wal(1, 3, 4);
  history(2, "1\t0/5000100\tno recovery target specified\n");
  wal(2, 5, 6);
  wal(1, 5, 7);
  const std::string old_primary = backup(1, 8);
  EXPECT_EQ(backup_for(to(at(8, 0x200), "current")), old_primary);
  EXPECT_EQ(backup_for(to(at(8, 0x200), "1")), old_primary);
  EXPECT_EQ(backup_for(to(at(6), "2")), first) << "the other is of a branch that timeline 2 does not have";
  EXPECT_EQ(backup_for(to(Kind::xid, "latest")), first);
  const Error error = refused(to(Kind::xid), old_primary);
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("timeline 2"), HasSubstr(old_primary)));
}

TEST_F(PlanRecovery, AMissingHistoryIsNamed) {
  backup(1, 2);
  wal(1, 3, 4);
  const Error error = refused(to(at(4), "3"));
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), HasSubstr("00000003.history"));
  backup(2, 5);
  const Error of_backup = refused(to(Kind::immediate));
  EXPECT_EQ(of_backup.code(), Errc::incomplete);
  EXPECT_THAT(of_backup.what(), HasSubstr("00000002.history"));
}

TEST_F(PlanRecovery, LatestFollowsHistoriesWithoutAHole) {
  backup(1, 2);
  wal(1, 3, 4);
  history(2, "1\t0/5000100\tx\n");
  wal(2, 5, 5);
  history(4, "1\t0/5000100\tx\n2\t0/6000000\tx\n3\t0/7000000\tx\n");
  EXPECT_EQ(backup_for(to(Kind::xid)), "base_000000010000000000000002");
  EXPECT_THAT(log_.text(), HasSubstr("follows timeline 2"));
  history(3, "1\t0/5000100\tx\n2\t0/6000000\tx\n");
  EXPECT_EQ(backup_for(to(Kind::xid)), "base_000000010000000000000002");
  EXPECT_THAT(log_.text(), HasSubstr("follows timeline 4"));
}

TEST_F(PlanRecovery, ATimelineThatWasLeftBeforeItBeganIsNotOnTheWay) {
  // Recovery along timeline 2 stopped before 2 began: 3 leaves timeline 1 in segment 4, not in segment 6.
  const std::string first = backup(1, 2);
  wal(1, 3, 3);
  wal(1, 4, 5);
  const std::string late = backup(1, 5, /*with_wal=*/false);
  history(2, "1\t0/6000100\tx\n");
  wal(2, 6, 6);
  history(3, "1\t0/6000100\tx\n2\t0/4000100\tx\n");
  wal(3, 4, 7);
  EXPECT_EQ(backup_for(to(at(7))), first) << "the later backup ends where timeline 3 never was";
  lose(3, 5);
  EXPECT_THAT(refused(to(at(7))).what(), HasSubstr(file(3, 5)));
  EXPECT_EQ(backup_for(to(at(6, 0x200), "2")), late);
}

TEST_F(PlanRecovery, ABrokenHistoryIsRefused) {
  backup(1, 2);
  history(2, "");
  EXPECT_EQ(refused(to(Kind::immediate)).code(), Errc::corrupt);
  history(2, "not a history\n");
  const Error error = refused(to(Kind::immediate));
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("00000002.history"));
}

TEST_F(PlanRecovery, SegmentsOfOneMiBAreUnderstoodFromTheBackupsName) {
  for (std::uint64_t number = 0x123; number <= 0x130; ++number) {
    store_plain(archive::wal_object(file(1, number, mib)) + ".lz4", "x");
  }
  const std::string name = archive::backup_name(file(1, 0x123, mib));
  EXPECT_EQ(name, "base_000000010000000000000123");
  put_backup(name, {0x123 * mib + 0x28}, {0x124 * mib + 0x100});
  EXPECT_EQ(backup_for(to(Lsn{0x130 * mib})), name);
  EXPECT_THAT(refused(to(Lsn{0x131 * mib})).what(), HasSubstr("000000010000000000000131"));
}

TEST_F(PlanRecovery, WhereEverySizeFitsTheSegmentItselfTells) {
  // The first segment after 4 GiB has the same name with every size.
  const std::string name = archive::backup_name("000000010000000100000000");
  put_backup(name, {(std::uint64_t{1} << 32) + 0x28}, {(std::uint64_t{1} << 32) + 0x138});
  const Error absent = refused(to(Kind::immediate));
  EXPECT_EQ(absent.code(), Errc::incomplete);
  EXPECT_THAT(absent.what(), HasSubstr("000000010000000100000000"));
  for (const std::uint64_t size : {16 * mib, 1 * mib, 64 * mib}) {
    const std::uint64_t first = (std::uint64_t{1} << 32) / size;
    store(archive::wal_object(file(1, first, size)), std::string(size, '\0'));
    store_plain(archive::wal_object(file(1, first + 1, size)) + ".lz4", "x");
    EXPECT_EQ(backup_for(to(Lsn{(first + 1) * size + 0x28})), name) << size;
    EXPECT_THAT(refused(to(Lsn{(first + 2) * size})).what(), HasSubstr(file(1, first + 2, size)));
  }
}

TEST_F(PlanRecovery, ANameThatContradictsItsLsnIsRefused) {
  wal(1, 2, 3);
  put_backup("base_000000010000000000000002", at(3), at(3, 0x138));
  const Error error = refused(to(Kind::immediate));
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("base_000000010000000000000002"), HasSubstr("0/3000028")));
}

}  // namespace
}  // namespace seawall::ops
