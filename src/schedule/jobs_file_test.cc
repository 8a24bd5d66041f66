#include "schedule/jobs_file.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hh"
#include "schedule/command_words.hh"

namespace seawall::schedule {
namespace {

using testing::ElementsAre;
using testing::Pair;

std::string error(std::string_view text) {
  try {
    parse_jobs_file(text, "o.conf");
  } catch (const Error& failure) {
    EXPECT_EQ(failure.code(), Errc::config);
    return failure.what();
  }
  ADD_FAILURE() << "accepted: " << text;
  return {};
}

TEST(JobsFile, ReadsWhatTheContainerWrites) {
  const JobsFile file = parse_jobs_file(
      "[job-local \"pg base backup\"]\n"
      "schedule = 0 1 * * * *\n"
      "command = wal-e backup-push /pgdata\n"
      "\n"
      "[job-local \"pg base prune backups\"]\n"
      "schedule = @every 5m\n"
      "command = wal-e delete --confirm retain 5\n",
      "o.conf");
  ASSERT_EQ(file.jobs.size(), 2U);
  EXPECT_EQ(file.jobs[0].name, "pg base backup");
  EXPECT_EQ(file.jobs[0].schedule.text(), "0 1 * * * *");
  EXPECT_THAT(file.jobs[0].steps.at(0).words, ElementsAre("wal-e", "backup-push", "/pgdata"));
  EXPECT_THAT(file.jobs[1].steps.at(0).words, ElementsAre("wal-e", "delete", "--confirm", "retain", "5"));
  EXPECT_TRUE(file.complaints.empty());
}

TEST(JobsFile, EverySettingOfAJob) {
  const JobsFile file = parse_jobs_file(
      "; a comment\n"
      "[Global]\n"
      "save-folder = /all\n"
      "slack-webhook = https://example.org\n"
      "[JOB-LOCAL \"a\"] # with a comment\n"
      "Schedule = @daily ; behind it\n"
      "command = \"sh -c 'a # b; c \\\"d\\\" \\\\ e'\" # gone\n"
      "command = second \\\n"
      "  word\n"
      "dir = /tmp\n"
      "environment = A=1\n"
      "environment = B=x=y\n"
      "no-overlap\n"
      "cluster = /data\n"
      "[job-local \"b\"]\n"
      "schedule=@hourly\r\n"
      "command=x\r\n"
      "save-folder=/own\n"
      "save-only-on-error=yes\n"
      "mail-only-on-error=true\n"
      "[job-exec \"c\"]\n"
      "container = x\n"
      "[job-local \"a\"]\n"
      "schedule = @weekly\n",
      "o.conf");
  ASSERT_EQ(file.jobs.size(), 2U);
  const Job& a = file.jobs[0];
  EXPECT_EQ(a.schedule.text(), "@weekly") << "given again, the later one counts";
  ASSERT_EQ(a.steps.size(), 2U);
  EXPECT_THAT(a.steps[0].words, ElementsAre("sh", "-c", "a # b; c \"d\"  e"));
  EXPECT_THAT(a.steps[1].words, ElementsAre("second", "word"));
  EXPECT_EQ(a.directory, "/tmp");
  EXPECT_EQ(a.cluster, "/data");
  EXPECT_THAT(a.environment, ElementsAre(Pair("A", "1"), Pair("B", "x=y")));
  EXPECT_EQ(a.save_folder, "/all");
  EXPECT_FALSE(a.save_only_on_error);
  EXPECT_EQ(file.jobs[1].save_folder, "/own");
  EXPECT_TRUE(file.jobs[1].save_only_on_error);
  EXPECT_THAT(file.complaints, ElementsAre("o.conf: slack-webhook is accepted, but nobody is told that way",
                                           "o.conf: mail-only-on-error is accepted, but nobody is told that way",
                                           "o.conf: job 'c' is not run: [job-exec] wants a container engine"));
}

TEST(JobsFile, ErrorsNameTheLine) {
  EXPECT_EQ(error("[job-local \"a\"]\nschedule = 0 99 * * *\ncommand = x\n"),
            "o.conf, line 2: schedule '0 99 * * *': field 2 of 5 (hour), '99': 99 is not between 0 and 23");
  EXPECT_EQ(error("[job-local \"a\"]\ncommand = x\n"), "o.conf, line 1: job 'a' has no schedule");
  EXPECT_EQ(error("\n[job-local \"a\"]\nschedule = @daily\n"), "o.conf, line 2: job 'a' has no command");
  EXPECT_EQ(error("[job-local \"a\"]\nshedule = @daily\n"), "o.conf, line 2: there is no setting 'shedule' of a job");
  EXPECT_EQ(error("[job-loco \"a\"]\n"), "o.conf, line 1: there is no section 'job-loco'; [job-local \"NAME\"] is one");
  EXPECT_EQ(error("[job-local]\n"), "o.conf, line 1: [job-local] needs a name in quotes");
  EXPECT_EQ(error("[job-local \"a\"\n"), "o.conf, line 1: a section's heading ends with ]");
  EXPECT_EQ(error("schedule = @daily\n"), "o.conf, line 1: 'schedule' stands in no section");
  EXPECT_EQ(error("[job-local \"a\"]\ncommand = \"x\n"), "o.conf, line 2: a quote is not closed");
  EXPECT_EQ(error("[job-local \"a\"]\nno-overlap = perhaps\n"),
            "o.conf, line 2: no-overlap is 'perhaps'; true and false are possible");
  EXPECT_EQ(error("[job-local \"a\"]\nenvironment = x\n"), "o.conf, line 2: environment is 'x', and not NAME=VALUE");
  EXPECT_EQ(error("[job-local \"a\"]\nschedule = @daily\ncommand = 'x\n"), "command ''x': the ' is never closed");
}

TEST(CommandWords, AsOfeliaDividesThem) {
  EXPECT_THAT(command_words("  a  b\tc "), ElementsAre("a", "b", "c"));
  EXPECT_THAT(command_words("sh -c 'a \"b\" c'"), ElementsAre("sh", "-c", "a \"b\" c"));
  EXPECT_THAT(command_words("a\\ b c"), ElementsAre("a b", "c"));
  EXPECT_THAT(command_words("it's x"), ElementsAre("it's", "x")) << "a quote within a word is one of its characters";
  EXPECT_THAT(command_words("'a'b"), ElementsAre("a", "b"));
  EXPECT_THAT(command_words("`a\\b` x"), ElementsAre("a\\b", "x"));
  EXPECT_THAT(command_words("x {a {b} c} y"), ElementsAre("x", "{a {b} c}", "y"));
  EXPECT_THAT(command_words("x > y z"), ElementsAre("x", "> y z"));
  EXPECT_THAT(command_words("$HOME *"), ElementsAre("$HOME", "*"));
  EXPECT_THROW(command_words("\"x"), Error);
  EXPECT_THROW(command_words("(x"), Error);
}

}  // namespace
}  // namespace seawall::schedule
