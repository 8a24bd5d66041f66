#include "kms/answers.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace seawall::kms {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Answers, BytesAreTakenOutOfATextThatIsThenOverwritten) {
  std::string text = R"({"Plaintext":"c2VjcmV0","KeyId":"x"})";
  EXPECT_EQ(text_of(take_bytes(text, "Plaintext", "kms").span()), "secret");
  EXPECT_THAT(text, Not(HasSubstr("c2VjcmV0")));
  std::string two = R"({"dataKeyPlaintext":"YQ==","dataKeyCiphertext":"Yg=="})";
  const TwoKeys keys = take_two(two, "dataKeyPlaintext", "dataKeyCiphertext", "kms");
  EXPECT_EQ(text_of(keys.first.span()), "a");
  EXPECT_EQ(text_of(keys.second.span()), "b");
}

TEST(Answers, WithoutWhatWasAskedForAreRefusedWithoutBeingShown) {
  for (const char* text : {"", "[]", "{}", R"({"Plaintext":1})", R"({"Plaintext":""})", R"({"Plaintext":"sec*ret"})",
                           R"({"plaintext":"c2VjcmV0"})", R"({"Plaintext":"c2VjcmV0")"}) {
    std::string given = text;
    try {
      take_bytes(given, "Plaintext", "Decrypt");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::corrupt);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("Decrypt"), HasSubstr("Plaintext"), Not(HasSubstr("sec*ret")),
                                      Not(HasSubstr("c2Vjcm"))));
    }
  }
}

TEST(Answers, ErrorsOfAwsHaveNames) {
  EXPECT_EQ(aws_error(R"({"__type":"com.amazonaws.kms#NotFoundException","message":"no"})"), "NotFoundException");
  EXPECT_EQ(aws_error(R"({"__type":"DisabledException"})"), "DisabledException");
  EXPECT_EQ(aws_error(R"({"__type":7})"), "");
  EXPECT_EQ(aws_error("<html>"), "");
}

TEST(Answers, YandexTellsWhereItsServicesAre) {
  const std::string text =
      R"({"endpoints":[{"id":"iam","address":"iam.api.cloud.yandex.net:443"},{"id":"kms-crypto","address":"kms.yandex:443"},7]})";
  EXPECT_EQ(yandex_address(text, "kms-crypto"), "kms.yandex:443");
  EXPECT_EQ(yandex_address(text, "iam"), "iam.api.cloud.yandex.net:443");
  EXPECT_EQ(yandex_address(text, "kms"), std::nullopt);
  EXPECT_EQ(yandex_address(R"({"endpoints":{}})", "iam"), std::nullopt);
  EXPECT_EQ(yandex_address("x", "iam"), std::nullopt);
}

TEST(Answers, ARefusalIsOneLineWithoutSecrets) {
  storage::http::Answer answer{.status = 403, .headers = {{"retry-after", "3"}}};
  const Error error = refusal(Errc::denied, "https://kms.example: decrypt", answer, "AccessDeniedException",
                              "not with token t1.verysecret\nand more", "allow it", {"t1.verysecret"});
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_EQ(error.retry_after(), std::chrono::seconds(3));
  EXPECT_THAT(error.what(), AllOf(HasSubstr("https://kms.example: decrypt"), HasSubstr("403 AccessDeniedException"),
                                  HasSubstr("; allow it"), Not(HasSubstr("verysecret")), Not(HasSubstr("and more"))));
}

}  // namespace
}  // namespace seawall::kms
