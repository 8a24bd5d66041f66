// Uploads in parts, against a server that answers as told.
#include <gmock/gmock.h>

#include "base/crc32c.hh"
#include "storage/s3/checksums.hh"
#include "storage/s3/s3_store.hh"
#include "support/s3_world.hh"

namespace seawall::storage::s3 {
namespace {

using test::http_answer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// The md5 of "first" and of "second", and the ETag that S3 gives the two together.
constexpr std::string_view first_tag = "8b04d5e3775d298e78455efc5ca404d5";
constexpr std::string_view second_tag = "a9f0e61a137d86aa9db53465e0801612";

class S3Uploads : public test::S3World {
 protected:
  std::string whole_tag() const {
    PartsTag tag;
    tag.add(first_tag);
    tag.add(second_tag);
    return tag.value();
  }
  static std::string begun() {
    return http_answer("200 OK",
                       "<InitiateMultipartUploadResult><UploadId>id/+1</UploadId></InitiateMultipartUploadResult>");
  }
  static std::string completed(std::string_view etag = "") {
    return http_answer("200 OK", "  <?xml version=\"1.0\"?><CompleteMultipartUploadResult xmlns=\"http://s3\"><ETag>" +
                                     std::string(etag) + "</ETag></CompleteMultipartUploadResult>");
  }
  /// Two parts of an upload, put.
  Upload put_two(Store& store, const PutOptions& options = {}, std::string_view more = "") {
    const auto tagged = [&](std::string_view tag, std::string_view data) {
      std::string headers = "ETag: \"" + std::string(tag) + "\"\r\n" + std::string(more);
      if (!more.empty()) headers += "x-amz-checksum-crc32c: " + crc32c_text(crc32c(bytes_of(data))) + "\r\n";
      return bare("200 OK", headers);
    };
    answers({begun(), tagged(first_tag, "first"), tagged(second_tag, "second")});
    Upload upload = store.begin("big", options, {});
    parts = {store.put_part(upload, {.number = 1}, bytes_of("first"), {}),
             store.put_part(upload, {.number = 2, .offset = 5}, bytes_of("second"), {})};
    return upload;
  }

  std::vector<Part> parts;
};

TEST_F(S3Uploads, ArePutTogetherAndConfirmed) {
  const auto store = open();
  const Upload upload = put_two(*store);
  EXPECT_THAT(request(0).head, HasSubstr("POST /bucket/some/where/big?uploads= HTTP/1.1\r\n"));
  EXPECT_THAT(request(0).head, HasSubstr("x-amz-checksum-algorithm: CRC32C\r\n"));
  EXPECT_THAT(request(2).head, HasSubstr("PUT /bucket/some/where/big?partNumber=2&uploadId=id%2F%2B1 HTTP/1.1\r\n"));
  lines();
  // radosgw 16 tells no ETag.
  answers({completed(), head_of(11, whole_tag())});
  const PutResult result = store->complete(upload, parts, {});
  EXPECT_TRUE(result.created);
  EXPECT_EQ(result.object.bytes, 11u);
  EXPECT_EQ(result.object.version, whole_tag());
  EXPECT_THAT(request(0).body, HasSubstr("<Part><ETag>&quot;" + std::string(first_tag) +
                                         "&quot;</ETag><PartNumber>1</PartNumber></Part>"));
  EXPECT_THAT(request(0).body, Not(HasSubstr("Checksum"))) << "the server did not repeat any";
  lines();
  EXPECT_EQ(store->complete(upload, parts, {}).object.version, whole_tag()) << "without another request";
  store->abort(upload);
  EXPECT_THAT(lines(), ElementsAre());
}

TEST_F(S3Uploads, ChecksumsOfPartsAreGivenBack) {
  const auto store = open();
  const Upload upload = put_two(*store, {}, "x-echo: yes\r\n");
  lines();
  std::string sums;
  for (const std::string_view text : {"first", "second"}) sums += crc32c_bytes(crc32c_text(crc32c(bytes_of(text))));
  const std::string sum = crc32c_text(crc32c(bytes_of(sums))) + "-2";
  answers({completed("x"), head_of(11, "x-2", "x-amz-checksum-crc32c: " + sum + "\r\n")});
  EXPECT_EQ(store->complete(upload, parts, {}).object.bytes, 11u);
  EXPECT_THAT(request(0).body,
              HasSubstr("<ChecksumCRC32C>" + crc32c_text(crc32c(bytes_of("first"))) + "</ChecksumCRC32C>"));

  const Upload other = put_two(*store, {}, "x-echo: yes\r\n");
  answers({completed("x"), head_of(11, "x-2", "x-amz-checksum-crc32c: AAAAAA==-2\r\n")});
  const Upload renamed{.key = other.key, .id = "another", .options = {}};
  EXPECT_EQ(failure_of([&] { store->complete(renamed, parts, {}); }).code(), Errc::corrupt);
}

TEST_F(S3Uploads, AnotherSizeIsNoticed) {
  const auto store = open();
  const Upload upload = put_two(*store);
  answers({completed(), head_of(10, whole_tag())});
  EXPECT_EQ(failure_of([&] { store->complete(upload, parts, {}); }).code(), Errc::corrupt);
}

TEST_F(S3Uploads, AnErrorUnderStatus200IsAnError) {
  const auto store = open();
  const Upload upload = put_two(*store);
  answers({http_answer("200 OK", "  <Error><Code>InternalError</Code><Message>try again</Message></Error>"),
           http_answer("200 OK", "<Error><Code>AccessDenied</Code></Error>"), http_answer("200 OK", "no XML"),
           completed("x"), head_of(11, whole_tag())});
  EXPECT_EQ(failure_of([&] { store->complete(upload, parts, {}); }).code(), Errc::network);
  EXPECT_EQ(failure_of([&] { store->complete(upload, parts, {}); }).code(), Errc::denied);
  EXPECT_EQ(failure_of([&] { store->complete(upload, parts, {}); }).code(), Errc::corrupt);
  EXPECT_TRUE(store->complete(upload, parts, {}).created);
}

TEST_F(S3Uploads, ALostAnswerIsFoundOut) {
  const std::string gone = refusal("404 Not Found", "NoSuchUpload");
  const auto store = open();
  const Upload upload = put_two(*store);
  answers({bare("500 Internal Server Error"), gone, head_of(11, whole_tag())});
  EXPECT_EQ(failure_of([&] { store->complete(upload, parts, {}); }).code(), Errc::network);
  const PutResult result = store->complete(upload, parts, {});
  EXPECT_TRUE(result.created);
  EXPECT_EQ(result.object.version, whole_tag());

  for (const std::string& there :
       {head_of(11, "0123456789abcdef0123456789abcdef-2"), head_of(12, whole_tag()), bare("404 Not Found")}) {
    const Upload other = put_two(*store);
    answers({gone, there});
    const Upload renamed{.key = other.key, .id = "other" + std::to_string(there.size()), .options = {}};
    EXPECT_EQ(failure_of([&] { store->complete(renamed, parts, {}); }).code(), Errc::not_found);
  }
}

TEST_F(S3Uploads, AConditionWhoseAnswerWasLostIsNotTakenForAnothersWork) {
  const auto store = open();
  const Upload upload = put_two(*store, {.only_if_absent = true});
  lines();
  answers({bare("404 Not Found"), bare("502 Bad Gateway"), head_of(11, whole_tag())});
  EXPECT_EQ(failure_of([&] { store->complete(upload, parts, {}); }).code(), Errc::network);
  EXPECT_TRUE(store->complete(upload, parts, {}).created) << "what is there are these parts";
  EXPECT_THAT(request(1).head, HasSubstr("If-None-Match: *\r\n"));
}

TEST_F(S3Uploads, WhatWasThereFirstStays) {
  const auto store = open();
  Upload upload = put_two(*store, {.only_if_absent = true});
  lines();
  answers({head_of(3, "theirs"), bare("204 No Content")});
  const PutResult result = store->complete(upload, parts, {});
  EXPECT_FALSE(result.created);
  EXPECT_EQ(result.object.version, "theirs");
  EXPECT_THAT(lines(), ElementsAre("HEAD /bucket/some/where/big", "DELETE /bucket/some/where/big?uploadId=id%2F%2B1"))
      << "and the parts are not left to be billed";

  upload = put_two(*store, {.only_if_absent = true});
  upload.id = "faster";
  lines();
  answers({bare("404 Not Found"), refusal("412 Precondition Failed", "PreconditionFailed"), head_of(4, "faster"),
           head_of(4, "faster"), bare("204 No Content")});
  EXPECT_EQ(store->complete(upload, parts, {}).object.version, "faster");
}

TEST_F(S3Uploads, AServerThatTakesNoConditionHereIsAskedBefore) {
  const auto store = open();
  const Upload upload = put_two(*store, {.only_if_absent = true});
  lines();
  answers({bare("404 Not Found"), refusal("412 Precondition Failed", "InvalidRequest"), bare("404 Not Found"),
           bare("404 Not Found"), completed(), head_of(11, whole_tag())});
  EXPECT_TRUE(store->complete(upload, parts, {}).created);
  EXPECT_THAT(request(4).head, Not(HasSubstr("If-None-Match")));
}

TEST_F(S3Uploads, AStaleVersionIsNotReplaced) {
  const auto store = open();
  const Upload upload = put_two(*store, {.if_version = "v1"});
  lines();
  answers({head_of(3, "v2")});
  EXPECT_EQ(failure_of([&] { store->complete(upload, parts, {}); }).code(), Errc::differs);
  EXPECT_THAT(lines(), ElementsAre("HEAD /bucket/some/where/big"));
}

TEST_F(S3Uploads, PartsThatWereNotPutAreRefusedUnasked) {
  const auto store = open();
  const Upload upload = put_two(*store);
  lines();
  parts[1].tag.clear();
  EXPECT_EQ(failure_of([&] { store->complete(upload, parts, {}); }).code(), Errc::bug);
  EXPECT_EQ(failure_of([&] { store->complete(upload, {}, {}); }).code(), Errc::bug);
  EXPECT_EQ(failure_of([&] { store->put_part(upload, {.number = 10001}, bytes_of("x"), {}); }).code(),
            Errc::unsupported);
  EXPECT_THAT(lines(), ElementsAre());
}

TEST_F(S3Uploads, AbortNeverThrows) {
  const auto store = open();
  const Upload upload = put_two(*store);
  lines();
  answers({bare("503 Slow Down"), bare("500 Internal Server Error"), bare("204 No Content")});
  store->abort(upload);
  EXPECT_EQ(lines().size(), 3u) << "nobody else repeats it";
  EXPECT_EQ(failure_of([&] { store->complete(upload, parts, {}); }).code(), Errc::not_found);
  EXPECT_EQ(failure_of([&] { store->put_part(upload, {.number = 3, .offset = 11}, bytes_of("x"), {}); }).code(),
            Errc::not_found);
  EXPECT_THAT(log.text(), Not(HasSubstr("WARNING")));
  const Upload other{.key = "big", .id = "other", .options = {}};
  answers({refusal("403 Forbidden", "AccessDenied")});
  store->abort(other);
  EXPECT_THAT(log.text(), HasSubstr("WARNING: s3://bucket/some/where/big: the upload was not aborted"));
  EXPECT_THAT(log.text(), HasSubstr("allow s3:AbortMultipartUpload"));
}

TEST_F(S3Uploads, PartsAreAsLargeAsTheirNumberDemands) {
  constexpr std::size_t mib = 1 << 20;
  constexpr std::uint64_t gib = 1 << 30;
  const auto part = [&](std::optional<std::uint64_t> bytes) { return open()->upload_shape(bytes).part_bytes; };
  EXPECT_EQ(part({}), 8 * mib);
  EXPECT_EQ(part(1), 8 * mib);
  EXPECT_EQ(part(72'000 * std::uint64_t{mib}), 8 * mib);
  EXPECT_EQ(part(72'000 * std::uint64_t{mib} + 1), 9 * mib) << "a tenth of the 10,000 parts is for what exceeds that";
  EXPECT_EQ(part(5 * 1024 * gib), 583 * mib);
  EXPECT_EQ(open()->upload_shape({}).most_part_bytes, 5 * gib);
  EXPECT_EQ(open()->upload_shape({}).least_part_bytes, 5 * mib);
  EXPECT_EQ(open()->upload_shape({}).parts_in_flight, 16u);
  set(settings.upload_concurrency, "3");
  EXPECT_EQ(open()->upload_shape({}).parts_in_flight, 3u);
  set(settings.max_part_size, "5mb");
  EXPECT_EQ(part({}), 5 * mib);
  EXPECT_EQ(part(5 * 1024 * gib), 5 * mib) << "a ceiling: whoever writes more lets parts grow";
  set(settings.max_part_size, "20971520");
  EXPECT_EQ(part({}), 8 * mib);
  EXPECT_EQ(part(1024 * gib), 20 * mib);
}

}  // namespace
}  // namespace seawall::storage::s3
