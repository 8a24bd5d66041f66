#include "schedule/history.hh"

#include <fcntl.h>

#include <gtest/gtest.h>

#include "base/error.hh"
#include "support/temp_dir.hh"

namespace seawall::schedule {
namespace {

Time at(int seconds) { return Time(std::chrono::seconds(seconds)); }

TEST(History, TellsEachRunOnceAndAsItEnded) {
  const test::TempDir directory;
  const History history(directory.path() / "state");
  EXPECT_TRUE(history.read().empty());
  EXPECT_FALSE(history.is_locked());
  const Fd lock = history.lock();
  EXPECT_TRUE(history.is_locked());
  EXPECT_THROW(history.lock(), Error);

  Entry run{.job = "tab\tname", .outcome = Outcome::started, .due = at(10), .started = at(11), .detail = {}};
  history.append(run);
  history.append({.job = "other", .outcome = Outcome::missed, .due = at(12), .detail = "1 run"});
  run.outcome = Outcome::failed;
  run.finished = at(20);
  run.status = 3;
  run.detail = "two\nlines";
  history.append(run);
  history.append({.job = "other", .outcome = Outcome::started, .due = at(13), .started = at(14), .detail = {}});

  const std::vector<Entry> entries = History(directory.path() / "state").read();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].job, "tab name");
  EXPECT_EQ(entries[0].outcome, Outcome::failed);
  EXPECT_EQ(entries[0].due, at(10));
  EXPECT_EQ(entries[0].started, at(11));
  EXPECT_EQ(entries[0].finished, at(20));
  EXPECT_EQ(entries[0].status, 3);
  EXPECT_EQ(entries[0].detail, "two lines");
  EXPECT_EQ(entries[1].outcome, Outcome::missed);
  EXPECT_EQ(entries[1].started, Time{});
  EXPECT_EQ(entries[2].outcome, Outcome::started);
}

TEST(History, KeepsTheLastThousandLinesAndPassesOverWhatItCannotRead) {
  const test::TempDir directory;
  const History history(directory.path());
  for (int i = 1; i <= 1200; ++i) {
    history.append(
        {.job = "j", .outcome = Outcome::ok, .due = at(i), .started = at(i), .finished = at(i), .detail = {}});
  }
  history.trim();
  EXPECT_EQ(history.read().size(), 1000U);
  EXPECT_EQ(history.read().front().due, at(201));
  const Fd file = open_file(directory.path() / "schedule.tsv", O_WRONLY | O_APPEND);
  write_all(file, std::as_bytes(std::span(std::string_view("half a li"))), "history");
  EXPECT_EQ(history.read().size(), 1000U);
}

}  // namespace
}  // namespace seawall::schedule
