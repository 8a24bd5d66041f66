#include "base/time_text.hh"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <limits>

namespace seawall {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

Time at(std::int64_t seconds, std::int64_t nanosecond = 0) {
  return Time(nanoseconds(seconds * 1'000'000'000 + nanosecond));
}

/// 2026-11-20T23:55:33Z
constexpr std::int64_t autumn = 1795218933;

/// Another local zone while it lives. The rule is spelled out, so no zone database is needed.
class Zone {
 public:
  explicit Zone(const char* rule) {
    if (const char* old = std::getenv("TZ")) old_ = old;
    set(rule);
  }
  ~Zone() { set(old_ ? old_->c_str() : nullptr); }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;

 private:
  static void set(const char* rule) {
    if (rule != nullptr) {
      setenv("TZ", rule, 1);
    } else {
      unsetenv("TZ");
    }
    tzset();
  }
  std::optional<std::string> old_;
};

TEST(TimeText, Utc) {
  const Time t = at(autumn, 781417884);
  EXPECT_EQ(rfc3339_nano(t), "2026-11-20T23:55:33.781417884Z");
  EXPECT_EQ(rfc3339(t), "2026-11-20T23:55:33Z");
  EXPECT_EQ(compact_utc(t), "20261120T235533Z");
}

TEST(TimeText, DropsTrailingZerosOfTheFraction) {
  EXPECT_EQ(rfc3339_nano(at(autumn)), "2026-11-20T23:55:33Z");
  EXPECT_EQ(rfc3339_nano(at(autumn, 500'000'000)), "2026-11-20T23:55:33.5Z");
  EXPECT_EQ(rfc3339_nano(at(autumn, 1'000)), "2026-11-20T23:55:33.000001Z");
}

TEST(TimeText, BeforeTheEpoch) {
  EXPECT_EQ(rfc3339_nano(at(-1, 250'000'000)), "1969-12-31T23:59:59.25Z");
  EXPECT_EQ(rfc3339(Time::min()), "1677-09-21T00:12:43Z");
}

TEST(TimeText, LocalOffsetIsThatOfTheInstant) {
  const Zone berlin("CET-1CEST,M3.5.0,M10.5.0/3");
  EXPECT_EQ(rfc3339_nano_local(at(autumn, 5)), "2026-11-21T00:55:33.000000005+01:00");
  EXPECT_EQ(rfc3339_local(at(autumn)), "2026-11-21T00:55:33+01:00");
  EXPECT_EQ(rfc3339_local(at(1782864000)), "2026-07-01T02:00:00+02:00");
  EXPECT_EQ(rfc850_local(at(autumn)), "Saturday, 21-Nov-26 00:55:33 CET");
  EXPECT_EQ(rfc850_local(at(1782864000)), "Wednesday, 01-Jul-26 02:00:00 CEST");
  EXPECT_EQ(log_time(at(autumn, 574101999)), "2026/11/21 00:55:33.574101");
}

TEST(TimeText, WestOfGreenwichWithHalfAnHour) {
  const Zone newfoundland("NST3:30");
  EXPECT_EQ(rfc3339_local(at(autumn)), "2026-11-20T20:25:33-03:30");
}

TEST(TimeText, LocalUtcIsZ) {
  const Zone utc("UTC0");
  EXPECT_EQ(rfc3339_nano_local(at(autumn)), "2026-11-20T23:55:33Z");
  EXPECT_EQ(rfc850_local(at(autumn)), "Friday, 20-Nov-26 23:55:33 UTC");
  EXPECT_EQ(log_time(at(autumn)), "2026/11/20 23:55:33.000000");
}

TEST(ParseRfc3339, ReadsWhatIsWritten) {
  EXPECT_EQ(parse_rfc3339("2026-11-20T23:55:33Z"), at(autumn));
  EXPECT_EQ(parse_rfc3339("2026-11-20T23:55:33.781417884Z"), at(autumn, 781417884));
  EXPECT_EQ(parse_rfc3339("2026-11-20 23:55:33.5Z"), at(autumn, 500'000'000));
  EXPECT_EQ(parse_rfc3339("2026-11-21T00:55:33+01:00"), at(autumn));
  EXPECT_EQ(parse_rfc3339("2026-11-20T20:25:33.000000001-03:30"), at(autumn, 1));
  EXPECT_EQ(parse_rfc3339("2024-02-29T00:00:00Z"), at(1709164800));
  EXPECT_EQ(parse_rfc3339("1969-12-31T23:59:59.25Z"), at(-1, 250'000'000));
}

TEST(ParseRfc3339, RefusesAllElse) {
  for (const char* text : {"",
                           "2026-11-20",
                           "2026-11-20T23:55:33",
                           "2026-11-20T23:55Z",
                           "2026-11-20t23:55:33Z",
                           "2026-11-20T23:55:33z",
                           "2026-13-20T23:55:33Z",
                           "2026-00-20T23:55:33Z",
                           "2026-02-29T23:55:33Z",
                           "2026-11-00T23:55:33Z",
                           "2026-11-20T24:00:00Z",
                           "2026-11-20T23:60:33Z",
                           "2026-11-20T23:55:60Z",
                           "2026-11-20T23:55:33.Z",
                           "2026-11-20T23:55:33.1234567890Z",
                           "2026-11-20T23:55:33,5Z",
                           "2026-11-20T23:55:33Z ",
                           " 2026-11-20T23:55:33Z",
                           "2026-11-20T23:55:33+0100",
                           "2026-11-20T23:55:33+24:00",
                           "2026-11-20T23:55:33+01:60",
                           "2026-11-20T23:55:33+01",
                           "2026-11-20T23:55:33+01:00Z",
                           "+026-11-20T23:55:33Z",
                           "2026-1-20T23:55:33Z",
                           "20261120T235533Z",
                           "2026-11-20T-1:55:33Z"}) {
    EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
  }
}

TEST(ParseRfc3339, RefusesWhatNanosecondsCannotHold) {
  EXPECT_EQ(parse_rfc3339("0001-01-01T00:00:00Z"), std::nullopt);
  EXPECT_EQ(parse_rfc3339("9999-12-31T23:59:59Z"), std::nullopt);
  EXPECT_EQ(parse_rfc3339("2262-04-11T23:47:15.999999999Z"), at(9223372035, 999'999'999));
  EXPECT_EQ(parse_rfc3339("2262-04-11T23:47:16Z"), std::nullopt);
  EXPECT_EQ(parse_rfc3339("1677-09-21T00:12:44Z"), at(-9223372036));
  EXPECT_EQ(parse_rfc3339("1677-09-21T00:12:43Z"), std::nullopt);
}

TEST(ParseDuration, ReadsGoSyntax) {
  EXPECT_EQ(parse_duration("0"), 0ns);
  EXPECT_EQ(parse_duration("-0"), 0ns);
  EXPECT_EQ(parse_duration("1m"), 1min);
  EXPECT_EQ(parse_duration("500ms"), 500ms);
  EXPECT_EQ(parse_duration("1h30m"), 90min);
  EXPECT_EQ(parse_duration("1.5h"), 90min);
  EXPECT_EQ(parse_duration("-1.5h"), -90min);
  EXPECT_EQ(parse_duration("+5s"), 5s);
  EXPECT_EQ(parse_duration(".5s"), 500ms);
  EXPECT_EQ(parse_duration("5.s"), 5s);
  EXPECT_EQ(parse_duration("12us"), 12us);
  EXPECT_EQ(parse_duration("12\u00b5s"), 12us);
  EXPECT_EQ(parse_duration("12\u03bcs"), 12us);
  EXPECT_EQ(parse_duration("1.001us"), 1001ns);
  EXPECT_EQ(parse_duration("39h9m14.425s"), 39h + 9min + 14s + 425ms);
  EXPECT_EQ(parse_duration("0.3333333333333333333h"), 20min);
  EXPECT_EQ(parse_duration("0.100000000000000000000h"), 6min);
  EXPECT_EQ(parse_duration("1s1s"), 2s);
}

TEST(ParseDuration, ReachesTheLimitsAndNoFurther) {
  EXPECT_EQ(parse_duration("9223372036854775807ns"), nanoseconds::max());
  EXPECT_EQ(parse_duration("-9223372036854775808ns"), nanoseconds::min());
  EXPECT_EQ(parse_duration("9223372036854775808ns"), std::nullopt);
  EXPECT_EQ(parse_duration("-9223372036854775809ns"), std::nullopt);
  EXPECT_EQ(parse_duration("2562048h"), std::nullopt);
  EXPECT_EQ(parse_duration("99999999999999999999s"), std::nullopt);
  EXPECT_EQ(parse_duration("9223372036s1s"), std::nullopt);
}

TEST(ParseDuration, RefusesAllElse) {
  for (const char* text :
       {"", "3", "-", "s", ".", "-.", ".s", "+.s", "1", "1 m", "1m ", "1d", "1.5", "1..5s", "--1s", "1S", "1h-1m", "00",
        "\xff"
        "1s"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(DurationText, IsShort) {
  EXPECT_EQ(duration_text(0ns), "0s");
  EXPECT_EQ(duration_text(1min), "1m");
  EXPECT_EQ(duration_text(90min), "1h30m");
  EXPECT_EQ(duration_text(1h + 5s), "1h5s");
  EXPECT_EQ(duration_text(1500ms), "1.5s");
  EXPECT_EQ(duration_text(500ms), "500ms");
  EXPECT_EQ(duration_text(1500us), "1.5ms");
  EXPECT_EQ(duration_text(1500ns), "1.5us");
  EXPECT_EQ(duration_text(7ns), "7ns");
  EXPECT_EQ(duration_text(-90s), "-1m30s");
  EXPECT_EQ(duration_text(1h + 1ns), "1h0.000000001s");
}

TEST(DurationText, IsReadBackExactly) {
  for (const nanoseconds d : {0ns, 1ns, 999ns, 1001ns, 999'999ns, 1'000'001ns, 999'999'999ns, 1'000'000'001ns,
                              nanoseconds(59min + 59s + 999ms), nanoseconds(100h), nanoseconds::max(),
                              nanoseconds::min(), nanoseconds(-1ns)}) {
    EXPECT_EQ(parse_duration(duration_text(d)), d) << duration_text(d);
  }
}

}  // namespace
}  // namespace seawall
