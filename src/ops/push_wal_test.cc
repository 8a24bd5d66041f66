#include "ops/push_wal.hh"

#include <atomic>
#include <thread>

#include "storage/wrap/faulty.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

using testing::ElementsAre;

TEST_F(PushWal, StoresASegmentCompressedUnderItsName) {
  const test::WalSegment segment{.number = 0x15};
  const std::string name = put_segment(segment);
  EXPECT_EQ(push(name), PushOutcome::stored);
  EXPECT_THAT(stored_wal(), ElementsAre("000000010000000000000015.lz4"));
  EXPECT_EQ(decoded(name), segment.content());
  EXPECT_EQ(text_of_file(pg_wal_ / name), segment.content());
  EXPECT_EQ(plain("seawall_005/identity.json"), "{\"version\":1,\"system_identifier\":7710409946933241964}\n");
}

TEST_F(PushWal, KeepsWithinItsPrefix) {
  repository_.prefix = "clusters/a/";
  const std::string name = put_segment();
  push(name);
  EXPECT_NE(repository_.store->stat("clusters/a/wal_005/000000010000000000000001.lz4", {}), std::nullopt);
  EXPECT_NE(repository_.store->stat("clusters/a/seawall_005/identity.json", {}), std::nullopt);
}

TEST_F(PushWal, TakesLargeSegmentsWithThePool) {
  const test::WalSegment segment{.number = 3, .segment_bytes = 16 << 20};
  const std::string name = put_segment(segment);
  EXPECT_EQ(push(name), PushOutcome::stored);
  EXPECT_EQ(decoded(name), segment.content());
}

TEST_F(PushWal, AcceptsAnEqualObjectUnderAnyCodecAndDoesNotTouchIt) {
  const test::WalSegment segment{.only_first_page = true};
  const std::string name = put_segment(segment);
  for (const std::string_view codec : {"lz4", "none"}) {
    store(archive::wal_object(name), segment.content(), codec);
    const std::vector<std::string> before = stored_wal();
    EXPECT_EQ(push(name), PushOutcome::already_there) << codec;
    EXPECT_EQ(stored_wal(), before);
    repository_.store->remove(std::vector<std::string>{"wal_005/" + before.at(0)}, {});
  }
}

TEST_F(PushWal, MakesDurableWhatStandsThereBeforeItAcknowledges) {
  const test::WalSegment segment{.only_first_page = true};
  const std::string name = put_segment(segment);
  std::vector<std::string> settled;
  repository_.store = storage::with_faults(storage::make_memory_store(clock_), [&](const storage::Request& request) {
    if (request.operation == "settle" && request.after) settled.emplace_back(request.key);
  });
  store(archive::wal_object(name), segment.content());
  EXPECT_EQ(push(name), PushOutcome::already_there);
  EXPECT_THAT(settled, ElementsAre("wal_005/" + name + ".lz4"));
}

TEST_F(PushWal, RefusesOtherContentUnderTheSameNameWithBothDigests) {
  const test::WalSegment mine{.seed = 1};
  const test::WalSegment theirs{.seed = 2};
  const std::string name = put_segment(mine);
  for (const std::string_view codec : {"lz4", "none"}) {
    store(archive::wal_object(name), theirs.content(), codec);
    const Error error = refused(name);
    EXPECT_EQ(error.code(), Errc::differs);
    EXPECT_THAT(error.what(), AllOf(HasSubstr(digest_of(bytes_of(mine.content())).hex()),
                                    HasSubstr(digest_of(bytes_of(theirs.content())).hex()),
                                    HasSubstr("wal_005/" + stored_wal().at(0)), HasSubstr((pg_wal_ / name).string())));
    EXPECT_EQ(decoded(name), theirs.content());
    EXPECT_EQ(stored_wal().size(), 1U);
    repository_.store->remove(std::vector<std::string>{"wal_005/" + stored_wal().at(0)}, {});
  }
}

TEST_F(PushWal, ComparesWhenAnotherPushWasFaster) {
  const std::string name = put_segment({.seed = 1});
  const std::string theirs = test::WalSegment{.seed = 2}.content();
  std::string object;  // what the other push stores between this one's look and its put
  repository_.store = storage::with_faults(storage::make_memory_store(clock_), [&](const storage::Request& request) {
    if (request.operation == "put" && !request.after && request.key.starts_with("wal_005/") && object.empty()) {
      object = request.key;
      store("wal_005/" + name, theirs);
    }
  });
  const Error error = refused(name);
  EXPECT_EQ(error.code(), Errc::differs);
  EXPECT_EQ(object, "wal_005/" + name + ".lz4");
  EXPECT_EQ(decoded(name), theirs);
}

TEST_F(PushWal, DoesNotReplaceADamagedObject) {
  const std::string name = put_segment();
  store_plain("wal_005/" + name + ".lz4", "no lz4 frame");
  const Error error = refused(name);
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("in the archive already"), HasSubstr("wal_005/" + name + ".lz4")));
  EXPECT_EQ(plain("wal_005/" + name + ".lz4"), "no lz4 frame");
}

struct BadSegment {
  std::string title, name, content, message;
  Errc code;
};

void PrintTo(const BadSegment& bad, std::ostream* out) { *out << bad.title; }

std::string torn_segment() {
  std::string content = test::WalSegment{}.content();
  content.replace(40 * 8192, 8192, test::WalSegment{.number = 9}.content().substr(40 * 8192, 8192));
  return content;
}

std::vector<BadSegment> bad_segments() {
  const std::string name = "000000010000000000000001";
  const std::string good = test::WalSegment{}.content();
  return {
      {"Empty", name, "", "is empty", Errc::corrupt},
      {"Short", name, good.substr(0, 700000), "700000 bytes", Errc::corrupt},
      {"Long", name, good + "x", "1048577 bytes", Errc::corrupt},
      {"HalfOfItsSize", name, test::WalSegment{.segment_bytes = 2 << 20}.content().substr(0, 1 << 20),
       "its header says that segments of its cluster have 2097152", Errc::corrupt},
      {"TwiceItsSize", name, good + good, "its header says that segments of its cluster have 1048576", Errc::corrupt},
      {"Zeros", name, std::string(1 << 20, '\0'), "starts with zeros", Errc::corrupt},
      {"Garbage", name, std::string(1 << 20, 'x'), "not a WAL segment", Errc::corrupt},
      {"OtherPosition", "000000010000000000000002", good, "must start at 0/200000", Errc::corrupt},
      {"YoungerTimeline", name, test::WalSegment{.timeline = 2}.content(), "younger than timeline 1", Errc::foreign},
      {"Torn", name, torn_segment(), "is torn: at byte 327680", Errc::corrupt},
      {"BeforePostgres10", name, test::WalSegment{.magic = 0xD093}.content(), "older than PostgreSQL 10",
       Errc::unsupported},
      {"NameOfNoSegment", "000000010000000000001000", test::WalSegment{.number = 0x1000}.content(),
       "a name that does not exist", Errc::corrupt},
      {"PartialOfOtherPosition", "000000010000000000000002.partial", good, "must start at 0/200000", Errc::corrupt},
      {"NoName", "0000000100000000000001", good, "is no name of a WAL file", Errc::usage},
      {"TemporaryName", "xlogtemp.123", good, "is no name of a WAL file", Errc::usage},
      {"HistoryWithoutLines", "00000002.history", "# nothing\n", "names no ancestor", Errc::corrupt},
      {"EmptyHistory", "00000002.history", "", "0 bytes", Errc::corrupt},
      {"HistoryOfItself", "00000002.history", "2\t0/3000000\tx\n", "as an ancestor of timeline 2", Errc::corrupt},
      {"HistoryThatIsNone", "00000002.history", "<html>\n", "line 1", Errc::corrupt},
      {"LabelThatIsNone", "000000010000000000000001.00000028.backup", "LABEL: x\n", "START WAL LOCATION",
       Errc::corrupt},
  };
}

class PushBadWal : public PushWal, public testing::WithParamInterface<BadSegment> {};

TEST_P(PushBadWal, IsRefusedAndNothingIsStored) {
  put_named(GetParam().name, GetParam().content);
  const Error error = refused(GetParam().name);
  EXPECT_EQ(error.code(), GetParam().code);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(GetParam().message), HasSubstr(GetParam().name)));
  EXPECT_THAT(stored_wal(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Files, PushBadWal, testing::ValuesIn(bad_segments()),
                         [](const auto& test) { return test.param.title; });

TEST_F(PushWal, SaysWhichFileIsMissing) {
  const Error error = refused("000000010000000000000007");
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), HasSubstr("000000010000000000000007"));
  std::filesystem::create_directory(pg_wal_ / "000000010000000000000008");
  EXPECT_THAT(refused("000000010000000000000008").what(), HasSubstr("is no regular file"));
}

TEST_F(PushWal, WarnsOfWalNewerThanItself) {
  const std::string name = put_segment({.magic = 0xD11F});
  EXPECT_EQ(push(name), PushOutcome::stored);
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("WARNING"), HasSubstr("0xD11F")));
}

TEST_F(PushWal, AcceptsAPageThatIsZero) {
  std::string content = test::WalSegment{}.content();
  content.replace(40 * 8192, 8192, std::string(8192, '\0'));
  const std::string name = put_named("000000010000000000000001", content);
  EXPECT_EQ(push(name), PushOutcome::stored);
  EXPECT_EQ(decoded(name), content);
}

/// The first segment after a promotion: named for timeline 2, with a header of timeline 1.
class PushAfterPromotion : public PushWal {
 protected:
  PushAfterPromotion() { put_named(name_, test::WalSegment{.timeline = 1, .number = 3}.content()); }
  const std::string name_ = "000000020000000000000003";
};

TEST_F(PushAfterPromotion, IsArchivedWithTheHistoryBesideIt) {
  put_named("00000002.history", "1\t0/380000\tno recovery target specified\n");
  EXPECT_EQ(push(name_), PushOutcome::stored);
  EXPECT_THAT(stored_wal(), ElementsAre(name_ + ".lz4"));
}

TEST_F(PushAfterPromotion, IsArchivedWithTheHistoryFromTheArchive) {
  store("wal_005/00000002.history", "1\t0/380000\tno recovery target specified\n");
  EXPECT_EQ(push(name_), PushOutcome::stored);
}

TEST_F(PushAfterPromotion, IsRefusedWithoutHistory) {
  const Error error = refused(name_);
  EXPECT_EQ(error.code(), Errc::foreign);
  EXPECT_THAT(error.what(), HasSubstr("'00000002.history'"));
  EXPECT_THAT(stored_wal(), IsEmpty());
}

TEST_F(PushAfterPromotion, IsRefusedIfItsTimelineIsNoAncestorThere) {
  put_named("00000002.history", "1\t0/300000\tended before\n");
  EXPECT_THAT(refused(name_).what(), HasSubstr("that timeline ended at 0/300000"));
  put_named("00000003.history", "2\t0/380000\tx\n");
  std::filesystem::rename(pg_wal_ / name_, pg_wal_ / "000000030000000000000003");
  const Error error = refused("000000030000000000000003");
  EXPECT_EQ(error.code(), Errc::foreign);
  EXPECT_THAT(error.what(), HasSubstr("no ancestor of timeline 3"));
  EXPECT_THAT(stored_wal(), IsEmpty());
}

TEST_F(PushWal, RefusesASegmentOfAnotherClusterThanTheDataDirectorys) {
  const std::string name = put_segment();
  write_file(data_directory_ / "global" / "pg_control", test::control_file(other_cluster));
  const Error error = refused(name);
  EXPECT_EQ(error.code(), Errc::foreign);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("7710409946933241964"), HasSubstr("belongs to 42")));
  EXPECT_THAT(stored_wal(), IsEmpty());

  write_file(data_directory_ / "global" / "pg_control", test::control_file(cluster));
  EXPECT_EQ(push(name), PushOutcome::stored);
}

TEST_F(PushWal, TakesPgdataBeforeTheDirectoryAroundTheFile) {
  const std::string name = put_segment();
  write_file(data_directory_ / "global" / "pg_control", test::control_file(cluster));
  write_file(directory_ / "other" / "global" / "pg_control", test::control_file(other_cluster));
  set(postgres_.pgdata, (directory_ / "other").string());
  EXPECT_EQ(refused(name).code(), Errc::foreign);
}

TEST_F(PushWal, RefusesADamagedControlFile) {
  const std::string name = put_segment();
  std::string control = test::control_file(cluster);
  control[100] = 'x';
  write_file(data_directory_ / "global" / "pg_control", control);
  EXPECT_EQ(refused(name).code(), Errc::corrupt);
  EXPECT_THAT(stored_wal(), IsEmpty());
}

TEST_F(PushWal, RefusesASecondClusterInTheSamePrefix) {
  const std::string name = put_segment({.number = 1});
  push(name);
  const std::string intruder = put_segment({.number = 2, .system_identifier = other_cluster});
  const Error error = refused(intruder);
  EXPECT_EQ(error.code(), Errc::foreign);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("7710409946933241964"), HasSubstr("42"), HasSubstr("WALG_STORAGE_PREFIX")));
  EXPECT_THAT(stored_wal(), ElementsAre(name + ".lz4"));
  EXPECT_EQ(plain("seawall_005/identity.json"), "{\"version\":1,\"system_identifier\":7710409946933241964}\n");
}

TEST_F(PushWal, LearnsTheClusterFromTheNewestSentinel) {
  store_plain("basebackups_005/base_000000010000000000000002_backup_stop_sentinel.json",
              R"({"LSN":1,"SystemIdentifier":7710409946933241964,"Version":2})");
  clock_.advance(std::chrono::seconds(1));
  store_plain("basebackups_005/base_000000010000000000000004_backup_stop_sentinel.json", "damaged");
  const std::string intruder = put_segment({.number = 9, .system_identifier = other_cluster});
  EXPECT_EQ(refused(intruder).code(), Errc::foreign);
  EXPECT_EQ(plain("seawall_005/identity.json"), "<absent>");
  EXPECT_EQ(push(put_segment({.number = 8})), PushOutcome::stored);
  EXPECT_EQ(plain("seawall_005/identity.json"), "{\"version\":1,\"system_identifier\":7710409946933241964}\n");
}

TEST_F(PushWal, LearnsTheClusterFromStoredWal) {
  store_plain("wal_005/000000010000000000000001_delta.lz4", "x");
  store_plain("wal_005/000000010000000000000001.lz4", "damaged");
  store_segment({.number = 2});
  EXPECT_EQ(refused(put_segment({.number = 3, .system_identifier = other_cluster})).code(), Errc::foreign);
  EXPECT_EQ(push(put_segment({.number = 3})), PushOutcome::stored);
}

TEST_F(PushWal, ClaimsAnArchiveOnlyIfNobodyElseDoesAtTheSameMoment) {
  bool claimed = false;
  repository_.store = storage::with_faults(storage::make_memory_store(clock_), [&](const storage::Request& request) {
    if (request.operation == "put" && !request.after && request.key == "seawall_005/identity.json" && !claimed) {
      claimed = true;
      store_plain("seawall_005/identity.json", "{\"version\":1,\"system_identifier\":42}\n");
    }
  });
  EXPECT_EQ(refused(put_segment()).code(), Errc::foreign);
  EXPECT_TRUE(claimed);
  EXPECT_THAT(stored_wal(), IsEmpty());
}

TEST_F(PushWal, AsksForTheArchivesClusterOnceAnHour) {
  write_file(data_directory_ / "global" / "pg_control", test::control_file(cluster));
  int asked = 0;
  repository_.store = storage::with_faults(storage::make_memory_store(clock_), [&](const storage::Request& request) {
    asked += !request.after && request.operation == "open" && request.key == "seawall_005/identity.json";
  });
  push(put_segment({.number = 1}));
  EXPECT_EQ(asked, 1);
  push(put_segment({.number = 2}));
  EXPECT_EQ(asked, 1);
  clock_.advance(std::chrono::minutes(61));
  push(put_segment({.number = 3}));
  EXPECT_EQ(asked, 2);
  std::filesystem::remove(pg_wal_ / "walg_data" / "seawall_archive_identity.json");
  push(put_segment({.number = 4}));
  EXPECT_EQ(asked, 3);
  // What was kept of one archive says nothing about another one.
  repository_.prefix = "elsewhere/";
  store_plain("seawall_005/identity.json", "{\"version\":1,\"system_identifier\":42}\n");
  EXPECT_EQ(refused(put_segment({.number = 5})).code(), Errc::foreign);
}

TEST_F(PushWal, RefusesAnUnreadableIdentity) {
  store_plain("seawall_005/identity.json", "{}");
  const Error error = refused(put_segment());
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("seawall_005/identity.json"));
  EXPECT_THAT(stored_wal(), IsEmpty());
}

TEST_F(PushWal, StoresTheOtherKindsOfFiles) {
  const std::string history = "1\t0/3000000\tno recovery target specified\n\n";
  const std::string label = "START WAL LOCATION: 0/3000028 (file 000000010000000000000003)\n";
  std::string partial = test::WalSegment{.number = 4}.content();
  partial.replace(60 * 8192, 8192, test::WalSegment{.number = 2}.content().substr(0, 8192));  // recycled
  put_named("00000002.history", history);
  put_named("000000010000000000000003.00000028.backup", label);
  put_named("000000010000000000000004.partial", partial);
  for (const char* name :
       {"00000002.history", "000000010000000000000003.00000028.backup", "000000010000000000000004.partial"}) {
    EXPECT_EQ(push(name), PushOutcome::stored) << name;
    EXPECT_EQ(push(name), PushOutcome::already_there) << name;
    EXPECT_EQ(decoded(name), text_of_file(pg_wal_ / name));
  }
  put_named("00000002.history", "1\t0/4000000\tanother\n");
  EXPECT_EQ(refused("00000002.history").code(), Errc::differs);
  EXPECT_EQ(decoded("00000002.history"), history);
}

TEST_F(PushWal, RefusesAHistoryFileOfAnotherCluster) {
  store_plain("seawall_005/identity.json", "{\"version\":1,\"system_identifier\":42}\n");
  write_file(data_directory_ / "global" / "pg_control", test::control_file(cluster));
  put_named("00000002.history", "1\t0/3000000\tx\n");
  EXPECT_EQ(refused("00000002.history").code(), Errc::foreign);
  EXPECT_THAT(stored_wal(), IsEmpty());
}

TEST_F(PushWal, FailsWhenTheStorageIsFull) {
  const std::string name = put_segment();
  bool full = true;
  repository_.store = storage::with_faults(storage::make_memory_store(clock_), [&](const storage::Request& request) {
    if (full && request.operation == "put" && !request.after) throw Error(Errc::no_space, "the storage is full");
  });
  EXPECT_EQ(refused(name).code(), Errc::no_space);
  EXPECT_THAT(stored_wal(), IsEmpty());
  full = false;
  EXPECT_EQ(push(name), PushOutcome::stored);
}

TEST_F(PushWal, StoresNothingOnceItWasStopped) {
  const std::string name = put_segment();
  std::stop_source stop;
  stop.request_stop();
  const seawall::Run stopped = run().with(stop.get_token());
  EXPECT_EQ(thrown_by([&] { push_wal(repository_, pg_wal_ / name, settings_, postgres_, stopped); }).code(),
            Errc::cancelled);
  EXPECT_THAT(stored_wal(), IsEmpty());
}

TEST_F(PushWal, NeedsNoStateFolder) {
  const test::WalSegment segment{.number = 5};
  write_file(directory_ / "elsewhere" / name_of(segment), segment.content());
  EXPECT_EQ(push_path(directory_ / "elsewhere" / name_of(segment)), PushOutcome::stored);
  EXPECT_THAT(names_in(directory_ / "elsewhere"), ElementsAre(name_of(segment)));
}

TEST_F(PushWal, StoresMetadataOfEachFile) {
  set(settings_.upload_wal_metadata, "INDIVIDUAL");
  const std::string name = put_segment();
  std::filesystem::last_write_time(pg_wal_ / name, std::filesystem::file_time_type(std::chrono::file_clock::from_sys(
                                                       Time(std::chrono::milliseconds(1795218934500)))));
  push(name);
  EXPECT_EQ(plain("wal_005/" + name + ".json"),
            "{\"" + name + "\":{\"created_time\":\"2026-11-20T23:55:34.5Z\",\"date_fmt\":\"%Y-%m-%dT%H:%M:%S.%fZ\"}}");
}

TEST_F(PushWal, StoresMetadataOfSixteenSegmentsAtOnce) {
  set(settings_.upload_wal_metadata, "BULK");
  for (const std::uint64_t number : {0x1EU, 0x1FU}) push(put_segment({.number = number}));
  const std::string bulk = plain("wal_005/00000001000000000000001.json");
  EXPECT_THAT(bulk, testing::MatchesRegex("\\{\"00000001000000000000001E\":\\{.*\\},"
                                          "\"00000001000000000000001F\":\\{.*\\}\\}"));
  EXPECT_THAT(receipts(), IsEmpty());
  push(put_segment({.number = 0x20}));
  EXPECT_THAT(receipts(), ElementsAre("000000010000000000000020.json"));
  EXPECT_EQ(plain("wal_005/00000001000000000000002.json"), "<absent>");
}

TEST_F(PushWal, RefusesAnUnknownMetadataLevelBeforeAnythingIsStored) {
  set(settings_.upload_wal_metadata, "SOME");
  EXPECT_THAT(refused(put_segment()).what(), AllOf(HasSubstr("SOME"), HasSubstr("INDIVIDUAL")));
  EXPECT_THAT(stored_wal(), IsEmpty());
}

TEST_F(PushWal, IsReentrant) {
  constexpr std::uint64_t segments = 500;
  pipeline::Repository second = repository_;
  second.store = storage::make_memory_store(clock_);
  second.codec = codec::find_codec("none");
  for (std::uint64_t number = 0; number < segments; ++number) {
    // Two clusters with the same names; the files are sparse.
    for (const std::uint64_t system : {cluster, other_cluster}) {
      const test::WalSegment segment{.number = number, .system_identifier = system, .only_first_page = true};
      const auto path = directory_ / std::to_string(system) / "pg_wal" / name_of(segment);
      write_file(path, segment.content().substr(0, 8192));
      std::filesystem::resize_file(path, mib);
    }
  }
  std::atomic<std::uint64_t> next{0};
  std::atomic<int> stored{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (std::uint64_t n = next++; n < 2 * segments; n = next++) {
          const bool is_second = n % 2 == 1;
          const auto path = directory_ / std::to_string(is_second ? other_cluster : cluster) / "pg_wal" /
                            archive::Segment{1, n / 2}.name(mib);
          stored +=
              push_wal(is_second ? second : repository_, path, settings_, postgres_, run()) == PushOutcome::stored;
        }
      });
    }
  }
  EXPECT_EQ(stored, 2 * segments);
  EXPECT_EQ(stored_wal().size(), segments);
  EXPECT_EQ(plain("seawall_005/identity.json"), "{\"version\":1,\"system_identifier\":7710409946933241964}\n");
  EXPECT_EQ(decoded("0000000100000000000001F3"),
            (test::WalSegment{.number = 0x1F3, .only_first_page = true}.content()));
  std::swap(repository_, second);
  EXPECT_EQ(stored_wal().size(), segments);
  EXPECT_EQ(plain("seawall_005/identity.json"), "{\"version\":1,\"system_identifier\":42}\n");
}

}  // namespace
}  // namespace seawall::ops
