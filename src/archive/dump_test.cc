#include "archive/dump.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hh"
#include "base/time_text.hh"

namespace seawall::archive {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Time at(const char* text) { return parse_rfc3339(text).value(); }

Dump sample() {
  return {.name = "20261121T093414Z",
          .database = "app \xC3\xA4/..",
          .started = at("2026-11-21T09:34:14.5Z"),
          .finished = at("2026-11-21T09:35:00Z"),
          .raw_bytes = 18446744073709551615U,
          .object = "seawall_005/dumps/20261121T093414Z/database_app%20%C3%A4%2F%2E%2E.dump.lz4",
          .stored_bytes = 7,
          .digest = {1, 2},
          .server_version = 150014,
          .encoding = "UTF8",
          .collate = "C",
          .ctype = "C"};
}

std::string failure(const std::string& text, const std::string& record) {
  try {
    parse_dump_record(text, record, "here");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(dump_names, hold_no_slash_and_no_dots_of_the_database) {
  EXPECT_EQ(dump_object("T", ""), "seawall_005/dumps/T/globals.sql");
  EXPECT_EQ(dump_object("T", "globals"), "seawall_005/dumps/T/database_globals.dump");
  EXPECT_EQ(dump_object("T", "../a b"), "seawall_005/dumps/T/database_%2E%2E%2Fa%20b.dump");
  EXPECT_EQ(dump_record_object("T", "a"), "seawall_005/dumps/T/database_a.json");
  EXPECT_TRUE(is_dump_record("T/globals.json"));
  EXPECT_TRUE(is_dump_record("T/database_a.json"));
  EXPECT_FALSE(is_dump_record("T/database_a.dump.lz4"));
  EXPECT_FALSE(is_dump_record("T/database_a/b.json"));
  EXPECT_FALSE(is_dump_record("globals.json"));
  EXPECT_FALSE(is_dump_record("T/notes.json"));
}

TEST(dump_record, reads_what_it_printed) {
  const Dump dump = sample();
  EXPECT_EQ(parse_dump_record(print_dump_record(dump), dump_record_object(dump.name, dump.database), "here"), dump);
}

TEST(dump_record, names_nothing_but_its_own_object) {
  Dump dump = sample();
  const std::string record = dump_record_object(dump.name, dump.database);
  for (const char* other : {"wal_005/000000010000000000000001.lz4", "seawall_005/dumps/20261121T093414Z/globals.sql",
                            "seawall_005/dumps/20261121T093414Z/database_app%20%C3%A4%2F%2E%2E.dump/../x",
                            "seawall_005/dumps/20261121T093414Z/database_app%20%C3%A4%2F%2E%2E.dumper"}) {
    dump.object = other;
    EXPECT_THAT(failure(print_dump_record(dump), record), HasSubstr("no such dump is stored as")) << other;
  }
  EXPECT_THAT(failure(print_dump_record(sample()), dump_record_object("20261121T093415Z", "app")),
              HasSubstr("another dump"));
}

TEST(dump_record, says_what_is_wrong_with_it) {
  const std::string record = dump_record_object(sample().name, sample().database);
  EXPECT_THAT(failure("[]", record), HasSubstr("here: is no record"));
  EXPECT_THAT(failure("{\"version\":1}", record), HasSubstr("has no 'name'"));
  EXPECT_THAT(failure("{\"version\":2}", record), HasSubstr("knows version 1"));
  std::string text = print_dump_record(sample());
  text.replace(text.find("0000000000000001"), 2, "zz");
  EXPECT_THAT(failure(text, record), HasSubstr("'xxh3' is no digest"));
}

TEST(dump_rotation, keeps_the_newest_of_each_day_week_and_month) {
  const std::vector<Time> started{
      at("2026-11-21T02:00:00Z"),  // Saturday
      at("2026-11-21T14:00:00Z"),  // newest of all
      at("2026-11-20T02:00:00Z"),  // Friday
      at("2026-11-15T23:59:59Z"),  // Sunday: another week
      at("2026-11-16T00:00:00Z"),  // Monday
      at("2026-10-31T02:00:00Z"),  // newest of October, in the week of November 1st
      at("2026-09-30T02:00:00Z"),
  };
  const auto kept = rotate_dumps(started, {.days = 2, .weeks = 2, .months = 2});
  EXPECT_THAT(kept, ElementsAre(DumpKept{}, DumpKept{.newest = true, .day = true, .week = true, .month = true},
                                DumpKept{.day = true}, DumpKept{.week = true}, DumpKept{}, DumpKept{.month = true},
                                DumpKept{}));
}

TEST(dump_rotation, keeps_everything_if_nothing_is_asked_for_and_always_the_newest) {
  const std::vector<Time> started{at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:01Z")};
  for (const DumpKept& kept : rotate_dumps(started, {})) EXPECT_TRUE(kept.any());
  EXPECT_TRUE(rotate_dumps(started, {.months = 1})[1].any());
  EXPECT_FALSE(rotate_dumps(started, {.months = 1})[0].any());
  EXPECT_TRUE(rotate_dumps({}, {.days = 1}).empty());
}

TEST(dump_rotation, of_daily_runs_over_three_years_holds_what_was_promised_every_day) {
  std::vector<Time> held;
  for (int day = 0; day < 1100; ++day) {
    held.push_back(at("2024-01-01T02:00:00Z") + std::chrono::days(day));
    const auto kept = rotate_dumps(held, {.days = 7, .weeks = 5, .months = 12});
    std::vector<Time> rest;
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (kept[i].any()) rest.push_back(held[i]);
    }
    held = rest;
    // What whole history would keep: 2024-01-01 was a Monday; the last of a month is followed by a first.
    const auto expect = [&](int of_day) {
      const Time t = at("2024-01-01T02:00:00Z") + std::chrono::days(of_day);
      EXPECT_TRUE(std::ranges::count(held, t) == 1) << day << ' ' << of_day;
    };
    for (int i = 0; i < 7 && i <= day; ++i) expect(day - i);
    for (int i = 1; i < 5 && 7 * i <= day; ++i) expect(7 * (day / 7 - i) + 6);
    int months = 1;
    for (int i = day - 1; i >= 0 && months < 12; --i) {
      const auto date = [](int n) {
        return std::chrono::year_month_day(std::chrono::sys_days(std::chrono::year(2024) / 1 / 1) +
                                           std::chrono::days(n));
      };
      if (date(i).month() == date(i + 1).month()) continue;
      expect(i);
      ++months;
    }
    EXPECT_LE(held.size(), 7U + 5U + 12U);
  }
}

}  // namespace
}  // namespace seawall::archive
