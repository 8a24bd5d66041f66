#include "storage/s3/s3_xml.hh"

#include <gmock/gmock.h>

#include "base/error.hh"
#include "storage/s3/checksums.hh"
#include "storage/s3/http_time.hh"

namespace seawall::storage::s3 {
namespace {

using testing::ElementsAre;

template <class F>
void expect_corrupt(F&& parse) {
  try {
    parse();
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::corrupt);
  }
}

TEST(S3Xml, FaultsAreReadFromAnything) {
  const Fault fault = parse_fault(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong "
      "&amp; "
      "bad</Message><Region>eu-central-1</Region><RequestId>1</RequestId></Error>");
  EXPECT_EQ(fault.code, "AuthorizationHeaderMalformed");
  EXPECT_EQ(fault.message, "wrong & bad");
  EXPECT_EQ(fault.region, "eu-central-1");
  for (const std::string_view other :
       {"", "<html><body>Error</body></html>", "<Error", "{\"code\":1}", "<Error></Er"}) {
    EXPECT_EQ(parse_fault(other).code, "") << other;
  }
}

TEST(S3Xml, KeysAreDecodedWhereTheServerEncodedThem) {
  const auto page = [](std::string_view encoding, std::string_view key) {
    return parse_list("<ListBucketResult>" + std::string(encoding) + "<Contents><Key>" + std::string(key) +
                      "</Key><LastModified>2026-11-21T05:12:22.000Z</LastModified><ETag>\"a\"</ETag><Size>7</Size>"
                      "</Contents></ListBucketResult>")
        .objects.at(0)
        .key;
  };
  const std::string_view encoded = "<EncodingType>url</EncodingType>";
  EXPECT_EQ(page(encoded, "a+b%2B%C3%A4%zz%"), "a b+\u00e4%zz%");
  EXPECT_EQ(page("", "a+b%2B"), "a+b%2B");
  EXPECT_EQ(page("", "&#13;&lt;&#x20;"), "\r< ");
  EXPECT_EQ(page("", "  "), "  ") << "blanks are a name";
}

TEST(S3Xml, ListsAreComplete) {
  const ListPage page = parse_list(
      "<s3:ListBucketResult xmlns:s3=\"http://s3\"><s3:IsTruncated>true</s3:IsTruncated>"
      "<s3:NextContinuationToken> t </s3:NextContinuationToken>"
      "<s3:Contents><s3:Key>a</s3:Key><s3:LastModified>2026-11-21T05:12:22.875Z</s3:LastModified>"
      "<s3:ETag>&quot;e&quot;</s3:ETag><s3:Size>18446744073709551615</s3:Size></s3:Contents>"
      "<s3:CommonPrefixes><s3:Prefix>b/</s3:Prefix></s3:CommonPrefixes></s3:ListBucketResult>");
  EXPECT_TRUE(page.truncated);
  EXPECT_EQ(page.token, " t ");
  EXPECT_EQ(page.last, "b/");
  ASSERT_EQ(page.objects.size(), 1u);
  EXPECT_EQ(page.objects[0].version, "e");
  EXPECT_EQ(page.objects[0].bytes, UINT64_MAX);
  EXPECT_EQ(page.objects[0].modified.time_since_epoch() % std::chrono::seconds(1), std::chrono::milliseconds(875));
  EXPECT_THAT(page.prefixes, ElementsAre("b/"));
  expect_corrupt([] { parse_list("<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"); });
  expect_corrupt([] { parse_list("<DeleteResult/>"); });
  expect_corrupt([] { parse_list("<ListBucketResult>"); });
}

TEST(S3Xml, ResultsTellFaults) {
  EXPECT_EQ(parse_result("<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>").etag, "e");
  EXPECT_EQ(parse_result("<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>").etag, "");
  EXPECT_EQ(parse_result("<Error><Code>SlowDown</Code></Error>").fault.code, "SlowDown");
  expect_corrupt([] { parse_result("<Error/>"); });
  expect_corrupt([] { parse_result(""); });
  expect_corrupt([] { parse_upload_id("<InitiateMultipartUploadResult/>"); });
  expect_corrupt([] { parse_removals("<Error><Code>x</Code></Error>"); });
}

TEST(S3Xml, RequestsHoldTheirKeys) {
  const std::vector<Removal> objects{{"a<&>\"b\r\n\t", ""}, {"c", "v1"}};
  EXPECT_EQ(
      removal_request(objects),
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>"
      "true</Quiet><Object><Key>a&lt;&amp;&gt;&quot;b&#13;&#10;&#9;</Key></Object><Object><Key>c</Key><VersionId>v1"
      "</VersionId></Object></Delete>");
  EXPECT_TRUE(fits_xml("a\t\r\n\u00e4"));
  EXPECT_FALSE(fits_xml("a\x01"));
  EXPECT_FALSE(fits_xml("\xEF\xBF\xBF"));
}

TEST(S3Xml, TagsLoseTheirQuotes) {
  EXPECT_EQ(bare_tag("\"a\""), "a");
  EXPECT_EQ(bare_tag(" W/\"a-2\" "), "a-2");
  EXPECT_EQ(bare_tag("a"), "a");
  EXPECT_EQ(bare_tag("\""), "\"");
  EXPECT_EQ(bare_tag(""), "");
}

TEST(S3Checksums, AreWrittenAsS3WantsThem) {
  EXPECT_EQ(base64(bytes_of("")), "");
  EXPECT_EQ(base64(bytes_of("f")), "Zg==");
  EXPECT_EQ(base64(bytes_of("fo")), "Zm8=");
  EXPECT_EQ(base64(bytes_of("foobar")), "Zm9vYmFy");
  EXPECT_EQ(crc32c_text(0xE3069283), "4waSgw==");
  EXPECT_EQ(crc32c_bytes("4waSgw=="), "\xE3\x06\x92\x83");
  EXPECT_EQ(crc32c_bytes("4waSgw"), "");
  EXPECT_EQ(crc32c_bytes("4wa*gw=="), "");
  // As radosgw and Swift answered for one part of 100 times 'x'.
  PartsTag tag;
  EXPECT_EQ(tag.value(), "");
  tag.add("aed563ecafb4bcc5654c597a421547b2");
  EXPECT_EQ(tag.value(), "bccb8986cc6b395e4f045d410c776698-1");
  tag.add("opaque");
  EXPECT_EQ(tag.value(), "");
}

TEST(S3HttpTime, IsStrict) {
  EXPECT_EQ(parse_http_time("Sat, 21 Nov 2026 05:12:22 GMT"), Time(std::chrono::seconds(1795237942)));
  for (const std::string_view wrong :
       {"", "Sat, 21 Nov 2026 05:12:22", "Sat, 31 Feb 2026 05:12:22 GMT", "Sat, 21 Nov 2026 25:12:22 GMT",
        "Sat, 21 Nov 9999 05:12:22 GMT", "Sat, 21 Nov 2026 05:12 GMT", "2026-11-21T05:12:22Z"}) {
    EXPECT_EQ(parse_http_time(wrong), std::nullopt) << wrong;
  }
}

TEST(S3HttpTime, RangesMustHoldTogether) {
  const auto range = parse_content_range("bytes 1-2/3");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 1u);
  EXPECT_EQ(range->last, 2u);
  EXPECT_EQ(range->whole, 3u);
  for (const std::string_view wrong :
       {"", "bytes */3", "bytes 2-1/3", "bytes 1-3/3", "1-2/3", "bytes 1-2/*", "bytes -1-2/3", "bytes 1/2-3"}) {
    EXPECT_FALSE(parse_content_range(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace seawall::storage::s3
