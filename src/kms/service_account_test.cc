#include "kms/service_account.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "crypto/key_text.hh"
#include "support/temp_dir.hh"

namespace seawall::kms {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string pem_of(EVP_PKEY* key) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string unpadded(std::string_view text) {
  std::string plain(text);
  for (char& c : plain) {
    if (c == '-') c = '+';
    if (c == '_') c = '/';
  }
  while (plain.size() % 4 != 0) plain += '=';
  const auto bytes = crypto::decode_base64(bytes_of(plain));
  EXPECT_TRUE(bytes.has_value()) << text;
  return std::string(text_of(bytes->span()));
}

class ServiceAccountTest : public ::testing::Test {
 protected:
  std::string file(const std::string& content) {
    const std::string path = directory_.path() / "key.json";
    replace_file(path, content, 0600);
    return path;
  }
  static std::string json(const std::string& pem) {
    return fmt::format(
        R"({{"id":"ajekey","service_account_id":"ajeaccount","key_algorithm":"RSA_2048","private_key":{}}})",
        json_string("PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <ajekey>\n" + pem));
  }
  test::TempDir directory_;
};

TEST_F(ServiceAccountTest, SignsAToken) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(2048), EVP_PKEY_free);
  const ServiceAccount account(
      {.setting = "YC_SERVICE_ACCOUNT_KEY_FILE", .text = {}, .path = file(json(pem_of(key.get())))});
  EXPECT_EQ(account.id(), "ajeaccount");
  const std::string token = account.token("https://iam/tokens", Time(std::chrono::seconds(1700000000)));
  const std::size_t first = token.find('.');
  const std::size_t second = token.rfind('.');
  EXPECT_EQ(unpadded(token.substr(0, first)), R"({"typ":"JWT","alg":"PS256","kid":"ajekey"})");
  EXPECT_EQ(unpadded(token.substr(first + 1, second - first - 1)),
            R"({"iss":"ajeaccount","aud":"https://iam/tokens","iat":1700000000,"exp":1700003600})");
  const std::string signature = unpadded(token.substr(second + 1));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_PKEY_CTX* details = nullptr;
  ASSERT_EQ(EVP_DigestVerifyInit(context.get(), &details, EVP_sha256(), nullptr, key.get()), 1);
  ASSERT_EQ(EVP_PKEY_CTX_set_rsa_padding(details, RSA_PKCS1_PSS_PADDING), 1);
  ASSERT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(details, 32), 1);
  EXPECT_EQ(EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                             reinterpret_cast<const unsigned char*>(token.data()), second),
            1);
}

TEST_F(ServiceAccountTest, NamesTheSettingOfAFileThatIsNoKey) {
  const std::vector<std::string> bad = {"",
                                        "x",
                                        "[]",
                                        R"({"id":"a"})",
                                        R"({"id":"a","service_account_id":"b"})",
                                        R"({"id":"a","service_account_id":"b","private_key":"hidden-word"})",
                                        R"({"id":"a","service_account_id":"b","private_key":["hidden-word"]})"};
  for (const std::string& content : bad) {
    try {
      const ServiceAccount account({.setting = "YC_SERVICE_ACCOUNT_KEY_FILE", .text = {}, .path = file(content)});
      ADD_FAILURE() << content;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("YC_SERVICE_ACCOUNT_KEY_FILE"), HasSubstr("key.json"),
                                      Not(HasSubstr("hidden-word"))));
    }
  }
}

}  // namespace
}  // namespace seawall::kms
