#include "schedule/cron.hh"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "base/error.hh"
#include "base/time_text.hh"
#include "schedule/zone.hh"

namespace seawall::schedule {
namespace {

struct CronTest : testing::Test {
  CronTest() {
    if (const char* before = std::getenv("TZ")) before_ = before;
    ::setenv("TZ", "UTC0", 1);
    ::tzset();
  }
  ~CronTest() override {
    before_ ? ::setenv("TZ", before_->c_str(), 1) : ::unsetenv("TZ");
    ::tzset();
  }

  static Time at(std::string_view text) { return parse_rfc3339(text).value(); }
  static std::string next(std::string_view schedule, std::string_view after) {
    const auto time = Schedule::parse(schedule).next(at(after));
    return time ? rfc3339_nano(*time) : "never";
  }
  static std::string error(std::string_view schedule) {
    try {
      Schedule::parse(schedule);
    } catch (const Error& failure) {
      EXPECT_EQ(failure.code(), Errc::config);
      return failure.what();
    }
    ADD_FAILURE() << schedule << " was accepted";
    return {};
  }

  std::optional<std::string> before_;
};

TEST_F(CronTest, FiveFieldsAreStandardCron) {
  EXPECT_EQ(next("0 1 * * *", "2026-11-21T00:30:00Z"), "2026-11-21T01:00:00Z");
  EXPECT_EQ(next("0 1 * * *", "2026-11-21T01:00:00Z"), "2026-11-22T01:00:00Z");
  EXPECT_EQ(next("*/15 * * * *", "2026-11-21T10:44:59.9Z"), "2026-11-21T10:45:00Z");
  EXPECT_EQ(next("5-59/20 8,20 * * *", "2026-11-21T08:25:00Z"), "2026-11-21T08:45:00Z");
  EXPECT_EQ(next("50/5 * * * *", "2026-11-21T08:56:00Z"), "2026-11-21T09:50:00Z");
  EXPECT_EQ(next("0 0 29 feb *", "2026-11-21T00:00:00Z"), "2028-02-29T00:00:00Z");
  EXPECT_EQ(next("0 0 31 4 *", "2026-11-21T00:00:00Z"), "never");
  EXPECT_EQ(next("0 0 1 JAN-dec/3 ?", "2026-11-21T00:00:00Z"), "2027-01-01T00:00:00Z");
  EXPECT_EQ(next("1,,3 * * * *", "2026-11-21T00:01:00Z"), "2026-11-21T00:03:00Z") << "an empty item is nothing";
}

TEST_F(CronTest, SixFieldsHaveTheSecondFirst) {
  EXPECT_EQ(next("30 0 1 * * *", "2026-11-21T00:00:00Z"), "2026-11-21T01:00:30Z");
  EXPECT_EQ(next("*/20 * * * * *", "2026-11-21T00:00:41Z"), "2026-11-21T00:01:00Z");
}

TEST_F(CronTest, DayOrWeekdayIfBothAreRestricted) {
  // 2026-11-21 is a Saturday.
  EXPECT_EQ(next("0 0 25 * mon", "2026-11-21T00:00:00Z"), "2026-11-23T00:00:00Z");
  EXPECT_EQ(next("0 0 25 * mon", "2026-11-23T00:00:00Z"), "2026-11-25T00:00:00Z");
  EXPECT_EQ(next("0 0 * * mon", "2026-11-23T00:00:00Z"), "2026-11-30T00:00:00Z");
  EXPECT_EQ(next("0 0 25 * *", "2026-11-21T00:00:00Z"), "2026-11-25T00:00:00Z");
  EXPECT_EQ(next("0 0 */1 * mon", "2026-11-21T00:00:00Z"), "2026-11-23T00:00:00Z") << "a step of one is a star";
  EXPECT_EQ(next("0 0 */2 * mon", "2026-11-22T00:00:00Z"), "2026-11-23T00:00:00Z") << "with a step it is a restriction";
}

TEST_F(CronTest, Words) {
  EXPECT_EQ(next("@daily", "2026-11-21T00:00:00Z"), "2026-11-22T00:00:00Z");
  EXPECT_EQ(next("@midnight", "2026-11-21T13:00:00Z"), "2026-11-22T00:00:00Z");
  EXPECT_EQ(next("@hourly", "2026-11-21T13:00:00Z"), "2026-11-21T14:00:00Z");
  EXPECT_EQ(next("@weekly", "2026-11-21T13:00:00Z"), "2026-11-22T00:00:00Z");
  EXPECT_EQ(next("@monthly", "2026-11-21T13:00:00Z"), "2026-12-01T00:00:00Z");
  EXPECT_EQ(next("@yearly", "2026-11-21T13:00:00Z"), "2027-01-01T00:00:00Z");
  EXPECT_EQ(next("@annually", "2026-11-21T13:00:00Z"), "2027-01-01T00:00:00Z");
  EXPECT_EQ(next("@every 1h30m", "2026-11-21T13:00:00.7Z"), "2026-11-21T14:30:00Z");
  EXPECT_EQ(next("@every 1.9s", "2026-11-21T13:00:00Z"), "2026-11-21T13:00:01Z");
  EXPECT_EQ(next("@every 5ms", "2026-11-21T13:00:00Z"), "2026-11-21T13:00:01Z") << "a second at least";
}

TEST_F(CronTest, ZonesAndTheirClockChanges) {
  ASSERT_TRUE(is_zone("Europe/Berlin")) << "the test needs the package tzdata";
  EXPECT_EQ(next("TZ=Europe/Berlin 0 3 * * *", "2026-11-21T00:00:00Z"), "2026-11-21T02:00:00Z");
  EXPECT_EQ(next("CRON_TZ=Asia/Tokyo 0 3 * * *", "2026-11-21T00:00:00Z"), "2026-11-21T18:00:00Z");
  // On 2026-03-29 there is no 02:30 in Berlin.
  EXPECT_EQ(next("TZ=Europe/Berlin 30 2 * * *", "2026-03-28T01:30:00Z"), "2026-03-30T00:30:00Z");
  EXPECT_EQ(next("TZ=Europe/Berlin 30 * * * *", "2026-03-29T00:30:00Z"), "2026-03-29T01:30:00Z");
  // On 2026-10-25 02:30 comes twice: once for a nightly job, twice for an hourly one.
  EXPECT_EQ(next("TZ=Europe/Berlin 30 2 * * *", "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
  EXPECT_EQ(next("TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
  EXPECT_EQ(next("TZ=Europe/Berlin 30 * * * *", "2026-10-25T00:30:00Z"), "2026-10-25T01:30:00Z");
  // A day of 25 hours and one of 23 are passed whole; in Cairo a day begins at 01:00.
  EXPECT_EQ(next("TZ=Europe/Berlin 0 0 * * mon", "2026-10-24T23:00:00Z"), "2026-10-25T23:00:00Z");
  EXPECT_EQ(next("TZ=Europe/Berlin 0 0 * * mon", "2026-03-28T23:00:00Z"), "2026-03-29T22:00:00Z");
  EXPECT_EQ(next("TZ=Africa/Cairo 0 1 24 4 *", "2026-04-01T00:00:00Z"), "2026-04-23T22:00:00Z");
  EXPECT_EQ(std::string(std::getenv("TZ")), "UTC0") << "the process has its own zone back";
}

TEST_F(CronTest, ErrorsPointAtTheField) {
  EXPECT_EQ(error("0 25 * * *"), "schedule '0 25 * * *': field 2 of 5 (hour), '25': 25 is not between 0 and 23");
  EXPECT_EQ(error("0 0 1 * * 7"),
            "schedule '0 0 1 * * 7': field 6 of 6 (day of the week), '7': 7 is not between 0 and 6; Sunday is 0");
  EXPECT_EQ(error("x * * * *"), "schedule 'x * * * *': field 1 of 5 (minute), 'x': 'x' is no minute");
  EXPECT_EQ(error("30-10 * * * *"),
            "schedule '30-10 * * * *': field 1 of 5 (minute), '30-10': the range 30-10 ends before it begins");
  EXPECT_EQ(error("*/0 * * * *"),
            "schedule '*/0 * * * *': field 1 of 5 (minute), '*/0': the step '0' is no number from 1 on");
  EXPECT_EQ(error("* * L * *"),
            "schedule '* * L * *': field 3 of 5 (day of the month), 'L': 'L' is no day of the month");
  EXPECT_EQ(error("* * * * ,"), "schedule '* * * * ,': field 5 of 5 (day of the week), ',': it names nothing");
  EXPECT_EQ(
      error("* * * *"),
      "schedule '* * * *': 4 fields; give 5 (minute hour day month weekday), 6 (with the second first), or a word "
      "such as @daily");
  EXPECT_EQ(error(" "), "schedule '': it is empty");
  EXPECT_EQ(error("@dayly"), "schedule '@dayly': '@dayly' is no schedule; did you mean @daily?");
  EXPECT_EQ(error("@every soon"), "schedule '@every soon': 'soon' is no duration such as 1h30m, 15m or 90s");
  EXPECT_EQ(error("@every -1h"), "schedule '@every -1h': '-1h' is no duration such as 1h30m, 15m or 90s");
  EXPECT_EQ(error("TZ=Europe/Nowhere 0 0 * * *"),
            "schedule 'TZ=Europe/Nowhere 0 0 * * *': 'Europe/Nowhere' is no time zone of this machine; is the package "
            "tzdata installed?");
  EXPECT_NE(error("TZ=../../etc/passwd 0 0 * * *").find("is no time zone"), std::string::npos);
}

TEST_F(CronTest, SaysHowItReads) {
  EXPECT_EQ(Schedule::parse("0 1 * * *").reading(), "standard cron of 5 fields, minute first");
  EXPECT_EQ(Schedule::parse("0 0 1 * * *").reading(), "6 fields, second first");
  EXPECT_EQ(Schedule::parse("@every 90m").reading(), "every 1h30m from the start of the scheduler");
}

}  // namespace
}  // namespace seawall::schedule
