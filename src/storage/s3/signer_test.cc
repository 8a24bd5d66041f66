#include "storage/s3/signer.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "base/text.hh"
#include "base/time_text.hh"
#include "storage/s3/sha256.hh"

namespace seawall::storage::s3 {
namespace {

using http::Request;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

std::string header(const Request& request, std::string_view name) {
  std::string all;
  for (const auto& [key, value] : request.headers) {
    if (lower(key) == name) all += (all.empty() ? "" : "|") + value;
  }
  return all;
}

Time at(std::string_view text) { return parse_rfc3339(text).value(); }

// A vector of AWS's Signature Version 4 test suite (aws-sig-v4-test-suite).
struct Vector {
  const char* name;
  Request request;
  const char* signed_headers;
  const char* signature;
};

Request suite(std::string method, std::string path, std::vector<http::Header> headers = {},
              std::string_view body = {}) {
  return {.method = std::move(method),
          .url = "https://example.amazonaws.com" + path,
          .headers = std::move(headers),
          .body = bytes_of(body)};
}

constexpr std::string_view unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

std::vector<Vector> vectors() {
  const std::string all(unreserved);
  return {
      {"get-header-key-duplicate",
       suite("GET", "/", {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}}),
       "host;my-header1;x-amz-date", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
      {"get-header-value-order",
       suite("GET", "/",
             {{"My-Header1", "value4"}, {"My-Header1", "value1"}, {"My-Header1", "value3"}, {"My-Header1", "value2"}}),
       "host;my-header1;x-amz-date", "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
      {"get-header-value-trim", suite("GET", "/", {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}}),
       "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"get-unreserved", suite("GET", "/" + all), "host;x-amz-date",
       "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
      {"get-utf8", suite("GET", "/\u1234"), "host;x-amz-date",
       "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-space", suite("GET", "/example space/"), "host;x-amz-date",
       "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
      {"get-vanilla", suite("GET", "/"), "host;x-amz-date",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-vanilla-empty-query-key", suite("GET", "/?Param1=value1"), "host;x-amz-date",
       "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
      {"get-vanilla-query-order-key-case", suite("GET", "/?Param2=value2&Param1=value1"), "host;x-amz-date",
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-vanilla-query-order-key", suite("GET", "/?Param1=value2&Param1=Value1"), "host;x-amz-date",
       "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"},
      {"get-vanilla-query-order-value", suite("GET", "/?Param1=value2&Param1=value1"), "host;x-amz-date",
       "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
      {"get-vanilla-query-unreserved", suite("GET", "/?" + all + "=" + all), "host;x-amz-date",
       "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
      {"get-vanilla-utf8-query", suite("GET", "/?\u1234=bar"), "host;x-amz-date",
       "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
      {"post-header-key-case", suite("POST", "/"), "host;x-amz-date",
       "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
      {"post-header-key-sort", suite("POST", "/", {{"My-Header1", "value1"}}), "host;my-header1;x-amz-date",
       "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
      {"post-header-value-case", suite("POST", "/", {{"My-Header1", "VALUE1"}}), "host;my-header1;x-amz-date",
       "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
      {"post-vanilla-query", suite("POST", "/?Param1=value1"), "host;x-amz-date",
       "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
      {"post-x-www-form-urlencoded",
       suite("POST", "/", {{"Content-Type", "application/x-www-form-urlencoded"}, {"Content-Length", "13"}},
             "Param1=value1"),
       "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
  };
}

TEST(Signer, GivesTheSignaturesOfAwssTestSuite) {
  const Credentials credentials{.access_key = "AKIDEXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
  for (Vector& vector : vectors()) {
    SCOPED_TRACE(vector.name);
    sign(vector.request, credentials, "us-east-1", "service", at("2015-08-30T12:36:00Z"), Payload::hashed);
    EXPECT_EQ(header(vector.request, "authorization"),
              std::string("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                          "SignedHeaders=") +
                  vector.signed_headers + ", Signature=" + vector.signature);
    EXPECT_EQ(header(vector.request, "x-amz-content-sha256"), "");
  }
}

TEST(Signer, SignsTheSessionToken) {  // post-sts-header-before
  Credentials credentials{.access_key = "AKIDEXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
  credentials.session_token =
      "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwt"
      "hAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVX"
      "AkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA"
      "==";
  Request request = suite("POST", "/");
  sign(request, credentials, "us-east-1", "service", at("2015-08-30T12:36:00Z"), Payload::hashed);
  EXPECT_THAT(header(request, "authorization"),
              EndsWith("SignedHeaders=host;x-amz-date;x-amz-security-token, Signature="
                       "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"));
}

// The examples of "Authenticating Requests: Using the Authorization Header" in the manual of S3.
struct S3Signer : testing::Test {
  static Request signed_request(Request request, Payload payload = Payload::hashed) {
    const Credentials credentials{.access_key = "AKIAIOSFODNN7EXAMPLE",
                                  .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
    request.url = "https://examplebucket.s3.amazonaws.com" + request.url;
    sign(request, credentials, "us-east-1", "s3", at("2013-05-24T00:00:00Z"), payload);
    return request;
  }
  static constexpr std::string_view credential =
      "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=";
};

TEST_F(S3Signer, GetsARange) {
  const Request request = signed_request({.url = "/test.txt", .headers = {{"Range", "bytes=0-9"}}});
  EXPECT_EQ(header(request, "authorization"), std::string(credential) +
                                                  "host;range;x-amz-content-sha256;x-amz-date, Signature="
                                                  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(header(request, "host"), "examplebucket.s3.amazonaws.com");
  EXPECT_EQ(header(request, "x-amz-date"), "20130524T000000Z");
  EXPECT_EQ(header(request, "x-amz-content-sha256"),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_F(S3Signer, PutsAnObject) {
  const Request request = signed_request(
      {.method = "PUT",
       .url = "/test%24file.text",
       .headers = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
       .body = bytes_of("Welcome to Amazon S3.")});
  EXPECT_EQ(header(request, "authorization"),
            std::string(credential) +
                "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, Signature="
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  EXPECT_EQ(header(request, "x-amz-content-sha256"),
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
}

TEST_F(S3Signer, GetsTheLifecycleOfABucket) {
  EXPECT_THAT(header(signed_request({.url = "/?lifecycle"}), "authorization"),
              EndsWith("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
}

TEST_F(S3Signer, ListsObjects) {
  const std::string expected = "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
  EXPECT_THAT(header(signed_request({.url = "/?max-keys=2&prefix=J"}), "authorization"), EndsWith(expected));
  EXPECT_THAT(header(signed_request({.url = "/?prefix=J&max-keys=2"}), "authorization"), EndsWith(expected));
  EXPECT_THAT(header(signed_request({.url = "/?prefix=%4A&max-keys=2"}), "authorization"), EndsWith(expected));
}

TEST_F(S3Signer, TakesAnUnsignedBodyAndAStreamedOneAtTheirWord) {
  const Request request = signed_request({.method = "PUT", .url = "/a", .body = bytes_of("x")}, Payload::unsigned_body);
  EXPECT_EQ(header(request, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
  const Request other = signed_request({.method = "PUT", .url = "/a", .body = bytes_of("yy")}, Payload::unsigned_body);
  EXPECT_EQ(header(request, "authorization"), header(other, "authorization"));

  const Request streamed = signed_request(
      {.method = "PUT", .url = "/a", .headers = {{"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}});
  EXPECT_EQ(header(streamed, "x-amz-content-sha256"), "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
}

TEST_F(S3Signer, LeavesOutWhatChangesOnTheWay) {
  const std::string plain = header(signed_request({.url = "/a"}), "authorization");
  const Request request = signed_request({.url = "/a",
                                          .headers = {{"Expect", "100-continue"},
                                                      {"Connection", "keep-alive"},
                                                      {"User-Agent", "seawall"},
                                                      {"Transfer-Encoding", "chunked"},
                                                      {"Content-Length", "0"}}});
  EXPECT_EQ(header(request, "authorization"), plain);
  EXPECT_NE(header(signed_request({.url = "/a", .headers = {{"If-Match", "\"e\""}}}), "authorization"), plain);
}

TEST_F(S3Signer, SignsAPathAsItIsSent) {
  const std::string plain = header(signed_request({.url = "/a/../b%2Fc//d"}), "authorization");
  EXPECT_NE(plain, header(signed_request({.url = "/b%2Fc/d"}), "authorization"));
  EXPECT_NE(plain, header(signed_request({.url = "/a/../b%252Fc//d"}), "authorization"));
}

TEST(Signer, ReplacesAFormerSignature) {
  const Credentials with_token{.access_key = "AKID", .secret_key = "one", .session_token = "token"};
  const Credentials without{.access_key = "AKID2", .secret_key = "two"};
  Request again{.url = "https://a.example/k", .headers = {{"x-amz-acl", "private"}}};
  Request once = again;
  sign(again, with_token, "eu-west-1", "s3", at("2024-01-01T00:00:00Z"), Payload::hashed);
  EXPECT_EQ(header(again, "x-amz-security-token"), "token");
  for (Request* request : {&again, &once}) {
    request->url = "https://b.example/k";
    sign(*request, without, "eu-north-1", "s3", at("2024-01-02T00:00:00Z"), Payload::unsigned_body);
  }
  ASSERT_EQ(again.headers.size(), once.headers.size());
  for (const auto& [name, value] : once.headers) EXPECT_EQ(header(again, lower(name)), value) << name;
  EXPECT_EQ(header(again, "host"), "b.example");
  EXPECT_EQ(header(again, "x-amz-date"), "20240102T000000Z");
  EXPECT_EQ(header(again, "x-amz-security-token"), "");
}

TEST(Signer, NamesThePortUnlessItIsTheSchemesOwn) {
  const auto host = [](std::string url) {
    Request request{.url = std::move(url)};
    sign(request, {.access_key = "a", .secret_key = "b"}, "r", "s3", Time{}, Payload::hashed);
    return header(request, "host");
  };
  EXPECT_EQ(host("http://a.example:7480/x"), "a.example:7480");
  EXPECT_EQ(host("http://a.example:80/x"), "a.example");
  EXPECT_EQ(host("https://a.example:443"), "a.example");
  EXPECT_EQ(host("https://a.example:80?list"), "a.example:80");
  EXPECT_EQ(host("http://[::1]:9000/x"), "[::1]:9000");
}

TEST(Signer, KeepsKeysApart) {
  const auto signature = [](std::string_view secret, std::string_view region, std::string_view day) {
    Request request{.url = "https://a.example/"};
    sign(request, {.access_key = "a", .secret_key = std::string(secret)}, region, "s3",
         at(std::string(day) + "T00:00:00Z"), Payload::hashed);
    return header(request, "authorization");
  };
  const std::string first = signature("one", "r1", "2024-01-01");
  EXPECT_NE(signature("two", "r1", "2024-01-01").substr(first.size() - 64), first.substr(first.size() - 64));
  EXPECT_NE(signature("one", "r2", "2024-01-01").substr(first.size() - 64), first.substr(first.size() - 64));
  EXPECT_NE(signature("one", "r1", "2024-01-02").substr(first.size() - 64), first.substr(first.size() - 64));
  EXPECT_EQ(signature("one", "r1", "2024-01-01"), first);
  std::string elsewhere;
  std::jthread([&] { elsewhere = signature("one", "r1", "2024-01-01"); }).join();
  EXPECT_EQ(elsewhere, first);
}

TEST(Sha256, HashesAndAuthenticates) {
  EXPECT_EQ(hex(sha256(bytes_of("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, cases 2 and 6: a short key, and one longer than a block.
  EXPECT_EQ(hex(HmacKey(bytes_of("Jefe")).sign("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  const std::string key(131, '\xaa');
  EXPECT_EQ(hex(HmacKey(bytes_of(key)).sign("Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

}  // namespace
}  // namespace seawall::storage::s3
