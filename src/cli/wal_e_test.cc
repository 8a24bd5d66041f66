#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/error.hh"
#include "cli/wal_e_arguments.hh"
#include "cli/wal_e_log.hh"
#include "cli/wal_e_setup.hh"

namespace seawall::cli {
namespace {

using testing::HasSubstr;

WalEParsed parse(std::vector<const char*> words) { return parse_wal_e_arguments(words); }
std::string complaint(std::vector<const char*> words) { return parse(std::move(words)).complaint; }

TEST(WalEArguments, TakesOptionsAsArgparseDoes) {
  const WalEArguments push = parse({"--terse", "--gpg-key-id=ops", "-kAKID", "backup-push", "/data", "--pool", "2",
                                    "--cluster-read-rate-limit", "4000000"})
                                 .arguments;
  EXPECT_EQ(push.command, "backup-push");
  EXPECT_EQ(push.directory, "/data");
  EXPECT_EQ(push.pool_size, 2);
  EXPECT_EQ(push.rate_limit, 4000000);
  EXPECT_TRUE(push.terse);
  EXPECT_EQ(push.gpg_key_id, "ops");
  EXPECT_EQ(push.access_key_id, "AKID");

  const WalEArguments fetch = parse({"wal-fetch", "-p", "-1", "SEG", "DEST"}).arguments;
  EXPECT_EQ(fetch.pool_size, -1);
  EXPECT_EQ(fetch.name, "SEG");
  EXPECT_EQ(fetch.file, "DEST");
  EXPECT_TRUE(parse({"backup-list", "--det"}).arguments.detail);
  EXPECT_EQ(parse({"backup-list"}).arguments.name, "");
  EXPECT_EQ(parse({"backup-fetch", "--restore-spec", "SOURCE", "/d", "LATEST", "--blind"}).arguments.restore_spec,
            "SOURCE");
  EXPECT_EQ(parse({}).arguments.command, "");
}

TEST(WalEArguments, OptionsOfDeleteComeBeforeItsSubcommand) {
  const WalEArguments given = parse({"delete", "--con", "-n", "retain", "-1"}).arguments;
  EXPECT_EQ(given.command, "delete retain");
  EXPECT_TRUE(given.confirm);
  EXPECT_TRUE(given.dry_run);
  EXPECT_EQ(given.retain, -1);
  EXPECT_THAT(complaint({"delete", "retain", "5", "--confirm"}), HasSubstr("--confirm"));
  EXPECT_EQ(parse({"delete"}).arguments.command, "delete");
  EXPECT_EQ(parse({"delete", "everything"}).arguments.command, "delete everything");
}

TEST(WalEArguments, SaysWhatIsWrong) {
  EXPECT_THAT(complaint({"frobnicate"}), HasSubstr("'frobnicate'"));
  EXPECT_THAT(complaint({"backup-lst"}), HasSubstr("backup-list"));
  EXPECT_THAT(complaint({"backup-list", "--terse"}), HasSubstr("--terse"));
  EXPECT_THAT(complaint({"--version"}), HasSubstr("--version"));
  EXPECT_THAT(complaint({"backup-fetch", "/d"}), HasSubstr("BACKUP_NAME"));
  EXPECT_THAT(complaint({"backup-push", "/d", "more"}), HasSubstr("more"));
  EXPECT_THAT(complaint({"backup-push", "/d", "--cluster-read-rate-limit", "x"}), HasSubstr("'x'"));
  EXPECT_THAT(complaint({"delete", "retain", "x"}), HasSubstr("'x'"));
  EXPECT_THAT(complaint({"delete", "retain"}), HasSubstr("NUM_TO_RETAIN"));
  EXPECT_THAT(complaint({"delete", "old"}), HasSubstr("'old'"));
  EXPECT_THAT(complaint({"-k", "a", "--aws-instance-profile", "backup-list"}), HasSubstr("not allowed"));
  EXPECT_THAT(complaint({"--gpg-key-id"}), HasSubstr("expected one argument"));
  EXPECT_THAT(complaint({"--gpg-key", "x", "--g", "y", "backup-list"}), HasSubstr("ambiguous"));
  EXPECT_THAT(parse({"--help"}).print, HasSubstr("backup-push"));
  EXPECT_THAT(parse({"wal-push", "-h"}).print, HasSubstr("WAL_SEGMENT"));
}

TEST(WalELog, WritesRates) {
  EXPECT_EQ(wal_e_rate(12.5 * 1024), "12.5");
  EXPECT_EQ(wal_e_rate(3 * 1024), "03");
  EXPECT_EQ(wal_e_rate(9765620.0 * 1024), "9.76562e+06");
  EXPECT_EQ(wal_e_rate(0), "NaN");
}

class WalELogTest : public testing::Test {
 protected:
  std::string written(WalELogSettings settings, const std::function<void(WalELog&)>& use) {
    settings.destinations = "stderr";
    WalELog log(std::move(settings), clock_);
    testing::internal::CaptureStderr();
    use(log);
    return testing::internal::GetCapturedStderr();
  }
  ManualClock clock_{Time{}};
  const WalELogSettings on_s3_{.url = "s3://bucket/p/", .prefix = "p/"};
};

TEST_F(WalELogTest, WritesWhatParsersOfWalEsLogRead) {
  const std::string text = written(on_s3_, [](WalELog& log) {
    log.event({.action = "push-wal",
               .state = "complete",
               .name = "000000010000000000000007",
               .key = {},
               .file = "pg_wal/000000010000000000000007",
               .bytes_per_second = 2048},
              LogLevel::debug, "not shown");
  });
  EXPECT_THAT(text, testing::StartsWith("wal_e.worker.upload INFO     MSG: completed archiving to a file\n"
                                        "        DETAIL: Archiving to \"s3://bucket/p/wal_005/"
                                        "000000010000000000000007.lzo\" complete at 02KiB/s.\n"
                                        "        STRUCTURED: time="));
  EXPECT_THAT(text, testing::EndsWith(" action=push-wal key=s3://bucket/p/wal_005/000000010000000000000007.lzo "
                                      "prefix=p/ rate=02 seg=000000010000000000000007 state=complete\n"));
}

TEST_F(WalELogTest, IndentsEveryLineAndIsTerseWhenAsked) {
  EXPECT_THAT(written(on_s3_, [](WalELog& log) { log.warning("two\nlines"); }),
              testing::StartsWith("wal_e.main   WARNING  MSG: two\n        lines\n        STRUCTURED: time="));
  WalELogSettings terse = on_s3_;
  terse.terse = true;
  EXPECT_EQ(written(terse, [](WalELog& log) { log.info("nothing"); }), "");
}

TEST_F(WalELogTest, SendsDatagramsToSyslog) {
  std::string directory = testing::TempDir() + "logXXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/log";
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  WalELogSettings settings = on_s3_;
  settings.destinations = "syslog, stderr";  // not trimmed, as WAL-E has it: the second word is none that is known
  settings.facility = "local0";
  settings.syslog = {directory, path};
  testing::internal::CaptureStderr();
  WalELog(settings, clock_).error("broken");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  std::array<char, 4096> buffer{};
  const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  ::close(fd);
  std::filesystem::remove_all(directory);
  ASSERT_GT(n, 0);
  const std::string datagram(buffer.data(), static_cast<std::size_t>(n));
  EXPECT_THAT(datagram, testing::StartsWith("<131>wal_e.main   ERROR    MSG: broken\n        STRUCTURED: time="));
  EXPECT_EQ(datagram.back(), '\0');
}

TEST_F(WalELogTest, SaysWhichFacilityIsUnknown) {
  WalELogSettings settings = on_s3_;
  settings.destinations = "syslog";
  settings.facility = "bogus";
  settings.syslog = {};
  testing::internal::CaptureStderr();
  WalELog(settings, clock_).error("unseen");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("bogus"));
}

class WalESetupTest : public testing::Test {
 protected:
  std::string refused(std::vector<const char*> variables, WalEArguments arguments = {}, Errc code = Errc::config) {
    variables.push_back(nullptr);
    config::Sources sources;
    try {
      WalESetup(arguments, variables.data()).configure(sources);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "nothing was thrown";
  }
  /// What a setting came to.
  static std::string value(std::vector<const char*> variables, std::string_view key, WalEArguments arguments = {}) {
    variables.push_back(nullptr);
    config::Sources sources;
    WalESetup(arguments, variables.data()).configure(sources);
    const auto found = sources.find(key);
    return found ? found->text : "unset";
  }
};

TEST_F(WalESetupTest, ChoosesTheStorageAsWalEDoes) {
  EXPECT_EQ(value({"WALE_S3_PREFIX=s3://b/x", "WALE_FILE_PREFIX=file://localhost/a/b"}, "WALG_FILE_PREFIX"), "/a/b/");
  EXPECT_EQ(value({"WALE_FILE_PREFIX=file:///a", "WALG_S3_PREFIX=s3://other"}, "WALG_S3_PREFIX"), "unset");
  WalEArguments option;
  option.file_prefix = "file://localhost/c";
  EXPECT_EQ(value({"WALE_FILE_PREFIX=file:///a"}, "WALG_FILE_PREFIX", option), "/c/");
  EXPECT_THAT(refused({}), HasSubstr("no storage prefix"));
  EXPECT_THAT(refused({"WALE_FILE_PREFIX="}), HasSubstr("no storage prefix"));
  EXPECT_THAT(refused({"WALE_FILE_PREFIX=/a"}), HasSubstr("'/a'"));
  EXPECT_THAT(refused({"WALE_FILE_PREFIX=ftp://x/y"}), HasSubstr("ftp://x/y"));
  EXPECT_THAT(refused({"WALE_GS_PREFIX=gs://b/p"}, {}, Errc::unsupported), HasSubstr("not built"));
  EXPECT_THAT(refused({"WALE_WABS_PREFIX=wabs://b/p"}, {}, Errc::unsupported), HasSubstr("not built"));
  EXPECT_THAT(refused({"WALE_SWIFT_PREFIX=swift://b/p"}, {}, Errc::unsupported), HasSubstr("not built"));
}

TEST_F(WalESetupTest, AsksAmazonForEncryptionAndOthersNot) {
  const std::vector<const char*> amazon{"WALE_S3_PREFIX=s3://b/x", "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=a",
                                        "AWS_SECRET_ACCESS_KEY=b"};
  EXPECT_EQ(value(amazon, "WALG_S3_SSE"), "AES256");
  std::vector<const char*> own = amazon;
  own.push_back("WALE_S3_SSE=aws:kms");
  EXPECT_EQ(value(own, "WALG_S3_SSE"), "unset");
  EXPECT_EQ(value({"WALE_S3_PREFIX=s3://b/x", "WALE_S3_ENDPOINT=http+path://h:1"}, "WALG_S3_SSE"), "unset");
}

TEST_F(WalESetupTest, NamesWhatAmazonNeeds) {
  EXPECT_THAT(refused({"WALE_S3_PREFIX=s3://b/x"}), HasSubstr("AWS_ACCESS_KEY_ID"));
  EXPECT_THAT(refused({"WALE_S3_PREFIX=s3://b/x", "AWS_ACCESS_KEY_ID=a"}), HasSubstr("AWS_SECRET_ACCESS_KEY"));
  EXPECT_THAT(refused({"WALE_S3_PREFIX=s3://b/x", "AWS_INSTANCE_PROFILE=true"}), HasSubstr("AWS_REGION"));
  EXPECT_THAT(refused({"WALE_S3_PREFIX=s3://b/x", "AWS_INSTANCE_PROFILE=maybe"}, {}, Errc::usage), HasSubstr("maybe"));
}

TEST_F(WalESetupTest, WritesLzoUnlessToldOtherwise) {
  const char* place = "WALE_FILE_PREFIX=file:///a";
  EXPECT_EQ(value({place, "WALG_COMPRESSION_METHOD=zstd"}, "WALG_COMPRESSION_METHOD"), "lzo");
  EXPECT_EQ(value({place, "SEAWALL_WALE_COMPRESSION=zstd"}, "WALG_COMPRESSION_METHOD"), "zstd");
  EXPECT_EQ(value({place, "WALE_RETRIES=7"}, "WALG_S3_MAX_RETRIES"), "7");
  EXPECT_THAT(refused({place, "WALE_RETRIES=abc"}, {}, Errc::usage), HasSubstr("abc"));
}

}  // namespace
}  // namespace seawall::cli
