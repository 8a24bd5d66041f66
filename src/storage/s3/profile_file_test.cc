#include "storage/s3/profile_file.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <map>

#include "base/error.hh"
#include "support/temp_dir.hh"

namespace seawall::storage::s3 {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string value(const IniFile& file, std::string_view section, std::string_view key) {
  const auto found = file.find(section);
  if (found == file.end()) return "no such section";
  const auto entry = found->second.find(key);
  return entry == found->second.end() ? "no such key" : entry->second.text;
}

std::pair<Errc, std::string> failure_of(std::string_view text) {
  try {
    parse_ini(text, "config");
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {Errc::bug, "no failure"};
}

TEST(Ini, ReadsWhatPeopleWrite) {
  const IniFile file = parse_ini(
      "\xEF\xBB\xBF# first\r\n"
      "[default]\r\n"
      "AWS_Access_Key_Id=AKID ; mine\r\n"
      "aws_secret_access_key =  a+b/c==\t# the secret\r\n"
      "region: eu-west-1\r\n"
      "\r\n"
      "  ; indented comment\r\n"
      "[ profile   backup ] # who\n"
      "role_arn = arn:aws:iam::1:role/r#1;x\n"
      "empty =\n"
      "nothing = # but a comment\n"
      "[profile 'two words']\n"
      "region = r2",
      "config");
  EXPECT_EQ(value(file, "default", "aws_access_key_id"), "AKID");
  EXPECT_EQ(value(file, "default", "aws_secret_access_key"), "a+b/c==");
  EXPECT_EQ(value(file, "default", "region"), "eu-west-1");
  EXPECT_EQ(value(file, "profile backup", "role_arn"), "arn:aws:iam::1:role/r#1;x");
  EXPECT_EQ(value(file, "profile backup", "empty"), "");
  EXPECT_EQ(value(file, "profile backup", "nothing"), "");
  EXPECT_EQ(value(file, "profile two words", "region"), "r2");
  EXPECT_EQ(file.size(), 3U);
  EXPECT_EQ(file.at("profile backup").at("role_arn").line, 9U);
}

TEST(Ini, LeavesSubSettingsToTheirOwners) {
  const IniFile file = parse_ini(
      "[default]\n"
      "s3 =\n"
      "  region = wrong\n"
      "  addressing_style = path\n"
      "region = right\n"
      "credential_process = a\n"
      "\tb without any sign\n"
      " [next]\n"
      "    region = indented\n"
      "    output = text\n",
      "config");
  EXPECT_EQ(value(file, "default", "region"), "right");
  EXPECT_EQ(value(file, "default", "addressing_style"), "no such key");
  EXPECT_EQ(value(file, "default", "credential_process"), "a");
  EXPECT_EQ(value(file, "next", "region"), "indented");
  EXPECT_EQ(value(file, "next", "output"), "text");
}

TEST(Ini, JoinsSectionsOfOneName) {
  const IniFile file = parse_ini("[a]\nx = 1\ny = 1\n[b]\nx = 2\n[a]\nx = 3\n", "config");
  EXPECT_EQ(value(file, "a", "x"), "3");
  EXPECT_EQ(value(file, "a", "y"), "1");
  EXPECT_EQ(value(file, "b", "x"), "2");
}

TEST(Ini, SaysWhereItIsWrongWithoutQuotingIt) {
  const std::pair<std::string, std::string> cases[] = {
      {"[a]\nx = 1\nhunter2secret\n", "config:3: this is neither '[section]' nor 'key = value'"},
      {"hunter2secret = 1\n", "config:1: this key stands before the first '[section]'"},
      {"[a]\n\n[hunter2secret\n", "config:3: the ']' of the section's name is missing"},
      {"[a] hunter2secret\n", "config:1: nothing but a comment may follow the section's ']'"},
      {"[a]\n= hunter2secret\n", "config:2: there is no key before the '='"},
      {"[ ]\n", "config:1: the section has no name"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(failure_of(text), std::pair(Errc::config, message));
}

class Profiles : public testing::Test {
 protected:
  void write(const std::filesystem::path& name, std::string_view text) {
    std::filesystem::create_directories((home_ / name).parent_path());
    std::ofstream(home_ / name) << text;
  }
  Lookup lookup() {
    return [this](std::string_view key) -> std::optional<std::string> {
      const auto found = settings_.find(std::string(key));
      return found == settings_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  static std::string text(const Profile* profile, std::string_view key) {
    if (profile == nullptr) return "no profile";
    const Profile::Value* found = profile->find(key);
    return found == nullptr ? "unset" : found->text + " @ " + std::filesystem::path(found->where).filename().string();
  }

  test::TempDir home_;
  std::map<std::string, std::string> settings_{{"HOME", home_.path().string()}};
};

TEST_F(Profiles, AreReadFromBothFiles) {
  write(".aws/config",
        "[profile default]\nregion = r1\n[default]\nregion = bare\n"
        "[profile b]\nregion = r2\naws_access_key_id = from-config\n[sso-session s]\nregion = x\n");
  write(".aws/credentials", "[b]\naws_access_key_id = from-credentials\n[c]\naws_access_key_id = c\n");
  const ProfileFiles files(lookup());
  EXPECT_EQ(text(files.find("default"), "region"), "r1 @ config:2");
  EXPECT_EQ(text(files.find("b"), "region"), "r2 @ config:6");
  EXPECT_EQ(text(files.find("b"), "aws_access_key_id"), "from-credentials @ credentials:2");
  EXPECT_EQ(text(files.find("c"), "aws_access_key_id"), "c @ credentials:4");
  EXPECT_EQ(text(files.find("s"), "region"), "no profile");
  EXPECT_EQ(files.find("b")->description(), "profile 'b' in " + (home_ / ".aws/credentials").string());
}

TEST_F(Profiles, AreReadFromNamedFiles) {
  write(".aws/config", "[default]\nregion = wrong\n");
  write("mine", "[default]\nregion = right\n");
  settings_["AWS_CONFIG_FILE"] = "~/mine";
  settings_["AWS_SHARED_CREDENTIALS_FILE"] = (home_ / "missing").string();
  const ProfileFiles files(lookup());
  EXPECT_EQ(text(files.find("default"), "region"), "right @ mine:2");
  EXPECT_EQ(files.description(), (home_ / "mine").string() + ", " + (home_ / "missing").string() + " (does not exist)");
}

TEST_F(Profiles, NeedNotExist) {
  settings_.clear();
  const ProfileFiles files(lookup());
  EXPECT_EQ(files.find("default"), nullptr);
  EXPECT_THAT(files.description(), HasSubstr("HOME is not set"));
}

TEST_F(Profiles, ThatCannotBeReadCountOnlyIfTheyWereNamed) {
  std::filesystem::create_directories(home_ / ".aws/config");  // reading a directory fails, for root as well
  const ProfileFiles files(lookup());
  EXPECT_THAT(files.description(), HasSubstr("/.aws/config: Is a directory"));
  settings_["AWS_CONFIG_FILE"] = (home_ / ".aws/config").string();
  EXPECT_THROW(ProfileFiles{lookup()}, Error);
}

TEST_F(Profiles, NameTheRegion) {
  EXPECT_EQ(configured_region(lookup()), std::nullopt);
  write(".aws/config", "[default]\nregion = r-default\n[profile b]\nregion = r-b\n");
  EXPECT_EQ(configured_region(lookup()), "r-default");
  settings_["AWS_PROFILE"] = "b";
  EXPECT_EQ(configured_region(lookup()), "r-b");
  settings_["AWS_DEFAULT_REGION"] = "r-second";
  EXPECT_EQ(configured_region(lookup()), "r-second");
  settings_["AWS_REGION"] = " r-first\n";
  EXPECT_EQ(configured_region(lookup()), "r-first");
}

}  // namespace
}  // namespace seawall::storage::s3
