#include "storage/s3/credential_chain.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/token_doubles.hh"

namespace seawall::storage::s3 {
namespace {

using test::json_answer;
using test::Seen;
using test::sts_answer;
using test::sts_refusal;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::StartsWith;

constexpr std::string_view later = "2024-05-01T13:00:00Z";

class Chain : public test::Services {
 protected:
  /// All services at once: STS says who asked and for which role, container and instance give theirs.
  void serve_all() {
    answer_ = [](const Seen& seen, std::stop_token) -> http::Answer {
      if (seen.line == "PUT http://169.254.169.254/latest/api/token") return {.status = 200, .body = "imds-token"};
      if (seen.line.ends_with("/security-credentials/")) return {.status = 200, .body = "node role\n"};
      if (seen.line.ends_with("/security-credentials/node%20role")) return json_answer("instance", later);
      if (seen.line.starts_with("GET http://169.254.170.2/")) return json_answer("container", later);
      const std::size_t at = seen.body.find("role%2F") + 7;
      return sts_answer("sts-" + seen.body.substr(at, seen.body.find('&', at) - at), later);
    };
  }
  std::string path(const char* name) { return (home_ / name).string(); }
};

TEST_F(Chain, TakesExplicitKeysFirst) {
  serve_all();
  settings_["AWS_ACCESS_KEY"] = " AK2\n";
  settings_["AWS_SECRET_ACCESS_KEY"] = "\tSK1 ";
  settings_["AWS_SECURITY_TOKEN"] = "T2";
  settings_["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/nowhere";
  settings_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/r";
  settings_["AWS_PROFILE"] = "missing";
  settings_["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/c";
  EXPECT_EQ(fetch(), "AK2/SK1/T2 from AWS_ACCESS_KEY and AWS_SECRET_ACCESS_KEY");
  settings_["AWS_ACCESS_KEY_ID"] = "AK1";
  settings_["AWS_SECRET_KEY"] = "SK2";
  settings_["AWS_SESSION_TOKEN"] = "T1";
  EXPECT_EQ(fetch(), "AK1/SK1/T1 from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(Chain, WantsBothKeysAndPlainOnes) {
  settings_["AWS_ACCESS_KEY_ID"] = "AK";
  settings_["AWS_SECRET_ACCESS_KEY"] = "  ";
  EXPECT_EQ(failure(),
            std::pair(Errc::config, std::string("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not")));
  settings_ = {{"AWS_SECRET_KEY", "SK"}};
  EXPECT_EQ(failure(), std::pair(Errc::config, std::string("AWS_SECRET_KEY is set, but AWS_ACCESS_KEY_ID is not")));
  settings_ = {{"AWS_SECRET_KEY", "SK\r\nX: y"}, {"AWS_ACCESS_KEY", "AK"}};
  EXPECT_THAT(failure(), Pair(Errc::config, AllOf(StartsWith("AWS_SECRET_KEY holds"), Not(HasSubstr("SK\r")))));
}

TEST_F(Chain, GoesOnFromOneSourceToTheNext) {
  serve_all();
  write("token", " jwt.header.signature\n");
  write(".aws/credentials", "[default]\naws_access_key_id = P\naws_secret_access_key = PS\n");
  settings_["AWS_WEB_IDENTITY_TOKEN_FILE"] = path("token");
  settings_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/web";
  settings_["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/credentials/1";
  EXPECT_EQ(fetch(), "sts-web/sts-web-secret/sts-web-token from role arn:aws:iam::1:role/web for the web identity in " +
                         path("token"));
  settings_.erase("AWS_WEB_IDENTITY_TOKEN_FILE");
  settings_.erase("AWS_ROLE_ARN");
  EXPECT_EQ(fetch(), "P/PS/ from profile 'default' in " + path(".aws/credentials"));
  std::filesystem::remove(home_ / ".aws/credentials");
  EXPECT_EQ(fetch(), "container/container-secret/container-token from the container's credential endpoint");
  settings_.erase("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  EXPECT_EQ(fetch(), "instance/instance-secret/instance-token from EC2 instance metadata");
  EXPECT_THAT(lines(),
              ElementsAre("POST https://sts.eu-central-1.amazonaws.com/", "GET http://169.254.170.2/v2/credentials/1",
                          "PUT http://169.254.169.254/latest/api/token",
                          "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/",
                          "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/node%20role"));
}

TEST_F(Chain, NamesAllThatWereAskedInVain) {
  const auto [code, message] = failure();
  EXPECT_EQ(code, Errc::denied);
  EXPECT_THAT(message, AllOf(StartsWith("no credentials for S3: "), HasSubstr("AWS_WEB_IDENTITY_TOKEN_FILE is not set"),
                             HasSubstr("profile 'default' is not there: " + path(".aws/config") + " (does not exist)"),
                             HasSubstr("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
                             HasSubstr("EC2 instance metadata: GET http://169.254.169.254/"),
                             HasSubstr("nobody answers"), HasSubstr("set AWS_ACCESS_KEY_ID")));
  settings_["AWS_EC2_METADATA_DISABLED"] = "TRUE";
  seen_.clear();
  EXPECT_THAT(failure(), Pair(Errc::denied, HasSubstr("; AWS_EC2_METADATA_DISABLED is set; ")));
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(Chain, SendsTheWebIdentityUnsigned) {
  serve_all();
  write("token", "first.token\n");
  settings_["AWS_WEB_IDENTITY_TOKEN_FILE"] = path("token");
  settings_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/web";
  settings_["AWS_ROLE_SESSION_NAME"] = "pod@7";
  CredentialChain chain = this->chain("cn-north-1");
  EXPECT_EQ(chain.fetch({}).credentials.expires, parse_rfc3339(later));
  write("token", "second token");
  chain.fetch({});
  ASSERT_EQ(seen_.size(), 2U);
  EXPECT_EQ(seen_[0].line, "POST https://sts.cn-north-1.amazonaws.com.cn/");
  EXPECT_EQ(seen_[0].body,
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fweb&"
            "RoleSessionName=pod%407&WebIdentityToken=first.token");
  EXPECT_EQ(seen_[0].header("authorization"), "");
  EXPECT_EQ(seen_[0].header("content-type"), "application/x-www-form-urlencoded; charset=utf-8");
  EXPECT_THAT(seen_[1].body, HasSubstr("WebIdentityToken=second%20token"));
}

TEST_F(Chain, RefusesHalfAWebIdentity) {
  settings_["AWS_WEB_IDENTITY_TOKEN_FILE"] = path("token");
  EXPECT_THAT(failure(), Pair(Errc::config, HasSubstr("AWS_ROLE_ARN is not")));
  settings_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/web";
  EXPECT_THAT(failure(), Pair(Errc::config, path("token").insert(0, "web identity token file ") + " does not exist"));
  write("token", "\n");
  EXPECT_THAT(failure(), Pair(Errc::config, HasSubstr("is empty")));
}

TEST_F(Chain, AssumesTheRoleOfTheSettings) {
  serve_all();
  settings_ = {{"AWS_ACCESS_KEY_ID", "AK"},
               {"AWS_SECRET_ACCESS_KEY", "SK"},
               {"AWS_ROLE_ARN", "arn:aws:iam::1:role/backup"},
               {"AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9000"}};
  EXPECT_EQ(fetch(),
            "sts-backup/sts-backup-secret/sts-backup-token from role arn:aws:iam::1:role/backup by "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(seen_[0].line, "POST http://127.0.0.1:9000/");
  EXPECT_THAT(seen_[0].body, StartsWith("Action=AssumeRole&Version=2011-06-15&"));
  EXPECT_THAT(seen_[0].body, HasSubstr("&RoleSessionName=seawall"));
  EXPECT_THAT(seen_[0].header("authorization"),
              StartsWith("AWS4-HMAC-SHA256 Credential=AK/20240501/eu-central-1/sts/aws4_request, "
                         "SignedHeaders=content-type;host;x-amz-date, Signature="));
}

TEST_F(Chain, WantsAnEndpointForTheTokenService) {
  settings_ = {{"AWS_ACCESS_KEY_ID", "AK"}, {"AWS_SECRET_ACCESS_KEY", "SK"}, {"AWS_ROLE_ARN", "arn"}};
  settings_["AWS_ENDPOINT_URL_STS"] = "sts.example";
  EXPECT_THAT(failure(), Pair(Errc::config, HasSubstr("AWS_ENDPOINT_URL_STS must be a URL")));
  settings_.erase("AWS_ENDPOINT_URL_STS");
  try {
    chain("evil.example/").fetch({});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("'evil.example/' is no region"));
  }
  answer_ = [](const Seen& seen, std::stop_token) {
    EXPECT_EQ(seen.line, "POST https://sts.us-east-1.amazonaws.com/");
    return sts_answer("x", later);
  };
  EXPECT_EQ(chain("").fetch({}).credentials.access_key, "x");
}

TEST_F(Chain, TellsWhatTheTokenServiceSaid) {
  settings_ = {{"AWS_ACCESS_KEY_ID", "AK"},
               {"AWS_SECRET_ACCESS_KEY", "very-secret-key"},
               {"AWS_SESSION_TOKEN", "session/token=="},
               {"AWS_ROLE_ARN", "arn:aws:iam::1:role/r"}};
  const auto says = [this](int status, std::string_view code, std::string_view message) {
    answer_ = [=](const Seen&, std::stop_token) { return sts_refusal(status, code, message); };
    return failure();
  };
  EXPECT_EQ(says(403, "AccessDenied", "User: arn:x is not authorized").second,
            "with credentials of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: https://sts.eu-central-1.amazonaws.com/: "
            "AssumeRole of arn:aws:iam::1:role/r: the answer is 403 AccessDenied: User: arn:x is not authorized; the "
            "role's trust policy must allow this caller, and the caller's policy sts:AssumeRole on the role");
  EXPECT_EQ(says(403, "AccessDenied", "x").first, Errc::denied);
  EXPECT_EQ(says(400, "Throttling", "Rate exceeded").first, Errc::throttled);
  EXPECT_EQ(says(503, "ServiceUnavailable", "x").first, Errc::network);
  EXPECT_EQ(says(400, "ValidationError", "x").first, Errc::config);
  EXPECT_EQ(says(404, "", "").first, Errc::config);
  const auto [code, message] = says(403, "SignatureDoesNotMatch",
                                    "no match of very-secret-key session/token== session%2Ftoken%3D%3D\nx-amz-security-"
                                    "token:session/token==");
  EXPECT_EQ(code, Errc::denied);
  EXPECT_THAT(message, HasSubstr("no match of [secret] [secret] [secret]; the secret key does not belong"));
  EXPECT_THAT(message, Not(HasSubstr("x-amz-security")));
  EXPECT_THAT(says(403, "SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2").second,
              HasSubstr("check this machine's clock"));
  answer_ = [](const Seen&, std::stop_token) { return http::Answer{.status = 200, .body = "<html>very"}; };
  EXPECT_THAT(failure(), Pair(Errc::config, AllOf(HasSubstr("is it the right endpoint"), Not(HasSubstr("html")))));
  answer_ = [](const Seen&, std::stop_token) {
    return http::Answer{.status = 503, .headers = {{"retry-after", "7"}}, .body = "busy"};
  };
  try {
    chain().fetch({});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.retry_after(), std::chrono::seconds(7));
  }
}

TEST_F(Chain, FollowsProfiles) {
  serve_all();
  write(".aws/config",
        "[profile top]\nrole_arn = arn:aws:iam::1:role/top\nsource_profile = middle\nexternal_id = e x\n"
        "role_session_name = me\nduration_seconds = 900\n"
        "[profile middle]\nrole_arn = arn:aws:iam::1:role/middle\nsource_profile = base\n"
        "[profile self]\nrole_arn = arn:aws:iam::1:role/self\nsource_profile = self\n"
        "aws_access_key_id = S\naws_secret_access_key = SS\n"
        "[profile env]\nrole_arn = arn:aws:iam::1:role/env\ncredential_source = EcsContainer\n"
        "[profile ec2]\nrole_arn = arn:aws:iam::1:role/ec2\ncredential_source = Ec2InstanceMetadata\n"
        "[profile web]\nrole_arn = arn:aws:iam::1:role/web\nweb_identity_token_file = " +
            path("token") + "\n");
  write(".aws/credentials", "[base]\naws_access_key_id = B\naws_secret_access_key = BS\naws_session_token = BT\n");
  write("token", "jwt");
  const auto with = [this](const char* profile) {
    settings_["AWS_PROFILE"] = profile;
    return fetch();
  };
  EXPECT_EQ(with("top"),
            "sts-top/sts-top-secret/sts-top-token from role arn:aws:iam::1:role/top by role "
            "arn:aws:iam::1:role/middle by profile 'base' in " +
                path(".aws/credentials"));
  ASSERT_EQ(seen_.size(), 2U);
  EXPECT_THAT(seen_[0].header("authorization"), HasSubstr("Credential=B/"));
  EXPECT_EQ(seen_[0].header("x-amz-security-token"), "BT");
  EXPECT_THAT(seen_[1].header("authorization"), HasSubstr("Credential=sts-middle/"));
  EXPECT_THAT(seen_[1].body, HasSubstr("&RoleSessionName=me&DurationSeconds=900&ExternalId=e%20x"));
  EXPECT_THAT(with("self"), HasSubstr("sts-self-token from role arn:aws:iam::1:role/self by profile 'self' in "));
  EXPECT_THAT(with("web"), HasSubstr("sts-web-token from role arn:aws:iam::1:role/web by profile 'web' in "));
  EXPECT_THAT(with("ec2"), HasSubstr("role arn:aws:iam::1:role/ec2 by EC2 instance metadata"));
  settings_["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/c";
  EXPECT_THAT(with("env"), HasSubstr("role arn:aws:iam::1:role/env by the container's credential endpoint"));
}

TEST_F(Chain, RefusesProfilesThatCannotBe) {
  write(".aws/config",
        "[profile a]\nrole_arn = r\nsource_profile = b\n"
        "[profile b]\nrole_arn = r\nsource_profile = c\n"
        "[profile c]\nrole_arn = r\nsource_profile = a\n"
        "[profile gone]\nrole_arn = r\nsource_profile = nobody\n"
        "[profile alone]\nrole_arn = r\n"
        "[profile both]\nrole_arn = r\nsource_profile = a\ncredential_source = Environment\n"
        "[profile odd]\nrole_arn = r\ncredential_source = Moon\n"
        "[profile short]\nrole_arn = r\nduration_seconds = 899\n"
        "[profile mfa]\nrole_arn = r\nmfa_serial = m\nsource_profile = half\n"
        "[profile half]\naws_access_key_id = only-half\n"
        "[profile sso]\nsso_session = s\n"
        "[profile empty]\nregion = r\n"
        "[profile onempty]\nrole_arn = r\nsource_profile = empty\n"
        "[profile env]\nrole_arn = r\ncredential_source = Environment\n");
  const std::string config = path(".aws/config");
  const auto with = [this](const char* profile) {
    settings_["AWS_PROFILE"] = profile;
    return failure();
  };
  EXPECT_EQ(with("a"), std::pair(Errc::config, std::string("profiles name one another as source_profile without end: "
                                                           "a -> b -> c -> a")));
  EXPECT_EQ(with("gone"), std::pair(Errc::config, config + ":12: there is no profile 'nobody'"));
  EXPECT_THAT(with("alone"), Pair(Errc::config, StartsWith(config + ":14: the profile has a role_arn, but neither")));
  EXPECT_THAT(with("both"), Pair(Errc::config, StartsWith(config + ":18: source_profile and credential_source")));
  EXPECT_THAT(with("odd"), Pair(Errc::config, StartsWith(config + ":21: credential_source must be")));
  EXPECT_THAT(with("short"), Pair(Errc::config, config + ":24: duration_seconds must be from 900 to 43200"));
  EXPECT_THAT(with("mfa"), Pair(Errc::unsupported, StartsWith(config + ":27: mfa_serial")));
  EXPECT_THAT(with("half"), Pair(Errc::config, AllOf(StartsWith(config + ":30: profile 'half' has aws_access_key_id"),
                                                     Not(HasSubstr("only-half")))));
  EXPECT_THAT(with("sso"), Pair(Errc::unsupported, StartsWith(config + ":32: single sign-on")));
  EXPECT_THAT(with("onempty"), Pair(Errc::config, config + ":37: profile 'empty' names no credentials"));
  EXPECT_THAT(with("env"), Pair(Errc::denied, HasSubstr("AWS_ACCESS_KEY_ID is not set")));
  EXPECT_THAT(with("missing"), Pair(Errc::config, StartsWith("there is no profile 'missing', which AWS_PROFILE")));
  settings_.erase("AWS_PROFILE");
  settings_["AWS_EC2_METADATA_DISABLED"] = "true";
  write(".aws/config", "[default]\nregion = r\n");
  EXPECT_THAT(failure(), Pair(Errc::denied, HasSubstr("profile 'default' names no credentials: " + config)));
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(Chain, RunsTheProcessOfAProfile) {
  write(".aws/config", "[default]\ncredential_process = cat " + path("answer.json") + "\n");
  write("answer.json", R"({"Version": 1, "AccessKeyId": "PA", "SecretAccessKey": "PS", "SessionToken": "PT"})");
  EXPECT_EQ(fetch(), "PA/PS/PT from credential_process (" + path(".aws/config") + ":2)");
}

TEST_F(Chain, AsksContainersWithTheirToken) {
  serve_all();
  answer_ = [](const Seen&, std::stop_token) { return json_answer("c", later); };
  settings_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.23/v1/credentials?x=1";
  settings_["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "plain";
  fetch();
  write("pod-token", "from-file\n");
  settings_["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = path("pod-token");
  fetch();
  ASSERT_EQ(seen_.size(), 2U);
  EXPECT_EQ(seen_[0].line, "GET http://169.254.170.23/v1/credentials?x=1");
  EXPECT_EQ(seen_[0].header("authorization"), "plain");
  EXPECT_EQ(seen_[1].header("authorization"), "from-file");
  write("pod-token", "two\nlines");
  EXPECT_THAT(failure(), Pair(Errc::config, AllOf(StartsWith("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE holds"),
                                                  Not(HasSubstr("two")))));
  settings_["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = path("no-token");
  EXPECT_THAT(failure(), Pair(Errc::config, HasSubstr("does not exist")));
}

TEST_F(Chain, AsksNoStrangerForContainerCredentials) {
  answer_ = [](const Seen&, std::stop_token) { return json_answer("c", later); };
  for (const char* uri : {"http://localhost/x", "http://127.9.9.9:8080/", "http://[::1]:1/", "https://any.example/x",
                          "http://[fd00:ec2::23]/v1", "http://169.254.170.2"}) {
    settings_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = uri;
    EXPECT_THAT(fetch(), StartsWith("c/c-secret")) << uri;
  }
  const std::size_t asked = seen_.size();
  for (const char* uri :
       {"http://any.example/x", "http://127.0.0.1@any.example/", "http://127.0.0.1.any.example/", "http://127.1/",
        "http://[::2]/", "http://[::1", "ftp://localhost/", "localhost", "http:///x", "http://local\\host/",
        "http://169.254.170.20/", "http://any.example?@localhost", "http://any.example#@localhost/"}) {
    settings_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = uri;
    EXPECT_THAT(failure(), Pair(Errc::config, StartsWith("AWS_CONTAINER_CREDENTIALS_FULL_URI"))) << uri;
  }
  settings_["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "@any.example/";
  EXPECT_THAT(failure(), Pair(Errc::config, HasSubstr("must be a path")));
  EXPECT_EQ(seen_.size(), asked);
}

TEST_F(Chain, TellsWhatTheContainerEndpointSaid) {
  settings_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://localhost/x?token=hidden";
  settings_["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "authorization-token";
  answer_ = [](const Seen&, std::stop_token) {
    return http::Answer{.status = 403, .body = R"({"code":"AccessDenied","message":"not authorization-token"})"};
  };
  const auto [code, message] = failure();
  EXPECT_EQ(code, Errc::denied);
  EXPECT_THAT(message, StartsWith("container credentials from http://localhost/x: the answer is 403 AccessDenied: not "
                                  "[secret]"));
  answer_ = [](const Seen&, std::stop_token) { return http::Answer{.status = 500, .body = "oops"}; };
  EXPECT_THAT(failure(), Pair(Errc::network, HasSubstr("the answer is 500")));
  answer_ = [](const Seen&, std::stop_token) { return http::Answer{.status = 200, .body = "{\"AccessKeyId\":1}"}; };
  EXPECT_THAT(failure(), Pair(Errc::config, HasSubstr("has no AccessKeyId")));
  answer_ = [](const Seen& seen, std::stop_token) {
    return throw Error(Errc::network, "connection refused"), http::Answer{.body = seen.line};
  };
  EXPECT_THAT(failure(), Pair(Errc::network, "container credentials from http://localhost/x: connection refused"));
}

TEST_F(Chain, AsksMetadataWithAToken) {
  serve_all();
  settings_["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"] = "IPv6";
  const auto all = answer_;
  answer_ = [all](const Seen& seen, std::stop_token stop) {
    if (seen.line.starts_with("PUT")) {
      EXPECT_EQ(seen.line, "PUT http://[fd00:ec2::254]/latest/api/token");
      EXPECT_EQ(seen.header("x-aws-ec2-metadata-token-ttl-seconds"), "21600");
      return http::Answer{.status = 200, .body = "imds-token"};
    }
    EXPECT_EQ(seen.header("x-aws-ec2-metadata-token"), "imds-token");
    return all(seen, stop);
  };
  EXPECT_THAT(fetch(), StartsWith("instance/"));
  EXPECT_EQ(seen_.size(), 3U);
  settings_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "169.254.169.254";
  EXPECT_THAT(failure(), Pair(Errc::config, StartsWith("AWS_EC2_METADATA_SERVICE_ENDPOINT must be a URL")));
}

TEST_F(Chain, AsksOldMetadataWithoutOne) {
  settings_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://metadata.example/";
  bool loses_answer = false;
  answer_ = [&](const Seen& seen, std::stop_token) -> http::Answer {
    if (seen.line == "PUT http://metadata.example/latest/api/token") {
      if (loses_answer) throw Error(Errc::timeout, "no answer");
      return {.status = 404, .body = "not-a-token"};
    }
    EXPECT_EQ(seen.header("x-aws-ec2-metadata-token"), "");
    if (seen.line.ends_with('/')) return {.status = 200, .body = "role"};
    return json_answer("old", later);
  };
  EXPECT_THAT(fetch(), StartsWith("old/"));
  loses_answer = true;
  EXPECT_THAT(fetch(), StartsWith("old/"));
  settings_["AWS_EC2_METADATA_V1_DISABLED"] = "true";
  EXPECT_THAT(failure(), Pair(Errc::denied, HasSubstr("AWS_EC2_METADATA_V1_DISABLED is set")));
}

TEST_F(Chain, TellsWhatMetadataSaid) {
  http::Answer roles{.status = 404};
  http::Answer role{.status = 200, .body = R"({"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume"})"};
  answer_ = [&](const Seen& seen, std::stop_token) -> http::Answer {
    if (seen.line.starts_with("PUT")) return {.status = 200, .body = "imds-token"};
    return seen.line.ends_with('/') ? roles : role;
  };
  EXPECT_THAT(failure(), Pair(Errc::denied, HasSubstr("knows of no role attached to this instance")));
  roles = {.status = 200, .body = "r"};
  EXPECT_THAT(failure(), Pair(Errc::denied, HasSubstr("security-credentials/r: the answer is 200 "
                                                      "AssumeRoleUnauthorizedAccess: EC2 cannot assume")));
  roles = {.status = 503};
  EXPECT_THAT(failure(), Pair(Errc::network, HasSubstr("EC2 instance metadata: http://169.254.169.254/latest/")));
}

TEST_F(Chain, ExpectsMetadataToStayOnceItAnswered) {
  serve_all();
  CredentialChain chain = this->chain();
  EXPECT_EQ(chain.fetch({}).credentials.access_key, "instance");
  answer_ = [](const Seen& seen, std::stop_token) {
    return throw Error(Errc::timeout, "no answer"), http::Answer{.body = seen.line};
  };
  try {
    chain.fetch({});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::timeout) << error.what();
  }
}

TEST_F(Chain, UsesMetadataAloneForTheSubjectToken) {
  serve_all();
  settings_["AWS_ACCESS_KEY_ID"] = "AK";
  settings_["AWS_SECRET_ACCESS_KEY"] = "SK";
  settings_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/r";
  settings_["S3_USE_YC_SESSION_TOKEN"] = "1";
  EXPECT_THAT(fetch(), StartsWith("instance/"));
  settings_["S3_USE_YC_SESSION_TOKEN"] = "maybe";
  EXPECT_THAT(failure(), Pair(Errc::config, "S3_USE_YC_SESSION_TOKEN must be true or false"));
}

TEST_F(Chain, EndsWhenStopped) {
  answer_ = [](const Seen&, std::stop_token stop) {
    EXPECT_TRUE(stop.stop_requested());
    return throw Error(Errc::cancelled, "stopped"), http::Answer{};
  };
  std::stop_source source;
  source.request_stop();
  try {
    chain().fetch(source.get_token());
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::cancelled);
  }
}

}  // namespace
}  // namespace seawall::storage::s3
