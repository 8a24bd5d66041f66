#include "storage/s3/endpoint.hh"

#include <gmock/gmock.h>

#include "base/error.hh"
#include "storage/s3/options.hh"
#include "storage/s3/s3_settings.hh"

namespace seawall::storage::s3 {
namespace {

using testing::HasSubstr;
using testing::Not;

using Values = std::vector<std::pair<std::string_view, std::string_view>>;

/// Settings by their names.
class Given {
 public:
  explicit Given(const Values& values) {
    for (const auto& [name, value] : values) {
      bool found = false;
      for (config::SettingBase* setting : settings_.settings()) {
        if (setting->describe().name != name) continue;
        setting->parse(value, {.kind = config::Origin::Kind::environment, .detail = std::string(name)});
        found = true;
      }
      EXPECT_TRUE(found) << name;
    }
  }
  const S3Settings& operator*() const { return settings_; }

 private:
  S3Settings settings_;
};

std::string url(const Values& values, std::string_view bucket = "my-bucket", std::string_view key = "a/b c") {
  return Endpoint(*Given(values), bucket).url("eu-west-1", key);
}

std::string refusal(const Values& values) {
  try {
    read_options(*Given(values));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::config);
    return error.what();
  }
  return "accepted";
}

TEST(S3Prefix, NamesBucketAndPath) {
  const Place place = parse_prefix("s3://My.bucket//some/wh%20ere//");
  EXPECT_EQ(place.bucket, "My.bucket");
  EXPECT_EQ(place.path, "some/wh ere/");
  EXPECT_EQ(parse_prefix("S3://bucket").path, "");
  EXPECT_EQ(parse_prefix("s3://bucket/").path, "");
  for (const std::string_view wrong :
       {"", "bucket/path", "gs://bucket/path", "s3:/bucket", "s3:///path", "s3://a:b@c/d", "s3://bucket/a?b",
        "s3://bucket/#a", "s3://bucket/%2", "s3://bucket/%zz", "s3://bucket/%00"}) {
    try {
      parse_prefix(wrong);
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config);
      EXPECT_THAT(error.what(), HasSubstr("WALG_S3_PREFIX"));
    }
  }
}

TEST(S3Endpoint, OfAmazonHasARegion) {
  EXPECT_EQ(url({}), "https://my-bucket.s3.eu-west-1.amazonaws.com/a/b%20c");
  EXPECT_EQ(url({}, "my-bucket", ""), "https://my-bucket.s3.eu-west-1.amazonaws.com/");
  EXPECT_EQ(url({{"AWS_DUAL_STACK", "true"}}), "https://my-bucket.s3.dualstack.eu-west-1.amazonaws.com/a/b%20c");
  EXPECT_EQ(url({{"AWS_S3_FORCE_PATH_STYLE", "true"}}), "https://s3.eu-west-1.amazonaws.com/my-bucket/a/b%20c");
  EXPECT_EQ(url({{"AWS_ENDPOINT", "s3.amazonaws.com"}}), "https://my-bucket.s3.eu-west-1.amazonaws.com/a/b%20c");
  EXPECT_EQ(Endpoint(*Given({}), "b-b").url("cn-north-1", "k"), "https://b-b.s3.cn-north-1.amazonaws.com.cn/k");
  EXPECT_TRUE(Endpoint(*Given({}), "b").is_amazon());
  // No certificate covers these.
  EXPECT_EQ(url({}, "my.bucket"), "https://s3.eu-west-1.amazonaws.com/my.bucket/a/b%20c");
  EXPECT_EQ(url({}, "My_Bucket"), "https://s3.eu-west-1.amazonaws.com/My_Bucket/a/b%20c");
}

TEST(S3Endpoint, OfOthersIsAsGiven) {
  EXPECT_EQ(url({{"AWS_ENDPOINT", "store.example"}}), "https://my-bucket.store.example/a/b%20c");
  EXPECT_EQ(url({{"AWS_ENDPOINT", "http://store.example:9000/"}}), "http://my-bucket.store.example:9000/a/b%20c");
  EXPECT_EQ(url({{"AWS_ENDPOINT", "http://store.example/base"}, {"AWS_S3_FORCE_PATH_STYLE", "true"}}),
            "http://store.example/base/my-bucket/a/b%20c");
  EXPECT_EQ(url({{"AWS_ENDPOINT", "http://127.0.0.1:7480"}}), "http://127.0.0.1:7480/my-bucket/a/b%20c");
  EXPECT_EQ(url({{"AWS_ENDPOINT", "https://[::1]:7443"}}), "https://[::1]:7443/my-bucket/a/b%20c");
  EXPECT_EQ(url({{"AWS_ENDPOINT", "http://store.example"}}, "my.bucket"), "http://my.bucket.store.example/a/b%20c");
  EXPECT_EQ(url({{"AWS_ENDPOINT", "http://127.0.0.1:7480"}}, "b", ""), "http://127.0.0.1:7480/b");
}

TEST(S3Endpoint, OfWalE) {
  EXPECT_EQ(url({{"WALE_S3_ENDPOINT", "https+path://store.example:9000"}}),
            "https://store.example:9000/my-bucket/a/b%20c");
  EXPECT_EQ(url({{"WALE_S3_ENDPOINT", "http+subdomain://store.example"}}), "http://my-bucket.store.example/a/b%20c");
  EXPECT_EQ(url({{"WALE_S3_ENDPOINT", "http+virtualhost://my-bucket.example"}}), "http://my-bucket.example/a/b%20c");
  EXPECT_EQ(url({{"WALE_S3_ENDPOINT", "http+path://old"}, {"AWS_ENDPOINT", "http://new.example"}}),
            "http://my-bucket.new.example/a/b%20c");
}

TEST(S3Options, WhatCannotBeIsRefused) {
  const auto with = [](Values values) {
    values.insert(values.begin(), {"WALG_S3_PREFIX", "s3://bucket/path"});
    return refusal(values);
  };
  EXPECT_EQ(with({}), "accepted");
  EXPECT_THAT(with({{"AWS_ENDPOINT", "ftp://x"}}), HasSubstr("the scheme is http or https"));
  EXPECT_THAT(with({{"AWS_ENDPOINT", "https://"}}), HasSubstr("the host is missing"));
  const std::string with_password = with({{"AWS_ENDPOINT", "https://user:password@host"}});
  EXPECT_THAT(with_password, HasSubstr("no user"));
  EXPECT_THAT(with_password, Not(HasSubstr("password")));
  EXPECT_THAT(with({{"WALE_S3_ENDPOINT", "https://host"}}), HasSubstr("https+path://host:port"));
  EXPECT_THAT(with({{"WALE_S3_ENDPOINT", "https+odd://host"}}), HasSubstr("virtualhost"));
  EXPECT_THAT(with({{"WALG_S3_SSE", "aws:kms"}}), HasSubstr("needs WALG_S3_SSE_KMS_ID"));
  EXPECT_THAT(with({{"WALG_S3_SSE_KMS_ID", "id"}}), HasSubstr("WALG_S3_SSE=aws:kms only"));
  EXPECT_THAT(with({{"WALG_S3_SSE_C", "k"}}), HasSubstr("must name its algorithm"));
  const std::string short_key = with({{"WALG_S3_SSE", "AES256"}, {"WALG_S3_SSE_C", "too-short-key"}});
  EXPECT_THAT(short_key, HasSubstr("32 bytes"));
  EXPECT_THAT(short_key, Not(HasSubstr("too-short-key")));
  EXPECT_THAT(with({{"WALG_S3_RETENTION_MODE", "FOREVER"}}), HasSubstr("COMPLIANCE"));
  EXPECT_THAT(with({{"WALG_S3_MAX_PART_SIZE", "5242879"}}), HasSubstr("5 MiB"));
  EXPECT_THAT(with({{"WALG_S3_ENABLE_VERSIONING", "yes"}}), HasSubstr("enabled and disabled"));
  EXPECT_THAT(with({{"WALG_S3_ENDPOINT_PROTOCOL", "gopher"}}), HasSubstr("http and https"));
}

TEST(S3Options, HeadersAreReadFromYamlAndJson) {
  const auto read = [](std::string_view text) {
    std::string all;
    for (const http::Header& header : parse_headers(text)) all += header.name + "=" + header.value + ";";
    return all;
  };
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(read("X-A: 1\nX-B: two words\n"), "X-A=1;X-B=two words;");
  EXPECT_EQ(read("- X-A: 1\n- X-B: 2\n- x-a: 3\n"), "X-B=2;x-a=3;");
  EXPECT_EQ(read("{\"X-A\": \"1\"}"), "X-A=1;");
  for (const std::string_view wrong :
       {"text", "[a, b]", "X-A: [1]", "X A: 1", "{\"X-A\": \"secret\\r\\nHost: evil\"}", "X-A: 'unfinished"}) {
    try {
      ADD_FAILURE() << read(wrong);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config);
      EXPECT_THAT(error.what(), HasSubstr("WALG_S3_REQUEST_ADDITIONAL_HEADERS"));
      EXPECT_THAT(error.what(), Not(HasSubstr("secret")));
    }
  }
}

TEST(S3Options, CreationIsAskedForAsConfigured) {
  const Given given({{"WALG_S3_PREFIX", "s3://bucket/path"},
                     {"WALG_S3_SSE", "aws:kms"},
                     {"WALG_S3_SSE_KMS_ID", "the-key"},
                     {"WALG_S3_STORAGE_CLASS", "GLACIER"},
                     {"WALG_S3_RETENTION_PERIOD", "86400"}});
  const Options options = read_options(*given);
  std::string all;
  const Time now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21);
  for (const http::Header& header : options.creation({.storage_class = "DEEP"}, now)) {
    all += header.name + "=" + header.value + "\n";
  }
  EXPECT_EQ(all,
            "x-amz-server-side-encryption=aws:kms\nx-amz-server-side-encryption-aws-kms-key-id=the-key\n"
            "x-amz-storage-class=DEEP\nx-amz-object-lock-mode=GOVERNANCE\n"
            "x-amz-object-lock-retain-until-date=2026-11-22T00:00:00Z\n");
  EXPECT_TRUE(options.opaque_tags());
  EXPECT_FALSE(read_options(*Given({{"WALG_S3_PREFIX", "s3://b/p"}, {"WALG_S3_SSE", "AES256"}})).opaque_tags());
}

}  // namespace
}  // namespace seawall::storage::s3
