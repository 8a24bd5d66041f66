#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>

#include "base/text.hh"
#include "cli/test_program.hh"
#include "manuals/two_quotes.hh"
#include "support/temp_dir.hh"

namespace seawall::cli {
namespace {

using seawall::test::TempDir;
using test::TestProgram;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAre;

/// What a shell command printed, stderr included; the test fails if it did not succeed.
std::string shell(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "no shell";
  std::string output;
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) output += static_cast<char>(c);
  const int status = pclose(pipe);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << "\n" << output;
  return output;
}

/// What bash offers for the last of `words`.
std::vector<std::string> completed(const Program& program, const std::vector<std::string>& words) {
  const TempDir directory;
  std::ofstream(directory / "completion.bash") << completion(program, "bash");
  std::string script = "source " + (directory / "completion.bash").native() + "\nCOMP_WORDS=(seawall";
  for (const std::string& word : words) script += " '" + word + "'";
  script += ")\nCOMP_CWORD=" + std::to_string(words.size()) + "\n_seawall\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
  std::ofstream(directory / "run.bash") << script;
  std::vector<std::string> offered;
  const std::string output = shell("cd " + directory.path().native() + " && bash run.bash");
  for (const std::string_view line : split(output, '\n')) {
    if (!line.empty()) offered.emplace_back(line);
  }
  return offered;
}

TEST(Help, OfTheProgramNamesVisibleCommands) {
  const TestProgram program;
  const std::string help = help_text(program());
  EXPECT_THAT(help, HasSubstr("  backup-push "));
  EXPECT_THAT(help, HasSubstr("  Prove that it restores\n"));
  EXPECT_THAT(help, HasSubstr("  completion bash|zsh|fish  "));
  EXPECT_THAT(help, HasSubstr("--config PATH"));
  EXPECT_THAT(help, Not(HasSubstr("wal-prefetch")));
}

TEST(Help, OfACommandIsMadeFromItsDeclaration) {
  const TestProgram program;
  const std::string help = help_text(program(), *program().commands[0]);
  EXPECT_THAT(help,
              StartsWith("Take a base backup.\n\nUsage: seawall backup-push [DIRECTORY] [options]\n\n"
                         "Takes a base backup of all databases.\n\nArguments:\n  [DIRECTORY]  The data directory.\n"
                         "\nOptions:\n"
                         "  -p, --permanent           Keep it\n"
                         "  -f, --full                It's [full]: yes\n"
                         "      --add-user-data JSON  Kept with it\n"
                         "  -n, --steps N             How many\n"
                         "\nOptions of every command:\n"));
  EXPECT_THAT(help, Not(HasSubstr("More.")));
}

TEST(Help, ShowsTheWholeManual) {
  const TestProgram program;
  const std::string manual = program.parse({"help", "backup-push"}).print;
  EXPECT_THAT(manual, HasSubstr("BACKUP-PUSH\n\nTakes a base backup of\nall databases.\n\nDETAILS\n\nMore.\n"));
  EXPECT_THAT(manual, HasSubstr("Usage: seawall backup-push [DIRECTORY] [options]\n"));
  EXPECT_THAT(manual, HasSubstr("--add-user-data JSON"));
}

TEST(Help, OfASettingTellsValueAndOrigin) {
  TestProgram program;
  EXPECT_EQ(help_setting(program(), "UPLOAD_CONCURRENCY"),
            "WALG_UPLOAD_CONCURRENCY\n"
            "  How many uploads run at once.\n"
            "\n"
            "  type     integer, 1 to 1000\n"
            "  default  16\n"
            "  also     UPLOAD_CONCURRENCY\n"
            "  flag     --walg-upload-concurrency\n"
            "  value    16\n"
            "  from     default\n");
  program.settings().uploads.parse("4", {config::Origin::Kind::file, "/etc/w.json"});
  const std::string changed = help_setting(program(), "WALG_UPLOAD_CONCURRENCY");
  EXPECT_THAT(changed, HasSubstr("  value    4\n  from     file /etc/w.json\n"));
  EXPECT_THAT(changed, HasSubstr("  default  16\n"));
}

TEST(Help, NeverShowsASecret) {
  TestProgram program;
  EXPECT_THAT(help_setting(program.settings().key), HasSubstr("  value    (empty)\n"));
  program.settings().key.parse("hunter2", {config::Origin::Kind::environment, "WALG_LIBSODIUM_KEY"});
  const std::string help = help_setting(program.settings().key);
  EXPECT_THAT(help, HasSubstr("  value    ********\n  from     environment variable WALG_LIBSODIUM_KEY\n"));
  EXPECT_THAT(help, Not(HasSubstr("hunter2")));
}

TEST(Help, OfAKeyThatIsOnlyAcceptedSaysSo) {
  const TestProgram program;
  const std::string help = help_setting(program(), "WALE_GS_PREFIX");
  EXPECT_THAT(help, StartsWith("WALG_GS_PREFIX\n"));
  EXPECT_THAT(help, HasSubstr("WALE_GS_PREFIX"));
  EXPECT_THAT(help, HasSubstr("Accepted, not used by this version."));
  EXPECT_THAT(help_setting(program(), "PGHOST"), HasSubstr("handed to libraries"));
  EXPECT_EQ(help_setting(program(), "NO_SUCH_KEY"), "");
}

TEST(Help, ListsSettingFlagsOnce) {
  const TestProgram program;
  const std::string flags = program.parse({"flags"}).print;
  EXPECT_THAT(flags, HasSubstr("  --walg-file-prefix path "));
  EXPECT_THAT(flags, HasSubstr("  --walg-gs-prefix "));
  EXPECT_EQ(flags.find("--walg-upload-concurrency"), flags.rfind("--walg-upload-concurrency"));
}

TEST(Completion, ScriptsForBashParse) {
  const TestProgram program;
  const TempDir directory;
  std::ofstream(directory / "script") << program.parse({"completion", "bash"}).print;
  EXPECT_EQ(shell("bash -n " + (directory / "script").native()), "");
}

TEST(Completion, BashOffersWhatFits) {
  const TestProgram program;
  EXPECT_THAT(completed(program(), {"backup-"}), UnorderedElementsAre("backup-push", "backup-fetch", "backup-list"));
  EXPECT_THAT(completed(program(), {"--config", "x", "backup-p"}), ElementsAre("backup-push"));
  EXPECT_THAT(completed(program(), {"backup-push", "--p"}), ElementsAre("--permanent"));
  EXPECT_THAT(completed(program(), {"backup-list", "--p"}), IsEmpty());
  EXPECT_THAT(completed(program(), {"backup-list", "--t"}), ElementsAre("--turbo"));
  EXPECT_THAT(completed(program(), {"--log-format", "j"}), ElementsAre("json"));
  EXPECT_THAT(completed(program(), {"s"}), ElementsAre("st"));
  EXPECT_THAT(completed(program(), {"st", ""}), ElementsAre("look"));
  EXPECT_THAT(completed(program(), {"st", "look", "completion.b"}), ElementsAre("completion.bash"));
  EXPECT_THAT(completed(program(), {"completion", ""}), ElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(completed(program(), {"help", "WALG_U"}), ElementsAre("WALG_UPLOAD_CONCURRENCY"));
  EXPECT_THAT(completed(program(), {"backup-list", "--walg-up"}), ElementsAre("--walg-upload-concurrency"));
  EXPECT_THAT(completed(program(), {"backup-push", "--add-user-data", "completion.b"}), ElementsAre("completion.bash"));
  EXPECT_THAT(completed(program(), {"backup-push", "run"}), ElementsAre("run.bash"));
}

TEST(Completion, OtherShellsNameCommandsAndEscapeHelp) {
  const TestProgram program;
  const std::string zsh = completion(program(), "zsh");
  EXPECT_THAT(zsh, StartsWith("#compdef seawall\n"));
  EXPECT_THAT(zsh, HasSubstr("    'backup-push:Take a base backup'\n"));
  EXPECT_THAT(zsh, HasSubstr("'(-f --full)'{-f,--full}'[It'\\''s \\[full\\]\\: yes]'"));
  EXPECT_THAT(zsh, HasSubstr("'--add-user-data[Kept with it]:JSON:_files'"));
  const std::string fish = completion(program(), "fish");
  EXPECT_THAT(fish,
              HasSubstr("complete -c seawall -n __fish_use_subcommand -f -a backup-push -d 'Take a base backup'\n"));
  EXPECT_THAT(fish, HasSubstr("complete -c seawall -n '__fish_seen_subcommand_from backup-push' -l full -s f "
                              "-d 'It\\'s [full]: yes'\n"));
  EXPECT_THAT(fish, Not(HasSubstr("wal-prefetch")));
}

TEST(Pages, SettingsAreGroupedAndEscaped) {
  const TestProgram program;
  const std::string page = settings_page(program());
  EXPECT_THAT(page, HasSubstr("\n## Storage\n\n| Name | Type | Default | Meaning |\n|---|---|---|---|\n"
                              "| `WALG_FILE_PREFIX` | path | – | Directory of the archive: a\\|b. "
                              "Also `WALE_FILE_PREFIX`. |\n"));
  EXPECT_THAT(page, HasSubstr("| `WALG_UPLOAD_CONCURRENCY` | integer, 1 to 1000 | `16` |"));
  EXPECT_THAT(page, HasSubstr("## Backups and restores\n\n| Name | Type | Default | Meaning |\n|---|---|---|---|\n"
                              "| `SEAWALL_CAREFUL` | boolean | `true` | Be careful. |\n"));
  EXPECT_THAT(page, HasSubstr("| `WALG_GCS_MAX_RETRIES`, `WALE_GCS_MAX_RETRIES`, `GCS_MAX_RETRIES` |"));
  EXPECT_THAT(page, Not(HasSubstr("| `WALG_FILE_PREFIX`, `WALE_FILE_PREFIX` |")));
}

TEST(Pages, ExitCodesListEveryCodeAndCommand) {
  const TestProgram program;
  const std::string page = exit_codes_page(program());
  for (const ErrcInfo& row : all_errcs()) {
    EXPECT_THAT(page, HasSubstr("| " + std::to_string(row.exit_status) + " | `" + std::string(row.name) + "` |"));
  }
  EXPECT_THAT(page, HasSubstr("| `backup-push` | 1 | `db`, `in_use` |\n"));
  EXPECT_THAT(page, HasSubstr("| `drill` | as above | `corrupt` |\n"));
}

TEST(Pages, ManualsEndWithTheirDeclarations) {
  const TestProgram program;
  const std::string push = manual_page(program(), *program().commands[0]);
  EXPECT_THAT(push, StartsWith("# backup-push\n\nTakes a `base` backup"));
  EXPECT_THAT(push, HasSubstr("## Synopsis\n\n    seawall backup-push [DIRECTORY] [options]\n"));
  EXPECT_THAT(push, HasSubstr("| `DIRECTORY` | Optional. The data directory. |\n"));
  EXPECT_THAT(push, HasSubstr("| `-n`, `--steps N` | How many |\n"));
  EXPECT_THAT(push, HasSubstr("| 1 | failure; the log names the cause |\n"));
  const std::string drill = manual_page(program(), *program().commands[4]);
  EXPECT_THAT(drill, StartsWith("# drill\n\nProve that it restores.\n\n## Synopsis\n"));
  EXPECT_THAT(drill, HasSubstr("| 8 | `corrupt` |\n"));
}

TEST(EmbeddedManual, IsTheFileToTheByte) {
  EXPECT_EQ(manuals::two_quotes,
            "# Quotes\n\nA manual may hold )manual\" and R\"manual(, a back\\slash, $dollar ${NAME}; [brackets] and "
            "\xC3\xBCn\xC3\xAF"
            "code.\n\nSecond\n");
}

}  // namespace
}  // namespace seawall::cli
