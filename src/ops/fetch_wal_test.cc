#include "ops/fetch_wal.hh"

#include <fcntl.h>
#include <sys/file.h>

#include <functional>

#include "storage/wrap/faulty.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

using testing::ElementsAre;
namespace fs = std::filesystem;

/// Does something whenever somebody sleeps, as another process would meanwhile.
class EventfulClock final : public Clock {
 public:
  explicit EventfulClock(ManualClock& clock) : clock_(clock) {}
  Time wall() override { return clock_.wall(); }
  std::chrono::steady_clock::time_point steady() override { return clock_.steady(); }
  bool sleep(std::chrono::nanoseconds duration, std::stop_token stop) override {
    ++sleeps;
    if (event) event();
    return clock_.sleep(duration, stop);
  }
  int sleeps = 0;
  std::function<void()> event;

 private:
  ManualClock& clock_;
};

class FetchWal : public WalTest {
 protected:
  std::optional<FetchedWal> fetch(const std::string& name) {
    return fetch_wal(opener(repository_), name, destination_, settings_, {events_, log_, progress_, {}});
  }
  static std::function<pipeline::Repository()> opener(const pipeline::Repository& repository) {
    return [&repository] { return repository; };
  }
  Error refused(const std::string& name) {
    return thrown_by([&] { fetch(name); });
  }
  void prefetch(const std::string& name) {
    prefetch_wal(repository_,
                 prefetch_after(name, mib, settings_.download_concurrency(), {finished_, running_}, destination_),
                 run());
  }
  bool due(std::string_view name) const {
    return prefetch_is_due({finished_, running_}, settings_.download_concurrency(), name, mib);
  }
  void set(config::SettingBase& setting, std::string_view text) {
    setting.parse(text, {config::Origin::Kind::flag, "test"});
  }
  /// Nothing but what the test put there is in pg_wal.
  void expect_untouched() { EXPECT_THAT(names_in(pg_wal_), ElementsAre("archive_status")); }
  static std::string name(std::uint64_t number) { return archive::Segment{1, number}.name(mib); }

  const fs::path destination_ = pg_wal_ / "RECOVERYXLOG";
  const fs::path finished_ = pg_wal_ / ".wal-g" / "prefetch";
  const fs::path running_ = finished_ / "running";
  EventfulClock events_{clock_};
  FetchWalSettings settings_;
};

TEST_F(FetchWal, BringsASegmentFromTheArchive) {
  const test::WalSegment segment{.number = 5};
  store_segment(segment);
  const auto fetched = fetch(name(5));
  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->segment_bytes, mib);
  EXPECT_FALSE(fetched->prefetched);
  EXPECT_EQ(text_of_file(destination_), segment.content());
  EXPECT_THAT(names_in(pg_wal_), ElementsAre("RECOVERYXLOG", "archive_status"));
}

TEST_F(FetchWal, FindsEveryCodec) {
  const test::WalSegment segment{.number = 5};
  store("wal_005/" + name(5), segment.content(), "none");
  ASSERT_TRUE(fetch(name(5)));
  EXPECT_EQ(text_of_file(destination_), segment.content());
}

TEST_F(FetchWal, WritesNothingForWhatIsMissing) {
  EXPECT_FALSE(fetch(name(5)));
  EXPECT_FALSE(fetch("00000002.history"));
  expect_untouched();
}

TEST_F(FetchWal, DoesNotOverwrite) {
  store_segment({.number = 5});
  write_file(destination_, "mine");
  const Error error = refused(name(5));
  EXPECT_EQ(error.code(), Errc::exists);
  EXPECT_THAT(error.what(), HasSubstr("RECOVERYXLOG"));
  EXPECT_EQ(text_of_file(destination_), "mine");
}

TEST_F(FetchWal, DoesNotOverwriteWhatAppearsMeanwhile) {
  store_segment({.number = 5});
  const Error error = thrown_by([&] {
    pipeline::Repository repository = repository_;
    repository.store = storage::with_faults(storage::make_memory_store(clock_), [&](const storage::Request& request) {
      if (request.operation == "read") write_file(destination_, "mine");
    });
    repository.store->put("wal_005/" + name(5), bytes_of(test::WalSegment{.number = 5}.content()), {}, {});
    fetch_wal(opener(repository), name(5), destination_, settings_, run());
  });
  EXPECT_EQ(error.code(), Errc::exists);
  EXPECT_EQ(text_of_file(destination_), "mine");
  EXPECT_THAT(names_in(pg_wal_), ElementsAre("RECOVERYXLOG", "archive_status"));
}

TEST_F(FetchWal, RefusesWhatIsNoName) {
  EXPECT_EQ(refused("00000001000000000000000").code(), Errc::usage);
  EXPECT_EQ(refused("../../etc/passwd").code(), Errc::usage);
  expect_untouched();
}

TEST_F(FetchWal, NeedsTheDestinationsDirectory) {
  store_segment({.number = 5});
  const Error error =
      thrown_by([&] { fetch_wal(opener(repository_), name(5), pg_wal_ / "nowhere" / "x", settings_, run()); });
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), HasSubstr("nowhere/x"));
}

TEST_F(FetchWal, BringsTheOtherKindsOfFiles) {
  const std::vector<std::pair<std::string, std::string>> files{
      {"00000002.history", "1\t0/3000000\tx\n"},
      {"000000010000000000000003.00000028.backup", "START WAL LOCATION: 0/3000028\n"},
      {"000000010000000000000005.partial", test::WalSegment{.number = 5}.content()}};
  for (const auto& [file, content] : files) {
    store("wal_005/" + file, content);
    ASSERT_TRUE(fetch(file)) << file;
    EXPECT_EQ(text_of_file(destination_), content);
    fs::remove(destination_);
  }
}

struct BadObject {
  std::string title, content, message;
  Errc code = Errc::corrupt;
};

void PrintTo(const BadObject& bad, std::ostream* out) { *out << bad.title; }

class FetchBadWal : public FetchWal, public testing::WithParamInterface<BadObject> {};

TEST_P(FetchBadWal, IsRefusedAndNothingIsLeft) {
  write_file(data_directory_ / "global" / "pg_control", test::control_file(cluster));
  store("wal_005/" + name(1), GetParam().content, "none");
  const Error error = refused(name(1));
  EXPECT_EQ(error.code(), GetParam().code);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(GetParam().message), HasSubstr("wal_005/" + name(1))));
  expect_untouched();
}

INSTANTIATE_TEST_SUITE_P(
    Objects, FetchBadWal,
    testing::Values(BadObject{"Empty", "", "is empty"},
                    BadObject{"Short", test::WalSegment{}.content().substr(0, 1000), "1000 bytes"},
                    BadObject{"HalfASegment", test::WalSegment{.segment_bytes = 2 << 20}.content().substr(0, 1 << 20),
                              "2097152"},
                    BadObject{"OtherSegment", test::WalSegment{.number = 2}.content(), "must start at 0/100000"},
                    BadObject{"Zeros", std::string(1 << 20, '\0'), "starts with zeros"},
                    BadObject{"Garbage", std::string(1 << 20, 'x'), "not a WAL segment"},
                    BadObject{"YoungerTimeline", test::WalSegment{.timeline = 2}.content(), "younger", Errc::foreign},
                    BadObject{"OtherCluster", test::WalSegment{.system_identifier = 42}.content(),
                              "system identifier 42", Errc::foreign}),
    [](const auto& test) { return test.param.title; });

TEST_F(FetchWal, RefusesACutObject) {
  store_segment({.number = 5});
  std::string cut = plain("wal_005/" + name(5) + ".lz4");
  store_plain("wal_005/" + name(5) + ".lz4", cut.substr(0, cut.size() / 2));
  const Error error = refused(name(5));
  EXPECT_EQ(error.code(), Errc::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("wal_005/" + name(5) + ".lz4"));
  expect_untouched();
}

TEST_F(FetchWal, RefusesAnEmptyHistory) {
  store_plain("wal_005/00000002.history", "");
  EXPECT_EQ(refused("00000002.history").code(), Errc::corrupt);
  expect_untouched();
}

TEST_F(FetchWal, AcceptsAnOlderTimelineUnlessTheHistoryContradicts) {
  const std::string promoted = "000000020000000000000003";
  store("wal_005/" + promoted, test::WalSegment{.timeline = 1, .number = 3}.content());
  ASSERT_TRUE(fetch(promoted));
  fs::remove(destination_);
  store("wal_005/00000002.history", "1\t0/380000\tx\n");
  ASSERT_TRUE(fetch(promoted));
  fs::remove(destination_);
  store("wal_005/00000002.history", "1\t0/200000\tx\n");
  EXPECT_EQ(refused(promoted).code(), Errc::foreign);
  expect_untouched();
}

TEST_F(FetchWal, LeavesNothingWhenTheStorageBreaksOff) {
  pipeline::Repository repository = repository_;
  repository.store = storage::with_faults(storage::make_memory_store(clock_), [&](const storage::Request& request) {
    if (request.operation == "read" && request.after) throw Error(Errc::network, "connection reset");
  });
  repository.store->put("wal_005/" + name(5), bytes_of(test::WalSegment{.number = 5}.content()), {}, {});
  const Error error = thrown_by([&] { fetch_wal(opener(repository), name(5), destination_, settings_, run()); });
  EXPECT_EQ(error.code(), Errc::network);
  expect_untouched();
}

TEST_F(FetchWal, LeavesNothingWhenItIsStopped) {
  store_segment({.number = 5});
  std::stop_source stop;
  stop.request_stop();
  const Error error = thrown_by(
      [&] { fetch_wal(opener(repository_), name(5), destination_, settings_, run().with(stop.get_token())); });
  EXPECT_EQ(error.code(), Errc::cancelled);
  expect_untouched();
}

TEST_F(FetchWal, TakesWhatWasFetchedAhead) {
  const std::string content = test::WalSegment{.number = 5}.content();
  write_file(finished_ / name(5), content);
  const auto fetched = fetch(name(5));  // which the archive does not have
  ASSERT_TRUE(fetched);
  EXPECT_TRUE(fetched->prefetched);
  EXPECT_EQ(fetched->segment_bytes, mib);
  EXPECT_EQ(text_of_file(destination_), content);
  EXPECT_THAT(names_in(finished_), IsEmpty());
}

TEST_F(FetchWal, DoesNotOpenTheArchiveForWhatWasFetchedAhead) {
  const std::string content = test::WalSegment{.number = 5}.content();
  write_file(finished_ / name(5), content);
  const auto away = []() -> pipeline::Repository { throw Error(Errc::network, "the storage is away"); };
  const auto fetched = fetch_wal(away, name(5), destination_, settings_, run());
  ASSERT_TRUE(fetched);
  EXPECT_TRUE(fetched->prefetched);
  EXPECT_EQ(text_of_file(destination_), content);
  fs::remove(destination_);
  EXPECT_EQ(thrown_by([&] { fetch_wal(away, name(5), destination_, settings_, run()); }).code(), Errc::network);
}

TEST_F(FetchWal, LooksIntoThePrefetchDirectorySetting) {
  set(settings_.prefetch_dir, (directory_ / "ahead").string());
  write_file(directory_ / "ahead" / ".wal-g" / "prefetch" / name(5), test::WalSegment{.number = 5}.content());
  EXPECT_TRUE(fetch(name(5)));
  EXPECT_EQ(text_of_file(destination_), test::WalSegment{.number = 5}.content());
}

TEST_F(FetchWal, CopiesFromAnotherFileSystem) {
  const fs::path other = fs::path("/dev/shm") / directory_.path().filename();
  set(settings_.prefetch_dir, other.string());
  write_file(other / ".wal-g" / "prefetch" / name(5), test::WalSegment{.number = 5}.content());
  const auto fetched = fetch(name(5));
  EXPECT_THAT(names_in(other / ".wal-g" / "prefetch"), IsEmpty());
  fs::remove_all(other);
  ASSERT_TRUE(fetched);
  EXPECT_EQ(text_of_file(destination_), test::WalSegment{.number = 5}.content());
  EXPECT_THAT(names_in(pg_wal_), ElementsAre("RECOVERYXLOG", "archive_status"));
}

TEST_F(FetchWal, DoesNotUseAheadWhatIsNotTheSegment) {
  write_file(data_directory_ / "global" / "pg_control", test::control_file(cluster));
  const std::string good = test::WalSegment{.number = 5}.content();
  store_segment({.number = 5});
  for (const std::string& bad : {good.substr(0, 500000), test::WalSegment{.number = 4}.content(), std::string(),
                                 test::WalSegment{.number = 5, .system_identifier = 42}.content()}) {
    write_file(finished_ / name(5), bad);
    const auto fetched = fetch(name(5));
    ASSERT_TRUE(fetched);
    EXPECT_FALSE(fetched->prefetched);
    EXPECT_EQ(text_of_file(destination_), good);
    EXPECT_THAT(names_in(finished_), IsEmpty());
    fs::remove(destination_);
  }
}

TEST_F(FetchWal, WaitsForADownloadThatGrows) {
  const std::string content = test::WalSegment{.number = 5}.content();
  write_file(running_ / name(5), "");
  events_.event = [&] {
    const std::size_t there = fs::file_size(running_ / name(5));
    if (there == content.size()) {
      fs::rename(running_ / name(5), finished_ / name(5));
      events_.event = nullptr;
    } else if (events_.sleeps % 50 == 0) {  // slow, but it goes on
      write_file(running_ / name(5), content.substr(0, there + content.size() / 4));
    }
  };
  const auto fetched = fetch(name(5));
  ASSERT_TRUE(fetched);
  EXPECT_TRUE(fetched->prefetched);
  EXPECT_EQ(text_of_file(destination_), content);
}

TEST_F(FetchWal, DownloadsItselfWhenADownloadStands) {
  store_segment({.number = 5});
  write_file(running_ / name(5), "beginning");
  const auto fetched = fetch(name(5));
  ASSERT_TRUE(fetched);
  EXPECT_FALSE(fetched->prefetched);
  EXPECT_EQ(events_.sleeps, 100);
  EXPECT_EQ(text_of_file(destination_), test::WalSegment{.number = 5}.content());
  EXPECT_THAT(names_in(running_), IsEmpty());
}

TEST_F(FetchWal, IsPatientWithALivingDownload) {
  store_segment({.number = 5});
  write_file(running_ / name(5), "beginning");
  const Fd writer = open_file(running_ / name(5), O_RDWR);
  ASSERT_EQ(::flock(writer.get(), LOCK_EX), 0);
  ASSERT_TRUE(fetch(name(5)));
  EXPECT_EQ(events_.sleeps, 15000);
}

TEST_F(FetchWal, DownloadsWhenTheOtherGivesUp) {
  store_segment({.number = 5});
  write_file(running_ / name(5), "beginning");
  events_.event = [&] { fs::remove(running_ / name(5)); };
  const auto fetched = fetch(name(5));
  ASSERT_TRUE(fetched);
  EXPECT_EQ(events_.sleeps, 1);
  EXPECT_EQ(text_of_file(destination_), test::WalSegment{.number = 5}.content());
}

TEST_F(FetchWal, PrefetchesWhatFollowsAndRemovesWhatCameBefore) {
  for (std::uint64_t number = 3; number <= 9; ++number) store_segment({.number = number});
  set(settings_.download_concurrency, "4");
  write_file(finished_ / name(2), "old");
  write_file(running_ / name(1), "old");
  write_file(finished_ / "readme", "not WAL");
  prefetch(name(4));
  EXPECT_THAT(names_in(finished_), ElementsAre(name(5), name(6), name(7), name(8), "readme", "running"));
  EXPECT_THAT(names_in(running_), IsEmpty());
  for (std::uint64_t number = 5; number <= 8; ++number) {
    EXPECT_EQ(text_of_file(finished_ / name(number)), (test::WalSegment{.number = number}.content()));
  }
}

TEST_F(FetchWal, PrefetchEndsQuietlyWithTheArchive) {
  store_segment({.number = 5});
  prefetch(name(4));
  EXPECT_THAT(names_in(finished_), ElementsAre(name(5), "running"));
  EXPECT_THAT(log_.text(), testing::Not(testing::AnyOf(HasSubstr("WARNING"), HasSubstr("ERROR"))));
}

TEST_F(FetchWal, PrefetchLeavesWhatIsThereOrUnderWay) {
  for (std::uint64_t number = 5; number <= 7; ++number) store_segment({.number = number});
  write_file(finished_ / name(5), "kept");
  write_file(running_ / name(6), "young");
  write_file(running_ / name(7), "old");
  for (const std::uint64_t number : {6U, 7U}) {
    const auto age = number == 6 ? std::chrono::seconds(10) : std::chrono::seconds(100);
    fs::last_write_time(running_ / name(number),
                        fs::file_time_type(std::chrono::file_clock::from_sys(clock_.wall() - age)));
  }
  prefetch(name(4));
  EXPECT_EQ(text_of_file(finished_ / name(5)), "kept");
  EXPECT_EQ(text_of_file(running_ / name(6)), "young");
  EXPECT_EQ(text_of_file(finished_ / name(7)), test::WalSegment{.number = 7}.content());
  EXPECT_THAT(names_in(finished_), ElementsAre(name(5), name(7), "running"));
}

TEST_F(FetchWal, PrefetchKeepsNothingThatIsDamaged) {
  store_plain("wal_005/" + name(5) + ".lz4", "damaged");
  store_segment({.number = 6});
  set(settings_.download_concurrency, "2");
  prefetch(name(4));
  EXPECT_THAT(names_in(finished_), ElementsAre(name(6), "running"));
  EXPECT_THAT(names_in(running_), IsEmpty());
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("WARNING"), HasSubstr(name(5))));
}

TEST_F(FetchWal, PrefetchTakesSegmentsOnly) {
  EXPECT_EQ(thrown_by([&] { prefetch("00000002.history"); }).code(), Errc::usage);
}

TEST_F(FetchWal, PrefetchIsDueWhenMostIsMissing) {
  set(settings_.download_concurrency, "4");
  EXPECT_TRUE(due(name(1)));
  write_file(finished_ / name(2), "");
  EXPECT_TRUE(due(name(1)));
  write_file(finished_ / name(4), "");
  EXPECT_FALSE(due(name(1)));
  EXPECT_TRUE(due(name(2)));
  write_file(running_ / name(5), "left by a process that died");
  EXPECT_TRUE(due(name(2)));
  const Fd writer = open_file(running_ / name(5), O_RDWR);
  ASSERT_EQ(::flock(writer.get(), LOCK_EX), 0);
  EXPECT_FALSE(due(name(2)));
  EXPECT_FALSE(due("00000002.history"));
  EXPECT_FALSE(prefetch_is_due({finished_, running_}, 0, name(7), mib));
}

TEST_F(FetchWal, ReplacesADestinationOnlyWithWhatIsWhole) {
  const FetchStyle style{.tool = ".wal-e", .replace = true};
  write_file(destination_, "what was there");
  const auto again = [&](const std::string& name) {
    return fetch_wal(opener(repository_), name, destination_, settings_, run(), style);
  };
  EXPECT_FALSE(again(name(5)));
  EXPECT_EQ(text_of_file(destination_), "what was there");
  store("wal_005/" + name(5), "no segment");
  EXPECT_EQ(thrown_by([&] { again(name(5)); }).code(), Errc::corrupt);
  EXPECT_EQ(text_of_file(destination_), "what was there");
  const test::WalSegment segment{.number = 6};
  store_segment(segment);
  ASSERT_TRUE(again(name(6)));
  EXPECT_EQ(text_of_file(destination_), segment.content());
}

TEST_F(FetchWal, FailureStopsRecoveryButNotAStandby) {
  EXPECT_EQ(fetch_failure_status(settings_, data_directory_), 126);
  write_file(data_directory_ / "recovery.signal", "");
  EXPECT_EQ(fetch_failure_status(settings_, data_directory_), 126);
  write_file(data_directory_ / "standby.signal", "");
  EXPECT_EQ(fetch_failure_status(settings_, data_directory_), 1);
  set(settings_.failure_status, "130");
  EXPECT_EQ(fetch_failure_status(settings_, data_directory_), 130);
}

TEST_F(FetchWal, KnowsStandbysOfOldServers) {
  const std::vector<std::pair<std::string, int>> files{{"standby_mode = on\n", 1},
                                                       {"restore_command = 'x'\nStandby_Mode 'true' # yes\n", 1},
                                                       {"standby_mode='y'", 1},
                                                       {"standby_mode = 1", 1},
                                                       {"standby_mode = off\n", 126},
                                                       {"#standby_mode = on\n", 126},
                                                       {"standby_mode = on\nstandby_mode = off\n", 126},
                                                       {"standby_mode = ''\n", 126},
                                                       {"restore_command = 'x'\n", 126},
                                                       {"", 126}};
  for (const auto& [content, status] : files) {
    write_file(data_directory_ / "recovery.conf", content);
    EXPECT_EQ(fetch_failure_status(settings_, data_directory_), status) << content;
  }
}

}  // namespace
}  // namespace seawall::ops
