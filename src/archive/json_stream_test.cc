#include "archive/detail/json_stream.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace seawall::archive {
namespace {

/// Prints every event; passes over the values of keys named "skip".
class Recorder final : public JsonEvents {
 public:
  std::string log;

 private:
  bool on_key(std::string_view key) override { return key == "skip" ? skip_value() : add("k", key); }
  bool on_null() override { return add("null", ""); }
  bool on_bool(bool truth) override { return add(truth ? "true" : "false", ""); }
  bool on_number(std::string_view text) override { return text == "666" ? fail("an evil number") : add("#", text); }
  bool on_text(std::string_view text) override { return add("t", text); }
  bool on_begin(bool is_object) override { return add(is_object ? "{" : "[", fmt::to_string(depth())); }
  bool on_end() override { return add("end", fmt::to_string(depth())); }
  bool add(std::string_view what, std::string_view text) {
    fmt::format_to(std::back_inserter(log), "{}{} ", what, text);
    return true;
  }
};

class SlowSource final : public Source {
 public:
  SlowSource(std::string_view text, std::size_t piece) : rest_(bytes_of(text)), piece_(piece) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t n = std::min({piece_, into.size(), rest_.size()});
    std::copy_n(rest_.begin(), n, into.begin());
    rest_ = rest_.subspan(n);
    return n;
  }

 private:
  Bytes rest_;
  std::size_t piece_;
};

std::string events_of(std::string_view text, std::size_t piece = 1 << 20) {
  SlowSource source(text, piece);
  Recorder recorder;
  parse_json_stream(source, recorder, "x.json");
  return recorder.log;
}

TEST(JsonStream, ReportsEventsWhereverThePiecesEnd) {
  const std::string text =
      " {\"a\" : [1, -2.5e+3,true,false , "
      "null],\"skip\":{\"a\":[{}]},\"skip\":7,\"\\u0062\\n\":{\"c\":\"d\\\"e\"},\"\":[]}\r\n";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, text.size()}) {
    EXPECT_EQ("{1 ka [2 #1 #-2.5e+3 true false null end1 kb\n {2 kc td\"e end1 k [2 end1 end0 ",
              events_of(text, piece));
  }
}

TEST(JsonStream, DecodesEscapes) {
  EXPECT_EQ("t\"\\/\b\f\n\r\t\x7f ", events_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\x7f\""));
  EXPECT_EQ("t\u00E9\u20AC\U0001F600 ", events_of("\"\\u00e9\\u20AC\\uD83D\\ude00\""));
  // Half a pair, alone, before text, before another escape, before a whole pair.
  EXPECT_EQ("t\uFFFD ", events_of("\"\\ud83d\""));
  EXPECT_EQ("t\uFFFDx\uFFFD ", events_of("\"\\ud83dx\\ude00\""));
  EXPECT_EQ("t\uFFFD\n\uFFFDa ", events_of("\"\\ud83d\\n\\ud83d\\u0061\""));
  EXPECT_EQ("t\uFFFD\U0001F600 ", events_of("\"\\ud83d\\ud83d\\ude00\""));
}

TEST(JsonStream, HandsOutLongStringsWhole) {
  const std::string long_text(200000, 'l');
  EXPECT_EQ("t" + long_text + " ", events_of("\"" + long_text + "\""));
  EXPECT_EQ("t" + long_text + "\n" + long_text + " ", events_of("\"" + long_text + "\\n" + long_text + "\"", 1000));
}

TEST(JsonStream, AcceptsNumbersOfTheGrammarOnly) {
  for (const char* number : {"0", "-0", "10", "0.0", "1e5", "1E-05", "-1.25e+10", "18446744073709551615"}) {
    EXPECT_EQ(fmt::format("#{} ", number), events_of(number));
  }
  for (const char* number : {"-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "1.e5", "1-1", "0x10", "NaN", "1e5.0"}) {
    EXPECT_THROW(events_of(number), Error) << number;
  }
}

TEST(JsonStream, SaysWhatIsWrongAndWhere) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "byte 0: the document ends early"},
      {"{\"a\":1", "byte 6: the document ends early"},
      {"\"abc", "byte 4: the document ends early"},
      {"{} {", "byte 3: something stands behind the document"},
      {std::string("{}\0", 3), "byte 2: something stands behind the document"},
      {"{a:1}", "byte 1: no name of a member"},
      {"{\"a\":1,}", "byte 7: no name of a member"},
      {"{\"a\" 1}", "byte 5: no ':' behind a name"},
      {"[1 2]", "byte 3: neither ',' nor ']'"},
      {"{\"a\":1]", "byte 6: neither ',' nor '}'"},
      {"[1,]", "byte 3: no value of JSON"},
      {"[tru]", "byte 4: no value of JSON"},
      {"\"\t\"", "byte 1: a control character in a string"},
      {"\"\\x\"", "byte 3: an escape that JSON does not know"},
      {"\"\\u12g4\"", "byte 7: \\u without four hex digits"},
      {"[666]", "byte 4: an evil number"},
      {std::string(1001, '['), "byte 1001: nested too deeply"},
      {std::string(2000, '1'), "byte 1024: a number of too many digits"},
  };
  for (const auto& [text, expected] : cases) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1000000}}) {
      try {
        events_of(text, piece);
        ADD_FAILURE() << text;
      } catch (const Error& error) {
        EXPECT_EQ("x.json: at " + expected, error.what());
        EXPECT_EQ(Errc::corrupt, error.code());
      }
    }
  }
}

}  // namespace
}  // namespace seawall::archive
