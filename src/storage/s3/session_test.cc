// What is put right by the driver itself, and what refusals become.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "storage/s3/s3_errors.hh"
#include "storage/s3/s3_store.hh"
#include "support/s3_world.hh"
#include "support/temp_dir.hh"

namespace seawall::storage::s3 {
namespace {

using test::http_answer;
using test::SeenRequest;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class S3Session : public test::S3World {
 protected:
  Error put_failure(const std::string& answer) {
    answers({answer});
    return failure_of([&] { open()->put("x", bytes_of("1"), {}, {}); });
  }
};

TEST_F(S3Session, TheBucketsRegionIsAdopted) {
  answers({bare("301 Moved Permanently", "x-amz-bucket-region: eu-central-1\r\n"), head_of(1), head_of(1)});
  const auto store = open();
  EXPECT_TRUE(store->stat("x", {}));
  EXPECT_TRUE(store->stat("x", {}));
  EXPECT_THAT(request(0).head, HasSubstr("/us-east-1/s3/"));
  EXPECT_THAT(request(1).head, HasSubstr("/eu-central-1/s3/"));
  EXPECT_THAT(request(2).head, HasSubstr("/eu-central-1/s3/"));
  EXPECT_THAT(log.text(), HasSubstr("set AWS_REGION to spare a request"));
}

TEST_F(S3Session, TheRegionInABodyIsAdoptedWithTheBodySentAgain) {
  set(settings.region, "eu-west-1");
  answers({refusal("400 Bad Request", "AuthorizationHeaderMalformed", "<Region>ap-south-1</Region>"), put_answer(),
           refusal("307 Temporary Redirect", "TemporaryRedirect", "", "x-amz-bucket-region: us-west-2\r\n"),
           refusal("307 Temporary Redirect", "TemporaryRedirect", "", "x-amz-bucket-region: us-west-1\r\n")});
  const auto store = open();
  store->put("x", bytes_of("the body"), {}, {});
  EXPECT_THAT(request(0).head, HasSubstr("/eu-west-1/s3/"));
  EXPECT_THAT(request(1).head, HasSubstr("/ap-south-1/s3/"));
  EXPECT_EQ(request(1).body, "the body");
  const Error error = failure_of([&] { store->put("x", bytes_of("x"), {}, {}); });
  EXPECT_EQ(error.code(), Errc::config) << "once is enough";
  EXPECT_THAT(error.what(), HasSubstr("the bucket is in region 'us-west-1', the request was signed for 'us-west-2'"));
}

TEST_F(S3Session, ARegionThatIsNoneIsNotAdopted) {
  answers({bare("301 Moved Permanently", "x-amz-bucket-region: evil.example/\r\n")});
  EXPECT_EQ(failure_of([&] { open()->stat("x", {}); }).code(), Errc::config);
  EXPECT_EQ(lines().size(), 1u);
}

TEST_F(S3Session, ExpiredCredentialsAreRenewedOnce) {
  int given = 0;
  special = [&](const SeenRequest& asked_for) -> std::string {
    if (!asked_for.has("GET /creds ")) return {};
    return http_answer("200 OK", "{\"AccessKeyId\":\"AKID" + std::to_string(++given) +
                                     "\",\"SecretAccessKey\":\"the+secret/key\",\"Token\":\"the-token\","
                                     "\"Expiration\":\"2099-01-01T00:00:00Z\"}");
  };
  variables = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url("/creds")},
               {"HOME", "/nonexistent"},
               {"AWS_EC2_METADATA_DISABLED", "true"}};
  const std::string expired = refusal("400 Bad Request", "ExpiredToken", "<Message>The token has expired</Message>");
  answers({expired, put_answer(), expired, expired});
  const auto store = open();
  store->put("x", bytes_of("1"), {}, {});
  EXPECT_THAT(request(0).head, AllOf(HasSubstr("Credential=AKID1/"), HasSubstr("X-Amz-Security-Token: the-token")));
  EXPECT_THAT(request(1).head, HasSubstr("Credential=AKID2/"));
  const Error error = failure_of([&] { store->put("x", bytes_of("1"), {}, {}); });
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_THAT(error.what(), HasSubstr("ExpiredToken (The token has expired)"));
  EXPECT_EQ(given, 3);
}

TEST_F(S3Session, CredentialsThatCannotChangeAreNotTriedAgain) {
  const Error error = put_failure(refusal("403 Forbidden", "InvalidAccessKeyId"));
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_THAT(error.what(), HasSubstr("check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
  EXPECT_EQ(lines().size(), 1u);
}

TEST_F(S3Session, RefusalsSayWhatToDo) {
  const struct {
    std::string_view status, code;
    Errc errc;
    std::string_view says;
  } cases[] = {
      {"404 Not Found", "NoSuchBucket", Errc::config, "create the bucket, or correct WALG_S3_PREFIX"},
      {"403 Forbidden", "AccessDenied", Errc::denied, "allow s3:PutObject to the credentials of"},
      {"403 Forbidden", "SignatureDoesNotMatch", Errc::denied, "AWS_SECRET_ACCESS_KEY"},
      {"403 Forbidden", "SomethingNew", Errc::denied, "403 SomethingNew; allow s3:PutObject"},
      {"400 Bad Request", "InvalidToken", Errc::denied, "no longer good"},
      {"503 Service Unavailable", "SlowDown", Errc::throttled, "503 SlowDown"},
      {"429 Too Many Requests", "Whatever", Errc::throttled, "429"},
      {"500 Internal Server Error", "InternalError", Errc::network, "500 InternalError"},
      {"504 Gateway Timeout", "Whatever", Errc::network, "504"},
      {"400 Bad Request", "RequestTimeout", Errc::timeout, "RequestTimeout"},
      {"400 Bad Request", "EntityTooLarge", Errc::config, "lower WALG_S3_MAX_PART_SIZE"},
      {"400 Bad Request", "InvalidStorageClass", Errc::config, "correct WALG_S3_STORAGE_CLASS"},
      {"400 Bad Request", "BadDigest", Errc::network, "changed on their way"},
      {"409 Conflict", "OperationAborted", Errc::network, "another operation"},
      {"507 Insufficient Storage", "Whatever", Errc::no_space, "507"},
      {"403 Forbidden", "QuotaExceeded", Errc::no_space, "extend the quota"},
      {"400 Bad Request", "Whatever", Errc::config, "400 Whatever"},
  };
  for (const auto& [status, code, errc, says] : cases) {
    const Error error = put_failure(refusal(status, code));
    EXPECT_EQ(error.code(), errc) << error.what();
    EXPECT_THAT(error.what(), AllOf(HasSubstr("s3://bucket/some/where/x: s3:PutObject was answered with"),
                                    HasSubstr(std::string(says))));
  }
}

TEST_F(S3Session, RetryAfterIsPassedOn) {
  EXPECT_EQ(put_failure(refusal("503 Slow Down", "SlowDown", "", "Retry-After: 7\r\n")).retry_after(),
            std::chrono::seconds(7));
  EXPECT_EQ(put_failure(refusal("503 Slow Down", "SlowDown")).retry_after(), std::nullopt);
  const Time now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21) + std::chrono::hours(5);
  EXPECT_EQ(retry_delay("Sat, 21 Nov 2026 05:00:30 GMT", now), std::chrono::seconds(30));
  EXPECT_EQ(retry_delay("Sat, 21 Nov 2026 04:00:30 GMT", now), std::chrono::seconds(0));
  EXPECT_EQ(retry_delay("99999999999", now), std::chrono::hours(24));
  EXPECT_EQ(retry_delay("soon", now), std::nullopt);
}

TEST_F(S3Session, ClocksThatDisagreeAreCompared) {
  const http::Answer answer{.status = 403, .headers = {{"date", "Sat, 21 Nov 2026 05:12:22 GMT"}}, .body = {}};
  const Fault fault{.code = "RequestTimeTooSkewed", .message = "The difference is too large", .region = {}};
  const Time now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21) + std::chrono::hours(4);
  const Asked asked{.action = "PutObject", .label = "s3://b/k", .endpoint = "Amazon S3"};
  const Error error = error_of(fault, answer, asked, now);
  EXPECT_EQ(error.code(), Errc::config);
  EXPECT_STREQ(
      error.what(),
      "s3://b/k: s3:PutObject was answered with 403 RequestTimeTooSkewed (The difference is too large); this "
      "machine's clock says 2026-11-21T04:00:00Z, the server's 2026-11-21T05:12:22Z: 1h12m22s behind; set this "
      "machine's clock: NTP");
  EXPECT_THAT(error_of(fault, answer, asked, now + std::chrono::hours(2)).what(), HasSubstr("47m38s ahead"));
}

TEST_F(S3Session, ADeniedReadMayBeAMissingObject) {
  answers({bare("403 Forbidden"), refusal("403 Forbidden", "AccessDenied")});
  const Error error = failure_of([&] { open()->stat("x", {}); });
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("without s3:ListBucket the same is said of objects that do not exist"),
                                  HasSubstr("allow s3:GetObject to the credentials of")));
}

TEST_F(S3Session, WhyHeadIsRefusedGetTells) {
  answers({bare("403 Forbidden"), refusal("403 Forbidden", "InvalidAccessKeyId"), bare("403 Forbidden"),
           http_answer("206 Partial Content", "x"), bare("400 Bad Request"), refusal("403 Forbidden", "AccessDenied")});
  const auto store = open();
  EXPECT_THAT(failure_of([&] { store->stat("x", {}); }).what(), HasSubstr("403 InvalidAccessKeyId; check AWS_ACCESS"));
  EXPECT_THAT(request(1).head, HasSubstr("Range: bytes=0-0\r\n"));
  EXPECT_THAT(lines(), ElementsAre("HEAD /bucket/some/where/x", "GET /bucket/some/where/x"));
  EXPECT_EQ(failure_of([&] { store->stat("x", {}); }).code(), Errc::denied) << "GET had no reason";
  EXPECT_EQ(failure_of([&] { store->stat("x", {}); }).code(), Errc::config) << "GET told of something else";
}

TEST_F(S3Session, WhatTheServerSaysStaysOnOneLine) {
  const Error error =
      put_failure(refusal("400 Bad Request", "Bad", "<Message>two\nlines" + std::string(1000, 'x') + "</Message>"));
  EXPECT_THAT(error.what(), HasSubstr("(two linesxxx"));
  EXPECT_LT(std::string_view(error.what()).size(), 500u);
}

TEST_F(S3Session, ValidationComesFirstIfWished) {
  set(settings.skip_validation, "false");
  answers(
      {refusal("403 Forbidden", "AccessDenied"), http_answer("200 OK", "<ListBucketResult/>"), head_of(1), head_of(1)});
  const auto store = open();
  EXPECT_THAT(failure_of([&] { store->stat("x", {}); }).what(), HasSubstr("s3:ListBucket"));
  store->stat("x", {});
  store->stat("x", {});
  EXPECT_THAT(lines(), ElementsAre("GET /bucket?max-keys=1", "GET /bucket?max-keys=1", "HEAD /bucket/some/where/x",
                                   "HEAD /bucket/some/where/x"));
}

TEST_F(S3Session, NodesAreConnectedToUnderTheEndpointsName) {
  int asked = 0;
  test::ScriptedServer source(test::answering([&](const SeenRequest&) {
    ++asked;
    return http_answer("200 OK", "127.0.0.1\n");
  }));
  const std::string port = std::to_string(server.port());
  set(settings.endpoint, "http://store.invalid");
  set(settings.force_path_style, "true");
  set(settings.endpoint_source, source.url("/node"));
  set(settings.endpoint_port, port);
  answers({head_of(1), head_of(1)});
  const auto store = open();
  store->stat("x", {});
  store->stat("x", {});
  EXPECT_THAT(request(0).head, HasSubstr("Host: store.invalid\r\n"));
  EXPECT_EQ(asked, 1) << "asked again only after a while";
}

TEST_F(S3Session, WithoutNodesTheEndpointIsUsed) {
  set(settings.endpoint_source, "http://127.0.0.1:" + std::to_string(test::closed_port()));
  answers({head_of(1)});
  EXPECT_TRUE(open()->stat("x", {}));
  EXPECT_THAT(log.text(), HasSubstr("WARNING: WALG_S3_ENDPOINT_SOURCE: "));
}

TEST_F(S3Session, RequestsAreLoggedWithoutSecrets) {
  set(settings.log_level, "DEVEL");
  set(settings.additional_headers, "X-Key: the-token");
  answers({http_answer("200 OK", "<ListBucketResult/>"), refusal("403 Forbidden", "AccessDenied")});
  const auto store = open();
  store->list({.prefix = "p"}, [](const ObjectInfo&) { return true; }, {});
  failure_of([&] { store->put("x", bytes_of("1"), {}, {}); });
  EXPECT_THAT(log.text(),
              HasSubstr("INFO: s3:ListBucket GET " + server.url("/bucket") + ": 200\nINFO: s3:PutObject PUT " +
                        server.url("/bucket/some/where/x") + ": 403 AccessDenied\n"));
}

/// Every kind of request carries a customer's key; over TLS, and nowhere else.
TEST_F(S3Session, ACustomersKeyGoesWithEveryRequest) {
  const std::string key = "0123456789abcdef0123456789abcdef";
  set(settings.sse, "AES256");
  set(settings.sse_c, key);
  EXPECT_THAT(failure_of([&] { open(); }).what(), HasSubstr("would travel in clear text"));

  const test::Identity identity = test::make_identity();
  test::TempDir directory;
  const std::string ca = (directory.path() / "ca.pem").string();
  std::ofstream(ca) << identity.certificate;
  std::vector<SeenRequest> got;
  test::ScriptedServer tls(test::answering([&](const SeenRequest& asked_for) -> std::string {
                             got.push_back(asked_for);
                             if (asked_for.has("?uploads=")) {
                               return http_answer("200 OK",
                                                  "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
                                                  "</InitiateMultipartUploadResult>");
                             }
                             if (asked_for.has("POST "))
                               return http_answer("200 OK", "<CompleteMultipartUploadResult/>");
                             if (asked_for.has("copy-source:")) return http_answer("200 OK", "<CopyObjectResult/>");
                             return asked_for.has("HEAD ")
                                        ? head_of(1)
                                        : http_answer("200 OK", asked_for.has("GET ") ? "x" : "", object_headers());
                           }),
                           identity);
  set(settings.endpoint, tls.url(""));
  set(settings.ca_cert_file, ca);
  const auto store = open();
  store->put("x", bytes_of("1"), {}, {});
  store->stat("x", {});
  store->try_open("x", {}, {});
  const Upload upload = store->begin("x", {}, {});
  const std::vector<Part> parts{store->put_part(upload, {}, bytes_of("1"), {})};
  store->complete(upload, parts, {});
  store->copy("x", "y", {}, {});
  ASSERT_EQ(got.size(), 10u);
  for (const SeenRequest& asked_for : got) {
    EXPECT_THAT(asked_for.head, HasSubstr("x-amz-server-side-encryption-customer-algorithm: AES256\r\n"));
    EXPECT_THAT(asked_for.head,
                HasSubstr("x-amz-server-side-encryption-customer-key: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYm"
                          "NkZWY=\r\n"));
    EXPECT_THAT(asked_for.head, HasSubstr("x-amz-server-side-encryption-customer-key-MD5: "));
    EXPECT_THAT(asked_for.head, HasSubstr("X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n"));
    EXPECT_EQ(asked_for.has("copy-source: "), asked_for.has("x-amz-copy-source-server-side-encryption-customer-key: "));
  }
}

}  // namespace
}  // namespace seawall::storage::s3
