#include "config/sources.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hh"
#include "config/known_keys.hh"
#include "support/temp_dir.hh"

namespace seawall::config {
namespace {

using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

const char* const no_environment[] = {nullptr};

/// Sources of one file with that name and content.
Sources from_file(const std::string& name, const std::string& content) {
  const TempDir directory;
  std::ofstream(directory / name) << content;
  Sources sources;
  sources.add_file((directory / name).native());
  return sources;
}

std::string text_of(const Sources& sources, std::string_view key) {
  const auto value = sources.find(key);
  return value ? value->text : "(none)";
}

/// The message of the Errc::config that reading throws; empty if it does not.
std::string complaint(const std::string& name, const std::string& content) {
  try {
    from_file(name, content);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::config);
    return error.what();
  }
  return {};
}

TEST(Sources, FlagBeforeEnvironmentBeforeFile) {
  const TempDir directory;
  const std::string path = (directory / "w.json").native();
  std::ofstream(path) << R"({"WALG_A": "file", "WALG_B": "file", "walg_c": "file"})";
  const char* const environment[] = {"WALG_A=environment", "WALG_B=environment", nullptr};
  Sources sources;
  sources.add_file(path);
  sources.add_environment(environment);
  sources.add_flag("walg_a", "flag", "--walg-a");
  EXPECT_EQ(text_of(sources, "WALG_A"), "flag");
  EXPECT_EQ(origin_text(sources.find("walg_A")->origin), "flag --walg-a");
  EXPECT_EQ(text_of(sources, "WALG_B"), "environment");
  EXPECT_EQ(origin_text(sources.find("WALG_B")->origin), "environment variable WALG_B");
  EXPECT_EQ(text_of(sources, "WALG_C"), "file");
  EXPECT_EQ(origin_text(sources.find("WALG_C")->origin), "file " + path);
  EXPECT_EQ(sources.find("WALG_D"), std::nullopt);
}

TEST(Sources, AnEmptyVariableIsUnsetAndLineEndsAreDropped) {
  Sources sources = from_file("w.json", R"({"WALG_A": "file\r\n", "WALG_B": "f"})");
  const char* const environment[] = {
      "WALG_A=",        "WALG_B=two\r\n", "WALG_C=\n", "walg_d=lower case does not count",
      "no-equals-sign", "WALG_E=a=b",     nullptr};
  sources.add_environment(environment);
  EXPECT_EQ(text_of(sources, "WALG_A"), "file");
  EXPECT_EQ(text_of(sources, "WALG_B"), "two");
  EXPECT_EQ(sources.find("WALG_C"), std::nullopt);
  EXPECT_EQ(sources.find("WALG_D"), std::nullopt);
  EXPECT_EQ(text_of(sources, "WALG_E"), "a=b");
}

TEST(Sources, LoadsANameBeforeItsAliases) {
  struct Storage : Group {
    Setting<std::string> place{*this, {.name = "WALG_FILE_PREFIX", .aliases = {"WALE_FILE_PREFIX"}}};
    Setting<unsigned> uploads{*this, {.name = "WALG_UPLOAD_CONCURRENCY", .initial = 16}};
    Setting<unsigned> downloads{*this, {.name = "WALG_DOWNLOAD_CONCURRENCY", .initial = 10}};
  } storage;
  Sources sources = from_file("w.json", R"({"WALG_FILE_PREFIX": "/name", "WALG_UPLOAD_CONCURRENCY": 4})");
  const char* const environment[] = {"WALE_FILE_PREFIX=/alias", nullptr};
  sources.add_environment(environment);
  sources.load(storage);
  EXPECT_EQ(storage.place(), "/name");
  EXPECT_EQ(storage.uploads(), 4U);
  EXPECT_EQ(storage.uploads.origin().kind, Origin::Kind::file);
  EXPECT_EQ(storage.downloads(), 10U);
  EXPECT_FALSE(storage.downloads.given());

  Sources only_alias;
  only_alias.add_environment(environment);
  only_alias.load(storage);
  EXPECT_EQ(storage.place(), "/alias");
  EXPECT_EQ(storage.place.origin().detail, "WALE_FILE_PREFIX");
}

/// The same content in the three formats.
class Format : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(Format, IsReadToTheSameTexts) {
  const auto& [name, content] = GetParam();
  const Sources sources = from_file(name, content);
  EXPECT_EQ(text_of(sources, "WALG_FILE_PREFIX"), "/archive dir");
  EXPECT_EQ(text_of(sources, "WALG_UPLOAD_CONCURRENCY"), "4");
  EXPECT_EQ(text_of(sources, "WALG_LIMIT"), "0.99");
  EXPECT_EQ(text_of(sources, "WALG_USE_WAL_DELTA"), "true");
  EXPECT_EQ(text_of(sources, "WALG_QUOTED"), "007");
  EXPECT_EQ(text_of(sources, "WALG_FAILOVER_STORAGES"),
            R"({"backup":{"AWS_REGION":"eu","S3_MAX_RETRIES":3,"tags":["a","1",2,true]}})");
}

INSTANTIATE_TEST_SUITE_P(
    All, Format,
    testing::Values(std::pair{"w.json",
                              R"({"walg_file_prefix": "/archive dir", "WALG_UPLOAD_CONCURRENCY": 4, "WALG_LIMIT": 0.99,
  "WALG_USE_WAL_DELTA": true, "WALG_QUOTED": "007",
  "WALG_FAILOVER_STORAGES": {"backup": {"AWS_REGION": "eu", "S3_MAX_RETRIES": 3, "tags": ["a", "1", 2, true]}}})"},
                    std::pair{"w.yaml",
                              "walg_file_prefix: /archive dir\nWALG_UPLOAD_CONCURRENCY: 4\nWALG_LIMIT: 0.99\n"
                              "WALG_USE_WAL_DELTA: True\nWALG_QUOTED: \"007\"\nWALG_FAILOVER_STORAGES:\n  backup:\n"
                              "    AWS_REGION: eu\n    S3_MAX_RETRIES: 3\n    tags: [a, \"1\", 2, true]\n"},
                    std::pair{"W.YML",
                              "{walg_file_prefix: /archive dir, WALG_UPLOAD_CONCURRENCY: 4, WALG_LIMIT: 0.99, "
                              "WALG_USE_WAL_DELTA: true, WALG_QUOTED: '007', WALG_FAILOVER_STORAGES: {backup: "
                              "{AWS_REGION: eu, S3_MAX_RETRIES: 3, tags: [a, '1', 2, true]}}}"},
                    std::pair{"w.toml",
                              "walg_file_prefix = '/archive dir'\nWALG_UPLOAD_CONCURRENCY = 4\nWALG_LIMIT = 0.99\n"
                              "WALG_USE_WAL_DELTA = true\nWALG_QUOTED = \"007\"\n[WALG_FAILOVER_STORAGES.backup]\n"
                              "AWS_REGION = \"eu\"\nS3_MAX_RETRIES = 3\ntags = [\"a\", \"1\", 2, true]\n"},
                    std::pair{"no-extension",
                              "{\"walg_file_prefix\": \"/archive dir\", \"WALG_UPLOAD_CONCURRENCY\": 4,"
                              "\"WALG_LIMIT\": 0.99, \"WALG_USE_WAL_DELTA\": true, \"WALG_QUOTED\": \"007\","
                              "\"WALG_FAILOVER_STORAGES\": {\"backup\": {\"AWS_REGION\": \"eu\","
                              "\"S3_MAX_RETRIES\": 3, \"tags\": [\"a\", \"1\", 2, true]}}}"},
                    std::pair{"w.conf",
                              "walg_file_prefix: /archive dir\nWALG_UPLOAD_CONCURRENCY: 4\nWALG_LIMIT: 0.99\n"
                              "WALG_USE_WAL_DELTA: true\nWALG_QUOTED: '007'\nWALG_FAILOVER_STORAGES: {backup: "
                              "{AWS_REGION: eu, S3_MAX_RETRIES: 3, tags: [a, '1', 2, true]}}\n"}));

TEST(SettingsFile, NumbersKeepTheirSpelling) {
  const Sources json = from_file(
      "w.json",
      R"({"A": 1e3, "B": 0.10, "C": 18446744073709551616, "D": -7, "E": [1.50, 1E2], "F": 18446744073709551615})");
  EXPECT_EQ(text_of(json, "A"), "1e3");
  EXPECT_EQ(text_of(json, "B"), "0.10");
  EXPECT_EQ(text_of(json, "C"), "18446744073709551616");
  EXPECT_EQ(text_of(json, "D"), "-7");
  EXPECT_EQ(text_of(json, "E"), "[1.50,1E2]");
  EXPECT_EQ(text_of(json, "F"), "18446744073709551615");
  const Sources yaml = from_file("w.yaml", "A: 0.10\nB: 0644\nC: [0644, 1.50, yes, ~, -1e5, 1., -, .5]\n");
  EXPECT_EQ(text_of(yaml, "A"), "0.10");
  EXPECT_EQ(text_of(yaml, "B"), "0644");
  EXPECT_EQ(text_of(yaml, "C"), R"(["0644",1.50,"yes",null,-1e5,"1.","-",".5"])");
  const Sources toml = from_file("w.toml", "A = 1_000\nB = 0x10\nC = 1979-05-27\nD = [inf, 07:32:00]\nE = -0.5\n");
  EXPECT_EQ(text_of(toml, "A"), "1000");
  EXPECT_EQ(text_of(toml, "B"), "16");
  EXPECT_EQ(text_of(toml, "C"), "1979-05-27");
  EXPECT_EQ(text_of(toml, "D"), R"(["inf","07:32:00"])");
  EXPECT_EQ(text_of(toml, "E"), "-0.5");
}

TEST(SettingsFile, NullIsUnsetAndTheLastOfTwoCounts) {
  const Sources json =
      from_file("w.json", R"({"A": null, "B": 1, "b": 2, "C": "", "D": {"x": null}, "E": {}, "F": []})");
  EXPECT_EQ(json.find("A"), std::nullopt);
  EXPECT_EQ(text_of(json, "B"), "2");
  EXPECT_EQ(text_of(json, "C"), "");
  EXPECT_EQ(text_of(json, "D"), R"({"x":null})");
  EXPECT_EQ(text_of(json, "E"), "{}");
  EXPECT_EQ(text_of(json, "F"), "[]");
  const Sources yaml = from_file("w.yaml", "A:\nB: ~\nC: 1\nD: ''\n");
  EXPECT_EQ(yaml.find("A"), std::nullopt);
  EXPECT_EQ(yaml.find("B"), std::nullopt);
  EXPECT_EQ(text_of(yaml, "C"), "1");
  EXPECT_EQ(text_of(yaml, "D"), "");
}

TEST(SettingsFile, StringsKeepEveryCharacter) {
  const Sources json = from_file("w.json", R"({"A": "q\"b\\s\u00fc", "B": {"k\"": "v\"\n"}})");
  EXPECT_EQ(text_of(json, "A"), "q\"b\\s\xC3\xBC");
  EXPECT_EQ(text_of(json, "B"), R"({"k\"":"v\"\n"})");
  const Sources yaml = from_file("w.yaml", "A: |\n  -----BEGIN\n  key\nB: !!str 5\nC: [!!str 5]\n");
  EXPECT_EQ(text_of(yaml, "A"), "-----BEGIN\nkey");
  EXPECT_EQ(text_of(yaml, "B"), "5");
  EXPECT_EQ(text_of(yaml, "C"), R"(["5"])");
}

TEST(SettingsFile, YamlAliasesAreWrittenOut) {
  const Sources yaml = from_file("w.yaml", "A: &a 5\nB: *a\nC: &c {x: *a, y: &y [1]}\nD: *c\nE: [*y, *c]\nF: *y\n");
  EXPECT_EQ(text_of(yaml, "B"), "5");
  EXPECT_EQ(text_of(yaml, "C"), R"({"x":5,"y":[1]})");
  EXPECT_EQ(text_of(yaml, "D"), R"({"x":5,"y":[1]})");
  EXPECT_EQ(text_of(yaml, "E"), R"([[1],{"x":5,"y":[1]}])");
  EXPECT_EQ(text_of(yaml, "F"), "[1]");
}

TEST(SettingsFile, EmptyFilesOfYamlAndTomlHoldNothing) {
  EXPECT_EQ(from_file("w.yaml", "").find("A"), std::nullopt);
  EXPECT_EQ(from_file("w.yaml", "# nothing\n---\n").find("A"), std::nullopt);
  EXPECT_EQ(from_file("w.toml", "# nothing\n").find("A"), std::nullopt);
  EXPECT_THAT(complaint("w.json", ""), HasSubstr("w.json: line 1, column 1"));
}

TEST(SettingsFile, ComplaintsTellThePlaceAndNothingSecret) {
  const std::string json = complaint("w.json", "{\n  \"A\": 1,\n  \"PGPASSWORD\": \"hunter2\n}");
  EXPECT_THAT(json, HasSubstr("w.json: line 3"));
  EXPECT_THAT(json, Not(HasSubstr("hunter2")));
  EXPECT_THAT(complaint("w.json", "{\"A\": 1,\n \"B\" 2}"), HasSubstr("w.json: line 2, column 6: this is not JSON"));
  const std::string yaml = complaint("w.yaml", "A: 1\nPGPASSWORD: [hunter2\n");
  EXPECT_THAT(yaml, HasSubstr("w.yaml: line "));
  EXPECT_THAT(yaml, Not(HasSubstr("hunter2")));
  const std::string toml = complaint("w.toml", "A = 1\nPGPASSWORD = hunter2\n");
  EXPECT_THAT(toml, HasSubstr("w.toml: line 2"));
  EXPECT_THAT(toml, Not(HasSubstr("hunter2")));
}

TEST(SettingsFile, AYamlFileCutOffInsideQuotesIsRefused) {
  for (const char* text :
       {"A: 1\nB: 'hunter2", "A: \xC3\xBC\nB: \"hunter2\\\"\n", "A: 1\nB: 'it''s\n", "A: 1\nB: [\"x"}) {
    const std::string why = complaint("w.yaml", text);
    EXPECT_THAT(why, HasSubstr("w.yaml: line 2")) << text;
    EXPECT_THAT(why, Not(HasSubstr("hunter2")));
  }
  const Sources yaml = from_file("w.yaml", "A: '\xC3\xBC it''s'\nB: \"\\\"\"\nC: ''\nD: |\n  'open\n'E': !!str 'x'");
  EXPECT_EQ(text_of(yaml, "A"), "\xC3\xBC it's");
  EXPECT_EQ(text_of(yaml, "B"), "\"");
  EXPECT_EQ(text_of(yaml, "C"), "");
  EXPECT_EQ(text_of(yaml, "D"), "'open");
  EXPECT_EQ(text_of(yaml, "E"), "x");
}

TEST(SettingsFile, WhatIsNoTableOfKeysIsRefused) {
  for (const char* text : {"[1, 2]", "5", "\"x\"", "null", "true"}) {
    EXPECT_THAT(complaint("w.json", text), HasSubstr("must hold keys with values")) << text;
  }
  EXPECT_THAT(complaint("w.toml", "[ \n=A1B.7]\n"), HasSubstr("this is not TOML"));
  EXPECT_THAT(complaint("w.toml", "[B.\xC9\xA6\n"), HasSubstr("this is not TOML"));
  EXPECT_THAT(complaint("w.yaml", "just words\n"), HasSubstr("must hold keys with values"));
  EXPECT_THAT(complaint("w.yaml", "- a\n- b\n"), HasSubstr("must hold keys with values"));
  EXPECT_THAT(complaint("w.yaml", "? [a]\n: b\n"), HasSubstr("a key must be a word"));
  EXPECT_THAT(complaint("no-extension", "neither {\n"), HasSubstr("no-extension"));
}

TEST(SettingsFile, DepthAndGrowthAreBounded) {
  const std::string deep(100000, '[');
  EXPECT_THAT(complaint("w.json", "{\"A\": " + deep), HasSubstr("nested too deeply"));
  EXPECT_NE(complaint("w.yaml", "A: " + deep), "");
  EXPECT_NE(complaint("w.toml", "A = " + deep), "");
  std::string dots = "[a";
  for (int i = 0; i < 100000; ++i) dots += ".a";
  EXPECT_THAT(complaint("w.toml", dots + "]\n"), HasSubstr("more than 64 dots"));
  std::string laughs = "A0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "A" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) laughs += (j == 0 ? "" : ", ") + before;
    laughs += "]\n";
  }
  EXPECT_THAT(complaint("w.yaml", laughs), HasSubstr("longer than 4 MiB"));
  EXPECT_NE(complaint("w.yaml", "A: &a [*a]\n"), "");
}

TEST(SettingsFile, WhatBreaksTomlKeysMayStandInItsTexts) {
  const std::string dots = std::string(200, '.') + "\xC3\xBC";
  const Sources toml =
      from_file("w.toml", "\xEF\xBB\xBF# " + dots + "\nA = \"" + dots + "\\\"" + dots + "\"\nB = '''\n" + dots + "\n'" +
                              dots + "'''\nC = '" + dots + "'\nD = \"\"\"" + dots +
                              "\"\"\"\"\"\nE = \"\"\n\"\xC3\xBC\" = 1\nF = \"\"\"\\\n\xC3\xBC\"\"\"\n# \"" + dots);
  EXPECT_EQ(text_of(toml, "A"), dots + "\"" + dots);
  EXPECT_EQ(text_of(toml, "B"), dots + "\n'" + dots);
  EXPECT_EQ(text_of(toml, "C"), dots);
  EXPECT_EQ(text_of(toml, "D"), dots + "\"\"");
  EXPECT_EQ(text_of(toml, "E"), "");
  EXPECT_EQ(text_of(toml, "F"), "\xC3\xBC");
}

TEST(SettingsFile, AMissingOneIsNotFoundAndABadOneLeavesNothing) {
  Sources sources;
  const TempDir directory;
  try {
    sources.add_file((directory / "none.json").native());
    ADD_FAILURE() << "a missing file was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::not_found);
    EXPECT_THAT(error.what(), HasSubstr("none.json"));
  }
  std::ofstream(directory / "bad.json") << R"({"WALG_A": 1, "WALG_B": })";
  EXPECT_THROW(sources.add_file((directory / "bad.json").native()), Error);
  EXPECT_EQ(sources.find("WALG_A"), std::nullopt);
}

TEST(Sources, OnlyMisspellingsAreUnknown) {
  Sources sources = from_file(
      "w.json", R"({"walg_file_prefx": 1, "WALG_FILE_PREFIX": 1, "GCS_MAX_RETRIES": 1, "WALE_GCS_MAX_RETRIES": 1,
    "PGCONNECT_TIMEOUT": 1, "AWS_ANYTHING": 1, "OTHER": 1, "SEAWALL_OWN": 1, "WALG_TARGET_STORAGE": 1})");
  const char* const environment[] = {"WALG_CONFIG_PATH=/x", "WALG_UPLOAD_CONCURENCY=1", "WALE_NOTHING=1", "HOME=/root",
                                     "SEAWALL_ODD=1",       "WALG_FILE_PREFX=2",        "GS_PREFIX=1",    nullptr};
  sources.add_environment(environment);
  EXPECT_THAT(sources.unknown({"seawall_own"}),
              ElementsAre("OTHER", "SEAWALL_ODD", "WALE_NOTHING", "WALG_FILE_PREFX", "WALG_UPLOAD_CONCURENCY"));
}

TEST(Sources, LibraryKeysAreExportedUnlessTheEnvironmentHasThem) {
  Sources sources = from_file("w.json", R"({"PGHOST": "/file", "PGPORT": 5433, "pguser": "walg", "WALG_A": 1,
    "AWS_REGION": "eu", "PGPASSWORD": "x"})");
  const char* const environment[] = {"PGPORT=5432", "PGUSER=", "PGDATABASE=kept", nullptr};
  sources.add_environment(environment);
  sources.add_flag("PGDATABASE", "flag", "--pgdatabase");
  sources.add_flag("WALG_B", "flag", "--walg-b");
  EXPECT_THAT(sources.to_export(),
              ElementsAre(Pair("AWS_REGION", "eu"), Pair("PGDATABASE", "flag"), Pair("PGHOST", "/file"),
                          Pair("PGPASSWORD", "x"), Pair("PGUSER", "walg")));
}

TEST(SettingsFilePath, FlagThenVariableThenHome) {
  const char* const environment[] = {"WALG_CONFIG_PATHS=/no", "WALG_CONFIG_PATH=/from/variable.yaml", nullptr};
  EXPECT_EQ(settings_file("/from/flag.json", environment), "/from/flag.json");
  EXPECT_EQ(settings_file(std::nullopt, environment), "/from/variable.yaml");
  const char* const empty[] = {"WALG_CONFIG_PATH=", "HOME=/nonexistent", nullptr};
  EXPECT_EQ(settings_file(std::nullopt, empty), settings_file(std::nullopt, no_environment));
}

TEST(KnownKeys, AreFoundInTheirSpellings) {
  EXPECT_EQ(find_known_key("WALG_GS_PREFIX"), find_known_key("WALE_GS_PREFIX"));
  EXPECT_EQ(find_known_key("GS_PREFIX"), nullptr);
  ASSERT_NE(find_known_key("GCS_ENCRYPTION_KEY"), nullptr);
  EXPECT_EQ(find_known_key("GCS_ENCRYPTION_KEY"), find_known_key("WALE_GCS_ENCRYPTION_KEY"));
  EXPECT_TRUE(find_known_key("GCS_ENCRYPTION_KEY")->secret);
  EXPECT_NE(find_known_key("WALG_DELTA_MAX_STEPS"), nullptr);
  EXPECT_EQ(find_known_key("WALE_DELTA_MAX_STEPS"), nullptr);
  EXPECT_EQ(find_known_key("DELTA_MAX_STEPS"), nullptr);
  EXPECT_EQ(find_known_key("WALG_"), nullptr);
}

TEST(KnownKeys, HaveEachSpellingOnceAndADescription) {
  std::vector<std::string> all;
  for (const KnownKey& key : known_keys()) {
    EXPECT_TRUE(key.doc.ends_with('.')) << key.name;
    for (std::string& name : spellings(key)) {
      EXPECT_EQ(find_known_key(name), &key) << name;
      all.push_back(std::move(name));
    }
    EXPECT_EQ(preferred_name(key), spellings(key).front());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

}  // namespace
}  // namespace seawall::config
