#include "config/setting.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.hh"

namespace seawall::config {
namespace {

using std::chrono::nanoseconds;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

const Origin from_environment{Origin::Kind::environment, "WALG_X"};

/// The message of the Errc::config that parsing throws; empty if it does not.
std::string complaint(SettingBase& setting, std::string_view text) {
  try {
    setting.parse(text, from_environment);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::config);
    return error.what();
  }
  return {};
}

struct Samples : Group {
  Setting<bool> flag{*this, {.name = "WALG_FLAG", .initial = true, .doc = "A flag."}};
  Setting<int> number{*this, {.name = "WALG_NUMBER", .initial = -1, .range = {{-5, 50}}, .doc = "A number."}};
  Setting<unsigned> count{*this, {.name = "WALG_COUNT", .initial = 16, .doc = "A count."}};
  Setting<std::uint64_t> big{*this, {.name = "WALG_BIG", .doc = "Big."}};
  Setting<std::string> text{*this, {.name = "WALG_TEXT", .initial = "lz4", .doc = "Text.", .kind = "lz4|none"}};
  Setting<ByteSize> size{
      *this, {.name = "WALG_SIZE", .initial = {20 << 20}, .range = {{{1024}, {1 << 30}}}, .doc = "A size."}};
  Setting<nanoseconds> wait{*this, {.name = "WALG_WAIT", .initial = 90s, .doc = "A wait."}};
  Setting<std::string> key{*this, {.name = "WALG_KEY", .secret = true, .doc = "A key."}};
  Setting<int> pin{*this, {.name = "WALG_PIN", .secret = true, .doc = "A pin."}};
};

TEST(Setting, EnlistsItselfInOrder) {
  const Samples samples;
  ASSERT_EQ(samples.settings().size(), 9U);
  EXPECT_EQ(samples.settings()[0], &samples.flag);
  EXPECT_EQ(samples.settings()[8], &samples.pin);
}

TEST(Setting, HasItsDefaultUntilGiven) {
  Samples samples;
  EXPECT_EQ(samples.count(), 16U);
  EXPECT_FALSE(samples.count.given());
  EXPECT_EQ(origin_text(samples.count.origin()), "default");
  samples.count.parse("3", from_environment);
  EXPECT_EQ(samples.count(), 3U);
  EXPECT_TRUE(samples.count.given());
  EXPECT_EQ(samples.count.describe().initial, "16");
  EXPECT_EQ(samples.count.value_text(), "3");
  EXPECT_EQ(origin_text(samples.count.origin()), "environment variable WALG_X");
}

TEST(Setting, ReadsBooleansAsGoDoes) {
  Samples samples;
  for (const char* text : {"0", "f", "F", "FALSE", "false", "False", " false "}) {
    samples.flag.parse("true", from_environment);
    EXPECT_EQ(complaint(samples.flag, text), "");
    EXPECT_FALSE(samples.flag()) << text;
  }
  for (const char* text : {"1", "t", "T", "TRUE", "true", "True"}) {
    samples.flag.parse("false", from_environment);
    EXPECT_EQ(complaint(samples.flag, text), "");
    EXPECT_TRUE(samples.flag()) << text;
  }
  for (const char* text : {"", "yes", "on", "tRUE", "2", "off"}) {
    EXPECT_THAT(complaint(samples.flag, text), HasSubstr("give true or false")) << text;
  }
}

TEST(Setting, ReadsWholeNumbers) {
  Samples samples;
  samples.number.parse("-5", from_environment);
  EXPECT_EQ(samples.number(), -5);
  samples.number.parse("16.0", from_environment);
  EXPECT_EQ(samples.number(), 16);
  samples.big.parse("18446744073709551615", from_environment);
  EXPECT_EQ(samples.big(), std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"", "ten", "1x", "1.5", "0x10", "99999999999", "51", "-6", ".0", "."}) {
    EXPECT_THAT(complaint(samples.number, text), HasSubstr("give a whole number, from -5 to 50")) << text;
  }
  EXPECT_THAT(complaint(samples.count, "-1"), HasSubstr("not negative"));
  EXPECT_THAT(complaint(samples.big, "18446744073709551616"), HasSubstr("WALG_BIG"));
  EXPECT_EQ(samples.number(), 16) << "a refused text changes nothing";
}

TEST(Setting, ReadsSizes) {
  Samples samples;
  const std::pair<const char*, std::uint64_t> good[] = {{"1024", 1024},    {"1kb", 1024},      {"20MB", 20U << 20},
                                                        {"1Gb", 1U << 30}, {"2 mb", 2U << 20}, {"1048576.0", 1U << 20}};
  for (const auto& [text, bytes] : good) {
    EXPECT_EQ(complaint(samples.size, text), "");
    EXPECT_EQ(samples.size().bytes, bytes) << text;
  }
  for (const char* text : {"", "mb", "1tb", "1.5mb", "-1kb", "1k", "17179869184gb", "1023", "1025mb"}) {
    EXPECT_THAT(complaint(samples.size, text), HasSubstr("plain or with kb, mb or gb, from 1kb to 1gb")) << text;
  }
}

TEST(Setting, ReadsDurations) {
  Samples samples;
  samples.wait.parse("1h30m", from_environment);
  EXPECT_EQ(samples.wait(), 90min);
  samples.wait.parse("0", from_environment);
  EXPECT_EQ(samples.wait(), 0s);
  for (const char* text : {"", "60", "1 day", "ten"}) {
    EXPECT_THAT(complaint(samples.wait, text), HasSubstr("a duration such as 500ms, 90s or 1h30m")) << text;
  }
}

TEST(Setting, DescribesItselfAsOneWouldWriteIt) {
  const Samples samples;
  EXPECT_EQ(samples.flag.describe().initial, "true");
  EXPECT_EQ(samples.size.describe().initial, "20mb");
  EXPECT_EQ(samples.size.describe().range->first, "1kb");
  EXPECT_EQ(samples.size.describe().range->second, "1gb");
  EXPECT_EQ(samples.big.describe().initial, "0");
  EXPECT_EQ(samples.big.describe().range, std::nullopt);
  EXPECT_EQ(samples.text.describe().initial, "lz4");
  EXPECT_EQ(samples.flag.type(), "boolean");
  EXPECT_EQ(samples.number.type(), "integer");
  EXPECT_EQ(samples.size.type(), "size");
  EXPECT_EQ(samples.wait.type(), "duration");
  EXPECT_EQ(samples.key.type(), "text");
  EXPECT_EQ(samples.text.type(), "lz4|none");
}

TEST(Setting, ADefaultReadsBackAsItself) {
  Samples samples;
  for (SettingBase* setting : samples.settings()) {
    const std::string initial = setting->describe().initial;
    setting->parse(initial, from_environment);
    EXPECT_EQ(setting->value_text(), initial);
  }
}

TEST(Setting, ComplaintsNameSettingTextAndOrigin) {
  Samples samples;
  EXPECT_EQ(
      complaint(samples.number, "ten"),
      "WALG_NUMBER: \"ten\" (from environment variable WALG_X) is not accepted: give a whole number, from -5 to 50");
}

TEST(Setting, ComplaintsNeverHoldASecret) {
  Samples samples;
  const std::string text = complaint(samples.pin, "12z4");
  EXPECT_THAT(text, HasSubstr("WALG_PIN: its value"));
  EXPECT_THAT(text, Not(HasSubstr("12z4")));
}

}  // namespace
}  // namespace seawall::config
