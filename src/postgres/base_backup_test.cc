#include "postgres/base_backup.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hh"

namespace seawall::postgres {
namespace {

using ::testing::ElementsAre;

TEST(BaseBackupCommand, IsSpelledAsEachMajorWantsIt) {
  const BaseBackupOptions plain{.label = "it's"};
  EXPECT_EQ(base_backup_command(100023, plain), "BASE_BACKUP LABEL 'it''s' FAST NOWAIT TABLESPACE_MAP");
  EXPECT_EQ(base_backup_command(110022, plain),
            "BASE_BACKUP LABEL 'it''s' FAST NOWAIT TABLESPACE_MAP NOVERIFY_CHECKSUMS");
  EXPECT_EQ(base_backup_command(130023, plain),
            "BASE_BACKUP LABEL 'it''s' FAST NOWAIT TABLESPACE_MAP MANIFEST 'yes' NOVERIFY_CHECKSUMS");
  EXPECT_EQ(base_backup_command(150004, plain),
            "BASE_BACKUP (LABEL 'it''s', CHECKPOINT 'fast', TABLESPACE_MAP, WAIT false, MANIFEST 'yes', "
            "VERIFY_CHECKSUMS false)");
  const BaseBackupOptions all{.label = "l", .bytes_per_second = 100000000, .verify_checksums = true};
  EXPECT_EQ(base_backup_command(140000, all),
            "BASE_BACKUP LABEL 'l' FAST MAX_RATE 97656 NOWAIT TABLESPACE_MAP MANIFEST 'yes'");
  EXPECT_EQ(base_backup_command(180000, all),
            "BASE_BACKUP (LABEL 'l', CHECKPOINT 'fast', MAX_RATE 97656, TABLESPACE_MAP, WAIT false, MANIFEST 'yes')");
}

TEST(BaseBackupCommand, KeepsTheRateWithinWhatServersTake) {
  const auto command = [](std::uint64_t rate) {
    return base_backup_command(120000, {.label = "l", .bytes_per_second = rate, .verify_checksums = true});
  };
  EXPECT_EQ(command(1), "BASE_BACKUP LABEL 'l' FAST MAX_RATE 32 NOWAIT TABLESPACE_MAP");
  EXPECT_EQ(command(std::uint64_t{1} << 40), "BASE_BACKUP LABEL 'l' FAST MAX_RATE 1048576 NOWAIT TABLESPACE_MAP");
}

class Recorder final : public BaseBackupEvents {
 public:
  void started(const BaseBackupStart& /*start*/) override {}
  void begin_archive(std::string_view oid) override { events.push_back("archive " + std::string(oid)); }
  void data(Bytes data) override { events.push_back("data " + std::string(text_of(data))); }
  void end_archive() override { events.emplace_back("end"); }
  void begin_manifest() override { events.emplace_back("manifest"); }
  void manifest(Bytes data) override { events.push_back("lines " + std::string(text_of(data))); }
  void end_manifest() override { events.emplace_back("end of manifest"); }
  void waiting() override {}
  std::vector<std::string> events;
};

TEST(ArchiveMessages, AreArchivesOneAfterTheOtherAndAManifest) {
  using namespace std::string_view_literals;
  Recorder recorder;
  ArchiveMessages messages(recorder);
  for (const std::string_view message :
       {"n16385.tar\0/srv/ts\0"sv, "dab"sv, "p\0\0\0\0\0\0\0\1"sv, "dc"sv, "nbase.tar\0\0"sv, "dd"sv, "m"sv, "d{}"sv}) {
    messages.message(bytes_of(message));
  }
  messages.end();
  EXPECT_THAT(recorder.events, ElementsAre("archive 16385", "data ab", "data c", "end", "archive ", "data d", "end",
                                           "manifest", "lines {}", "end of manifest"));
}

TEST(ArchiveMessages, RefuseWhatNoServerSends) {
  using namespace std::string_view_literals;
  const auto refused = [](std::initializer_list<std::string_view> sent) {
    Recorder recorder;
    ArchiveMessages messages(recorder);
    try {
      for (const std::string_view message : sent) messages.message(bytes_of(message));
      messages.end();
    } catch (const Error& error) {
      return error.code() == Errc::db;
    }
    return false;
  };
  EXPECT_FALSE(refused({"nbase.tar\0\0"sv}));
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({""sv}));
  EXPECT_TRUE(refused({"x"sv}));
  EXPECT_TRUE(refused({"dab"sv}));
  EXPECT_TRUE(refused({"m"sv}));
  EXPECT_TRUE(refused({"nbase.tar"sv}));
  EXPECT_TRUE(refused({"nbase.tar\0"sv}));
  EXPECT_TRUE(refused({"n../../x.tar\0\0"sv}));
  EXPECT_TRUE(refused({"nbase\0\0"sv}));
  EXPECT_TRUE(refused({"nbase.tar\0\0"sv, "m"sv, "m"sv}));
  EXPECT_TRUE(refused({"nbase.tar\0\0"sv, "m"sv, "nbase.tar\0\0"sv}));
}

}  // namespace
}  // namespace seawall::postgres
