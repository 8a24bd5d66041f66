#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_status.hh"
#include "cli/test_program.hh"

namespace seawall::cli {
namespace {

using test::last_fetch;
using test::last_look;
using test::last_push;
using test::TestProgram;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

/// Runs what was parsed; fails the test if there is nothing to run.
void run(const Parsed& parsed) {
  ASSERT_NE(parsed.command, nullptr) << parsed.print << parsed.complaint;
  EXPECT_EQ(parsed.print, "");
  EXPECT_EQ(parsed.complaint, "");
  App app;
  parsed.command->run(app);
}

struct WrongLine {
  std::vector<const char*> words;
  std::string line;       // the whole of stdout
  std::string complaint;  // part of stderr
  int status = 1;
};

TEST(Parser, FlagsMayStandAnywhere) {
  const TestProgram program;
  for (const std::vector<const char*>& words :
       std::vector<std::vector<const char*>>{{"backup-push", "/data", "--permanent", "--add-user-data", "{}"},
                                             {"--permanent", "backup-push", "--add-user-data={}", "/data"},
                                             {"--add-user-data", "{}", "backup-push", "-p", "/data"},
                                             {"-p", "--add-user-data={}", "backup-push", "--", "/data"}}) {
    last_push = {};
    run(program.parse(words));
    EXPECT_EQ(last_push.directory, "/data");
    EXPECT_TRUE(last_push.permanent);
    EXPECT_FALSE(last_push.full);
    EXPECT_EQ(last_push.user_data, "{}");
  }
}

TEST(Parser, ShortFlagsCombineAndTakeValues) {
  const TestProgram program;
  for (const std::vector<const char*>& words :
       std::vector<std::vector<const char*>>{{"backup-push", "-pfn12"},
                                             {"backup-push", "-pf", "-n", "12"},
                                             {"backup-push", "-p", "-f=true", "-n=12"},
                                             {"-n", "12", "backup-push", "-fp"},
                                             {"-fn", "12", "-p", "backup-push"}}) {
    last_push = {};
    run(program.parse(words));
    EXPECT_TRUE(last_push.permanent);
    EXPECT_TRUE(last_push.full);
    EXPECT_EQ(last_push.steps, 12);
  }
}

TEST(Parser, BooleanFlagsCanBeTurnedOff) {
  const TestProgram program;
  run(program.parse({"backup-push", "--permanent", "--full=T", "--permanent=false"}));
  EXPECT_FALSE(last_push.permanent);
  EXPECT_TRUE(last_push.full);
  // A boolean never takes the word after it.
  run(program.parse({"backup-push", "--permanent", "false"}));
  EXPECT_TRUE(last_push.permanent);
  EXPECT_EQ(last_push.directory, "false");
}

TEST(Parser, AfterTwoDashesNothingIsAFlag) {
  const TestProgram program;
  run(program.parse({"wal-fetch", "--", "--turbo", "-"}));
  EXPECT_EQ(last_fetch.name, "--turbo");
  EXPECT_EQ(last_fetch.destination, "-");
}

TEST(Parser, AValueMayLookLikeAFlag) {
  const TestProgram program;
  run(program.parse({"backup-push", "--add-user-data", "--full"}));
  EXPECT_EQ(last_push.user_data, "--full");
  EXPECT_FALSE(last_push.full);
  run(program.parse({"backup-push", "--add-user-data="}));
  EXPECT_EQ(last_push.user_data, "");
}

TEST(Parser, NothingIsKeptFromTheLastCommandLine) {
  const TestProgram program;
  run(program.parse({"backup-push", "/data", "-p", "--steps", "9", "--add-user-data", "{}"}));
  EXPECT_EQ(last_push.steps, 9);
  run(program.parse({"backup-push"}));
  EXPECT_EQ(last_push.directory, "");
  EXPECT_FALSE(last_push.permanent);
  EXPECT_EQ(last_push.steps, 7);
  EXPECT_EQ(last_push.user_data, std::nullopt);
}

TEST(Parser, GlobalFlags) {
  const TestProgram program;
  const Parsed parsed = program.parse({"--config", "/etc/w.json", "backup-list", "--turbo", "--log-format=json"});
  EXPECT_EQ(parsed.command->name(), "backup-list");
  EXPECT_EQ(parsed.config_path, "/etc/w.json");
  EXPECT_EQ(parsed.log_format, "json");
  EXPECT_TRUE(parsed.turbo);
  EXPECT_THAT(parsed.global_arguments, ElementsAre("--config=/etc/w.json", "--turbo=true", "--log-format=json"));

  const Parsed plain = program.parse({"backup-list"});
  EXPECT_EQ(plain.config_path, std::nullopt);
  EXPECT_EQ(plain.log_format, std::nullopt);
  EXPECT_FALSE(plain.turbo);
  EXPECT_THAT(plain.global_arguments, IsEmpty());
}

TEST(Parser, NamesOfSeveralWordsAndAnyNumberOfPositionals) {
  const TestProgram program;
  for (const std::vector<const char*>& words : {std::vector<const char*>{"st", "look", "here", "a", "b", "c"},
                                                {"--pghost", "/tmp", "st", "look", "here", "a", "b", "c"},
                                                {"st", "--pghost=/tmp", "look", "--", "here", "a", "b", "c"}}) {
    last_look = {};
    run(program.parse(words));
    EXPECT_EQ(last_look.place, "here");
    EXPECT_THAT(last_look.names, ElementsAre("a", "b", "c"));
  }
  run(program.parse({"st", "look", "there"}));
  EXPECT_EQ(last_look.place, "there");
  EXPECT_THAT(last_look.names, ElementsAre());
  EXPECT_THAT(program.parse({"st", "look"}).complaint, HasSubstr("requires at least 1 arg(s), only received 0"));
  EXPECT_THAT(program.parse({"st", "lok"}).complaint,
              AllOf(HasSubstr("unknown command \"st\""), HasSubstr("there are: st look")));
  EXPECT_THAT(program.parse({"help", "st", "look"}).print, HasSubstr("Look for things"));
}

TEST(Parser, SettingsAreHiddenFlags) {
  const TestProgram program;
  const Parsed parsed = program.parse({"--walg-upload-concurrency", "4", "backup-list", "--wale-file-prefix=/a",
                                       "--upload-concurrency", "5", "--seawall-careful=false", "--pghost", "/tmp",
                                       "--walg-gs-prefix=gs://b", "--gcs-max-chunk-size", "1"});
  ASSERT_NE(parsed.command, nullptr) << parsed.complaint;
  EXPECT_THAT(parsed.setting_flags,
              ElementsAre(Pair("WALG_UPLOAD_CONCURRENCY", "4"), Pair("WALE_FILE_PREFIX", "/a"),
                          Pair("UPLOAD_CONCURRENCY", "5"), Pair("SEAWALL_CAREFUL", "false"), Pair("PGHOST", "/tmp"),
                          Pair("WALG_GS_PREFIX", "gs://b"), Pair("GCS_MAX_CHUNK_SIZE", "1")));
  EXPECT_EQ(parsed.global_arguments.front(), "--walg-upload-concurrency=4");
}

TEST(Parser, WrongCommandLinesAreToldInOneLineAndAtLength) {
  const TestProgram program;
  const std::vector<WrongLine> wrong = {
      {{"wal-fetch"}, "accepts 2 arg(s), received 0", "Usage: seawall wal-fetch WAL_NAME DESTINATION [options]"},
      {{"wal-fetch", "a", "b", "c"}, "accepts 2 arg(s), received 3", "See 'seawall wal-fetch --help'"},
      {{"backup-push", "a", "b"}, "accepts at most 1 arg(s), received 2", "backup-push [DIRECTORY] [options]"},
      {{"backup-fetch"}, "accepts between 1 and 2 arg(s), received 0", "backup-fetch DIRECTORY [BACKUP_NAME]"},
      {{"backup-list", "x"}, "unknown command \"x\" for \"wal-g backup-list\"", "backup-list [options]"},
      {{"no-such-command"}, "unknown command \"no-such-command\" for \"wal-g\"", "See 'seawall --help'"},
      {{"backup-lst"}, "unknown command \"backup-lst\" for \"wal-g\"", "did you mean 'backup-list'?"},
      {{"backup-list", "--nosuch"}, "unknown flag: --nosuch", "Usage: seawall backup-list"},
      {{"backup-push", "--permanant"}, "unknown flag: --permanant", "did you mean --permanent?"},
      {{"backup-list", "--walg-uplod-concurrency=4"},
       "unknown flag: --walg-uplod-concurrency",
       "did you mean --walg-upload-concurrency?"},
      {{"backup-list", "--permanent"}, "unknown flag: --permanent", "Usage:"},
      {{"backup-push", "-pz"}, "unknown shorthand flag: 'z' in -pz", "Usage:"},
      {{"backup-push", "--steps"}, "flag needs an argument: --steps", "Usage:"},
      {{"backup-push", "-pn"}, "flag needs an argument: 'n' in -pn", "Usage:"},
      {{"backup-push", "--steps=many"}, "invalid argument \"many\" for \"--steps\"", "give a whole number"},
      {{"backup-push", "--full=maybe"}, "invalid argument \"maybe\" for \"--full\"", "give true or false"},
      {{"backup-push", "--turbo=x"}, "invalid argument \"x\" for \"--turbo\"", "give true or false"},
      {{"backup-list", "--log-format=xml"}, "invalid argument \"xml\" for \"--log-format\"", "text or json"},
      {{"backup-list", "--config="}, "invalid argument \"\" for \"--config\"", "the path of a settings file"},
      {{"backup-list", "--=x"}, "bad flag syntax: --=x", "Usage:"},
      {{"drill", "often"}, "invalid argument \"often\" for \"TIMES\"", "give a whole number", 2},
      {{"drill"}, "accepts 1 arg(s), received 0", "seawall drill TIMES", 2},
      {{"completion", "tcsh"}, "invalid argument \"tcsh\" for \"completion\"", "bash, zsh or fish"},
      {{"completion"}, "accepts 1 arg(s), received 0", "Usage: seawall completion bash|zsh|fish"},
      {{"help", "backup-psh"}, "unknown help topic \"backup-psh\"", "did you mean backup-push?"},
      {{"help", "walg_uplod_concurrency"}, "unknown help topic", "did you mean WALG_UPLOAD_CONCURRENCY?"},
  };
  for (const WrongLine& expected : wrong) {
    const Parsed parsed = program.parse(expected.words);
    EXPECT_EQ(parsed.command, nullptr) << expected.line;
    EXPECT_EQ(parsed.exit_status, expected.status) << expected.line;
    EXPECT_TRUE(parsed.print.starts_with(expected.line)) << parsed.print;
    EXPECT_EQ(parsed.print.find('\n'), parsed.print.size() - 1) << parsed.print;
    EXPECT_THAT(parsed.complaint, HasSubstr("seawall: " + expected.line));
    EXPECT_THAT(parsed.complaint, HasSubstr(expected.complaint));
  }
}

TEST(Parser, WhatScriptsCompareIsExact) {
  const TestProgram program;
  EXPECT_EQ(program.parse({"wal-fetch"}).print, "accepts 2 arg(s), received 0\n");
  EXPECT_EQ(program.parse({"backup-push", "a", "b"}).print, "accepts at most 1 arg(s), received 2\n");
  EXPECT_EQ(program.parse({"no-such-command"}).print, "unknown command \"no-such-command\" for \"wal-g\"\n");
  EXPECT_EQ(program.parse({"backup-list", "--nosuch"}).print, "unknown flag: --nosuch\n");
}

TEST(Parser, HelpWinsOverMissingArgumentsButNotOverWrongFlags) {
  const TestProgram program;
  for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{
           {"wal-fetch", "--help"}, {"wal-fetch", "-h"}, {"-h", "wal-fetch"}, {"wal-fetch", "a", "--help", "b", "c"}}) {
    const Parsed parsed = program.parse(words);
    EXPECT_EQ(parsed.exit_status, 0);
    EXPECT_EQ(parsed.command, nullptr);
    EXPECT_THAT(parsed.print, HasSubstr("Usage: seawall wal-fetch WAL_NAME DESTINATION [options]"));
  }
  EXPECT_EQ(program.parse({"wal-fetch", "--help", "--nosuch"}).print, "unknown flag: --nosuch\n");
}

TEST(Parser, WithoutACommandThereIsHelp) {
  const TestProgram program;
  const std::string help = program.parse({}).print;
  EXPECT_THAT(help, HasSubstr("Usage: seawall COMMAND"));
  EXPECT_EQ(program.parse({"--help"}).print, help);
  EXPECT_EQ(program.parse({"help"}).print, help);
  EXPECT_EQ(program.parse({}).exit_status, 0);
}

TEST(Parser, Version) {
  const TestProgram program;
  EXPECT_EQ(program.parse({"--version"}).print, "seawall version 0.1.0\trelease\tPostgreSQL\n");
  EXPECT_EQ(program.parse({"-v"}).print, "seawall version 0.1.0\trelease\tPostgreSQL\n");
}

TEST(Parser, HelpOfASettingIsLeftUntilSettingsAreLoaded) {
  const TestProgram program;
  for (const char* word : {"WALG_UPLOAD_CONCURRENCY", "walg_upload_concurrency", "--walg-upload-concurrency"}) {
    const Parsed parsed = program.parse({"help", "--", word});
    EXPECT_EQ(parsed.help_setting, "WALG_UPLOAD_CONCURRENCY");
    EXPECT_EQ(parsed.print, "");
    EXPECT_EQ(parsed.command, nullptr);
  }
  EXPECT_EQ(program.parse({"help", "WALE_GS_PREFIX"}).help_setting, "WALE_GS_PREFIX");
}

TEST(Parser, HiddenCommandsRun) {
  const TestProgram program;
  EXPECT_EQ(program.parse({"wal-prefetch"}).command->name(), "wal-prefetch");
}

TEST(ExitStatus, OneForWalgsCommandsAndTheTablesForOurs) {
  EXPECT_EQ(exit_status("wal-push", Errc::differs), 1);
  EXPECT_EQ(exit_status("", Errc::usage), 1);
  EXPECT_EQ(exit_status("drill", Errc::corrupt), info(Errc::corrupt).exit_status);
  EXPECT_TRUE(is_walg_command("backup-push"));
  EXPECT_FALSE(is_walg_command("drill"));
}

}  // namespace
}  // namespace seawall::cli
