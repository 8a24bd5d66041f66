#include "ops/backup_selection.hh"

#include "ops/list_backups.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

class Backups : public WalTest {
 protected:
  void put(const std::string& name, Time start, const std::string& user_data = {}) {
    archive::BackupMetadata metadata;
    metadata.start_time = start;
    metadata.user_data_json = user_data;
    store_plain(archive::metadata_object(name), archive::print_metadata(metadata));
    store_plain(archive::sentinel_object(name), "{}");
    clock_.advance(std::chrono::minutes(1));
  }
  std::vector<std::string> listed(bool details) {
    std::vector<std::string> names;
    for (const BackupLine& line : list_backups(repository_, {.details = details}, run())) names.push_back(line.name);
    return names;
  }
  Time day(int number) { return Time(std::chrono::hours(24 * number)); }
};

TEST_F(Backups, AreListedByTheirSentinelsAgeAndWithDetailsByTheirStart) {
  put("base_000000010000000000000004", day(3));
  put("base_000000010000000000000002", day(1));
  put("base_000000010000000000000003", day(2));
  store_plain("basebackups_005/base_000000010000000000000009/metadata.json", "{}");
  EXPECT_THAT(listed(false), testing::ElementsAre("base_000000010000000000000004", "base_000000010000000000000002",
                                                  "base_000000010000000000000003"));
  EXPECT_THAT(listed(true), testing::ElementsAre("base_000000010000000000000002", "base_000000010000000000000003",
                                                 "base_000000010000000000000004"));
  const BackupLine line = list_backups(repository_, {.details = true}, run()).front();
  EXPECT_EQ(line.segment_name, "000000010000000000000002");
  EXPECT_EQ(line.storage_name, "default");
  EXPECT_EQ(line.metadata->start_time, day(1));
}

TEST_F(Backups, DetailsOfAnUnknownStartKeepTheSentinelsOrderAndMissingOnesAreSaid) {
  put("base_000000010000000000000004", day(3));
  put("base_000000010000000000000002", Time{});
  EXPECT_THAT(listed(true), testing::ElementsAre("base_000000010000000000000004", "base_000000010000000000000002"));
  store_plain(archive::sentinel_object("base_000000010000000000000007"), "{}");
  // What cannot be read hides nothing else.
  const std::vector<BackupLine> lines = list_backups(repository_, {.details = true}, run());
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_FALSE(lines[2].metadata.has_value());
  EXPECT_THAT(lines[2].problem, HasSubstr("base_000000010000000000000007/metadata.json"));
  EXPECT_THAT(lines[0].problem + lines[1].problem, testing::IsEmpty());
  EXPECT_EQ(listed(false).size(), 3U);
}

TEST_F(Backups, LatestIsTheOneWhoseSentinelIsNewest) {
  EXPECT_EQ(thrown_by([&] { resolve_backup(repository_, "LATEST", run()); }).code(), Errc::not_found);
  put("base_000000010000000000000004", day(3));
  put("base_000000010000000000000002", day(1));
  EXPECT_EQ(resolve_backup(repository_, "LATEST", run()), "base_000000010000000000000002");
  EXPECT_EQ(resolve_backup(repository_, "base_000000010000000000000004", run()), "base_000000010000000000000004");
  const Error near = thrown_by([&] { resolve_backup(repository_, "base_00000001000000000000004", run()); });
  EXPECT_EQ(near.code(), Errc::not_found);
  EXPECT_THAT(near.what(), HasSubstr("Did you mean base_000000010000000000000004"));
}

TEST_F(Backups, AreFoundByTheirUserData) {
  put("base_000000010000000000000002", day(1), R"({"who":"a","n":1})");
  put("base_000000010000000000000003", day(2), R"({"who":"b"})");
  put("base_000000010000000000000004", day(3), R"({"who":"b"})");
  EXPECT_EQ(backup_with_user_data(repository_, R"({ "n": 1.0, "who": "a" })", run()), "base_000000010000000000000002");
  EXPECT_EQ(thrown_by([&] { backup_with_user_data(repository_, R"({"who":"c"})", run()); }).code(), Errc::not_found);
  const Error several = thrown_by([&] { backup_with_user_data(repository_, R"({"who":"b"})", run()); });
  EXPECT_EQ(several.code(), Errc::usage);
  EXPECT_THAT(several.what(),
              AllOf(HasSubstr("base_000000010000000000000003"), HasSubstr("base_000000010000000000000004")));
}

}  // namespace
}  // namespace seawall::ops
