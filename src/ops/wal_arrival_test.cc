#include "ops/wal_arrival.hh"

#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

class AwaitWal : public WalTest {
 protected:
  static constexpr std::uint64_t segment_bytes = 16 * mib;
  static WalSpan span(bool on_standby = false) {
    return {.timeline = 1,
            .from = {2 * segment_bytes + 0x28},
            .to = {4 * segment_bytes},
            .segment_bytes = segment_bytes,
            .on_standby = on_standby};
  }
  void await(const WalSpan& span, std::chrono::seconds limit = std::chrono::seconds(60)) {
    await_wal(
        repository_, span, limit, [this] { ++pauses_; }, run());
  }

  int pauses_ = 0;
};

TEST_F(AwaitWal, IsContentWithTheSegmentsThatHoldTheSpan) {
  store_plain("wal_005/000000010000000000000002.lz4", "x");
  store_plain("wal_005/000000010000000000000003", "x");
  const Time before = clock_.wall();
  await(span());
  EXPECT_EQ(clock_.wall(), before) << "and does not wait";
  EXPECT_EQ(pauses_, 0);
}

TEST_F(AwaitWal, NamesTheFirstMissingSegmentAndTheLimit) {
  store_plain("wal_005/000000010000000000000002.lz4", "x");
  const Time before = clock_.wall();
  const Error error = thrown_by([&] { await(span(), std::chrono::seconds(90)); });
  EXPECT_EQ(error.code(), Errc::timeout);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("000000010000000000000003"), HasSubstr("1m30s"),
                                  HasSubstr("pg_stat_archiver"), HasSubstr("not finalized")));
  EXPECT_GE(clock_.wall() - before, std::chrono::seconds(90));
  EXPECT_LT(clock_.wall() - before, std::chrono::seconds(92));
  EXPECT_GE(pauses_, 89) << "so that a lease can be renewed meanwhile";
  const std::string warning = "WARNING: waiting for WAL segment 000000010000000000000003";
  const std::string log = log_.text();
  ASSERT_THAT(log, HasSubstr(warning));
  EXPECT_EQ(log.find(warning), log.rfind(warning)) << "said once";
}

TEST_F(AwaitWal, OnAStandbyItSaysWhatToRunOnThePrimary) {
  const Error error = thrown_by([&] { await(span(/*on_standby=*/true)); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("000000010000000000000002"), HasSubstr("pg_switch_wal()")));
  EXPECT_THAT(log_.text(), HasSubstr("pg_switch_wal()"));
}

TEST_F(AwaitWal, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  const Error error = thrown_by([&] {
    await_wal(
        repository_, span(), std::chrono::hours(1), [] {}, run().with(stop.get_token()));
  });
  EXPECT_EQ(error.code(), Errc::cancelled);
}

}  // namespace
}  // namespace seawall::ops
