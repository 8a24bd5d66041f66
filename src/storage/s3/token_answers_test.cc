#include "storage/s3/token_answers.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hh"
#include "base/time_text.hh"

namespace seawall::storage::s3 {
namespace {

using testing::HasSubstr;
using testing::Not;

template <class F>
std::string failure_of(F&& read) {
  try {
    read();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::config);
    return error.what();
  }
  return "no failure";
}

std::string xml_failure(std::string_view text) {
  return failure_of([&] { credentials_from_xml(text, "STS"); });
}
std::string json_failure(std::string_view text) {
  return failure_of([&] { credentials_from_json(text, "endpoint"); });
}

TEST(TokenAnswers, AreReadFromXml) {
  const Credentials credentials = credentials_from_xml(
      "<?xml version=\"1.0\"?>\n<sts:Response xmlns:sts=\"x\"><Result><Credentials>\n"
      "<SecretAccessKey>a&amp;b/+=</SecretAccessKey><AccessKeyId> ASIA1 </AccessKeyId>"
      "<SessionToken><![CDATA[t<k]]></SessionToken>"
      "<Expiration>2024-05-01T12:00:00.123Z</Expiration></Credentials></Result></sts:Response>",
      "STS");
  EXPECT_EQ(credentials.access_key, "ASIA1");
  EXPECT_EQ(credentials.secret_key, "a&b/+=");
  EXPECT_EQ(credentials.session_token, "t<k");
  EXPECT_EQ(credentials.expires, parse_rfc3339("2024-05-01T12:00:00.123Z"));
}

TEST(TokenAnswers, OfXmlMustBeWhole) {
  EXPECT_THAT(xml_failure("<a><b></a>"), HasSubstr("is no XML"));
  EXPECT_THAT(xml_failure(""), HasSubstr("is no XML"));
  EXPECT_THAT(xml_failure("<html>hidden</html>"), HasSubstr("has no AccessKeyId"));
  EXPECT_THAT(xml_failure("<Credentials><AccessKeyId>hidden</AccessKeyId><Expiration>2024-05-01T12:00:00Z</Expiration>"
                          "</Credentials>"),
              HasSubstr("has no SecretAccessKey"));
  EXPECT_THAT(xml_failure("<Credentials><AccessKeyId>hidden</AccessKeyId></Credentials>"), HasSubstr("no Expiration"));
  const std::string odd = xml_failure(
      "<Credentials><AccessKeyId>a</AccessKeyId><SecretAccessKey>hidden\r\nX-Evil: 1</SecretAccessKey>"
      "<Expiration>2024-05-01T12:00:00Z</Expiration></Credentials>");
  EXPECT_THAT(odd, HasSubstr("SecretAccessKey holds a character"));
  EXPECT_THAT(odd, Not(HasSubstr("hidden")));
}

TEST(TokenAnswers, AreReadFromJson) {
  const Credentials container = credentials_from_json(
      R"({"RoleArn":"r","AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"2024-05-01T12:00:00Z"})",
      "e");
  EXPECT_EQ(container.access_key, "A");
  EXPECT_EQ(container.secret_key, "S");
  EXPECT_EQ(container.session_token, "T");
  EXPECT_EQ(container.expires, parse_rfc3339("2024-05-01T12:00:00Z"));
  const Credentials process = credentials_from_json(
      R"({"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","SessionToken":"T2","Expiration":null})", "e");
  EXPECT_EQ(process.session_token, "T2");
  EXPECT_EQ(process.expires, std::nullopt);
}

TEST(TokenAnswers, OfJsonMustBeWhole) {
  for (const char* text : {"", "hidden", "[1]", "{\"AccessKeyId\":\"hidden\"", "null"}) {
    EXPECT_THAT(json_failure(text), HasSubstr("endpoint: the answer is no JSON object")) << text;
  }
  EXPECT_THAT(json_failure(R"({"AccessKeyId":7,"SecretAccessKey":"hidden"})"), HasSubstr("has no AccessKeyId"));
  const std::string time = json_failure(R"({"AccessKeyId":"a","SecretAccessKey":"hidden","Expiration":"tomorrow"})");
  EXPECT_THAT(time, HasSubstr("Expiration is no time"));
  EXPECT_THAT(time, Not(HasSubstr("hidden")));
  EXPECT_THAT(json_failure(R"({"AccessKeyId":"a","SecretAccessKey":"b","Token":"c\nd"})"),
              HasSubstr("the session token holds a character"));
}

TEST(TokenAnswers, SayWhyTheyRefuse) {
  const Refusal xml = refusal_from_xml(
      "<ErrorResponse><Error><Code>AccessDenied</Code><Message>a &lt; b</Message>"
      "</Error></ErrorResponse>");
  EXPECT_EQ(xml.code, "AccessDenied");
  EXPECT_EQ(xml.message, "a < b");
  EXPECT_EQ(refusal_from_xml("no xml").code, "");
  const Refusal json = refusal_from_json(R"({"code":"X","message":"why"})");
  EXPECT_EQ(json.code, "X");
  EXPECT_EQ(json.message, "why");
  EXPECT_EQ(refusal_from_json(R"({"Code":"Success"})").code, "");
  EXPECT_EQ(refusal_from_json("[").code, "");
}

TEST(TokenAnswers, CarryAVersion) {
  EXPECT_EQ(version_from_json(R"({"Version": 1})"), 1);
  EXPECT_EQ(version_from_json(R"({"Version": "1"})"), std::nullopt);
  EXPECT_EQ(version_from_json(R"({"Version": 18446744073709551615})"), std::nullopt);
  EXPECT_EQ(version_from_json("[]"), std::nullopt);
}

}  // namespace
}  // namespace seawall::storage::s3
