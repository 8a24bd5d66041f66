// Single objects, against a server that answers as told.
#include "storage/s3/s3_store.hh"

#include <gmock/gmock.h>

#include "base/crc32c.hh"
#include "storage/s3/checksums.hh"
#include "support/s3_world.hh"

namespace seawall::storage::s3 {
namespace {

using test::http_answer;
using test::SeenRequest;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class S3Objects : public test::S3World {
 protected:
  static std::string drain(Source& source) {
    std::string text;
    std::array<std::byte, 100> buffer{};
    while (const std::size_t n = source.read(buffer)) text += text_of(Bytes(buffer).first(n));
    return text;
  }
  static std::string object(std::string_view body, std::string_view etag = "aa", std::string_view more = "") {
    return http_answer("200 OK", body, object_headers(etag) + std::string(more));
  }
};

TEST_F(S3Objects, PutIsOneSignedRequest) {
  set(settings.storage_class, "STANDARD_IA");
  set(settings.additional_headers, "{X-Tenant: blue, x-odd: \"a  b\"}");
  answers({put_answer("\"e1\"")});
  const auto store = open();
  EXPECT_EQ(store->description(), "s3://bucket/some/where at " + server.url(""));
  const PutResult result = store->put("a b/+\u00e4", bytes_of("123456789"), {}, {});
  EXPECT_TRUE(result.created);
  EXPECT_EQ(result.object.bytes, 9u);
  const SeenRequest put = request(0);
  EXPECT_EQ(put.body, "123456789");
  EXPECT_THAT(put.head, HasSubstr("PUT /bucket/some/where/a%20b/%2B%C3%A4 HTTP/1.1\r\n"));
  EXPECT_THAT(put.head, HasSubstr("\r\nContent-Length: 9\r\n"));
  EXPECT_THAT(put.head, HasSubstr("x-amz-checksum-crc32c: 4waSgw==\r\n"));
  EXPECT_THAT(put.head, HasSubstr("x-amz-storage-class: STANDARD_IA\r\n"));
  EXPECT_THAT(put.head, HasSubstr("X-Tenant: blue\r\n"));
  // sha256 of the body: nothing else protects it without TLS.
  EXPECT_THAT(put.head, HasSubstr("15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"));
  EXPECT_THAT(put.head, HasSubstr("/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-checksum-crc32c;"
                                  "x-amz-content-sha256;x-amz-date;x-amz-storage-class;x-odd;x-tenant,"));
  EXPECT_THAT(put.head, Not(HasSubstr("Content-MD5")));
  EXPECT_THAT(put.head, Not(HasSubstr("Expect")));
}

TEST_F(S3Objects, BigBodiesAreAnnouncedIfWished) {
  set(settings.disable_100_continue, "false");
  answers({put_answer(), put_answer()});
  const auto store = open();
  const std::string big(2 << 20, 'x');
  store->put("big", bytes_of(big), {}, {});
  store->put("small", bytes_of(big).first(big.size() - 1), {}, {});
  EXPECT_THAT(request(0).head, HasSubstr("Expect: 100-continue"));
  EXPECT_EQ(request(0).body.size(), big.size());
  EXPECT_THAT(request(1).head, Not(HasSubstr("Expect")));
}

TEST_F(S3Objects, RetentionIsAskedForWithItsChecksum) {
  set(settings.retention_period, "60");
  set(settings.retention_mode, "compliance");
  answers({put_answer()});
  open()->put("x", bytes_of("123456789"), {}, {});
  EXPECT_THAT(request(0).head, HasSubstr("x-amz-object-lock-mode: COMPLIANCE\r\n"));
  EXPECT_THAT(request(0).head, HasSubstr("x-amz-object-lock-retain-until-date: 20"));
  EXPECT_THAT(request(0).head, HasSubstr("Content-MD5: JfnnlDI7RTiF9RgfG2JNCw==\r\n"));
}

TEST_F(S3Objects, ChecksumsAreLeftOutWhereTheyAreUnknown) {
  answers({refusal("501 Not Implemented", "NotImplemented"), put_answer(), put_answer()});
  const auto store = open();
  store->put("x", bytes_of("1"), {}, {});
  store->put("x", bytes_of("2"), {}, {});
  EXPECT_THAT(request(0).head, HasSubstr("x-amz-checksum"));
  EXPECT_THAT(request(1).head, Not(HasSubstr("x-amz-checksum")));
  EXPECT_THAT(request(2).head, Not(HasSubstr("x-amz-checksum")));
}

TEST_F(S3Objects, WhatIsNoS3IsNotBelieved) {
  const std::string page = http_answer("200 OK", "<html>please log in</html>", "Content-Type: text/html\r\n");
  answers({page, page, page, page, page, http_answer("404 Not Found", "<html>404</html>")});
  const auto store = open();
  EXPECT_EQ(failure_of([&] { store->put("x", bytes_of("1"), {}, {}); }).code(), Errc::config);
  EXPECT_EQ(failure_of([&] { store->stat("x", {}); }).code(), Errc::config);
  EXPECT_EQ(failure_of([&] { store->try_open("x", {}, {}); }).code(), Errc::config);
  // A missing segment would end recovery: this page says nothing of the kind.
  const Error error = failure_of([&] { store->try_open("x", {}, {}); });
  EXPECT_EQ(error.code(), Errc::config);
  EXPECT_THAT(error.what(), HasSubstr("this is not how S3 answers"));
}

TEST_F(S3Objects, AMissingBucketIsNoMissingObject) {
  answers({bare("404 Not Found"), bare("404 Not Found")});
  const Error error = failure_of([&] { open()->stat("x", {}); });
  EXPECT_EQ(error.code(), Errc::config);
  EXPECT_THAT(error.what(), HasSubstr("create the bucket"));
  EXPECT_THAT(lines(), ElementsAre("HEAD /bucket/some/where/x", "HEAD /bucket"));
  answers({refusal("404 Not Found", "NoSuchBucket")});
  EXPECT_EQ(failure_of([&] { open()->try_open("x", {}, {}); }).code(), Errc::config);
}

TEST_F(S3Objects, TheBucketIsLookedForOnce) {
  answers({bare("404 Not Found"), bare("403 Forbidden"), bare("404 Not Found"), refusal("404 Not Found", "NoSuchKey"),
           head_of(17, "e2")});
  const auto store = open();
  EXPECT_FALSE(store->stat("x", {}));
  EXPECT_FALSE(store->stat("y", {}));
  EXPECT_EQ(store->try_open("z", {}, {}), nullptr);
  const auto found = store->stat("dir/x", {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->key, "dir/x");
  EXPECT_EQ(found->bytes, 17u);
  EXPECT_EQ(found->version, "e2");
  EXPECT_EQ(found->modified, Time(std::chrono::seconds(1795237942)));
}

TEST_F(S3Objects, ReadsAreChecked) {
  const auto store = open();
  const auto read = [&](const std::string& answer, const ReadOptions& options) {
    answers({answer});
    return drain(*store->try_open("x", options, {}));
  };
  EXPECT_EQ(
      read(object("whole", "aa", "x-amz-checksum-crc32c: " + crc32c_text(crc32c(bytes_of("whole"))) + "\r\n"), {}),
      "whole");
  EXPECT_EQ(failure_of([&] { read(object("whole", "aa", "x-amz-checksum-crc32c: AAAAAA==\r\n"), {}); }).code(),
            Errc::corrupt);
  // The sum of sums of parts is something else.
  EXPECT_EQ(read(object("whole", "aa", "x-amz-checksum-crc32c: AAAAAA==-2\r\n"), {}), "whole");
  const Range middle{2, 3};
  const auto part = [&](std::string_view range) {
    return http_answer("206 Partial Content", "abc",
                       object_headers() + "Content-Range: " + std::string(range) + "\r\n");
  };
  ObjectInfo opened;
  lines();
  EXPECT_EQ(read(part("bytes 2-4/100"), {.range = middle, .if_version = "v1", .opened = &opened}), "abc");
  EXPECT_EQ(opened.bytes, 100u);
  EXPECT_THAT(request(0).head, HasSubstr("Range: bytes=2-4\r\n"));
  EXPECT_THAT(request(0).head, HasSubstr("If-Match: \"v1\"\r\n"));
  for (const std::string_view wrong : {"bytes 3-5/100", "bytes 2-3/100", "bytes 2-5/100", "nonsense"}) {
    EXPECT_EQ(failure_of([&] { read(part(wrong), {.range = middle}); }).code(), Errc::corrupt) << wrong;
  }
  EXPECT_EQ(failure_of([&] { read(object("whole"), {.range = middle}); }).code(), Errc::corrupt);
  EXPECT_EQ(failure_of([&] { read(part("bytes 0-2/100"), {}); }).code(), Errc::corrupt);
  EXPECT_EQ(failure_of([&] { read(bare("412 Precondition Failed"), {.if_version = "v1"}); }).code(), Errc::differs);
}

TEST_F(S3Objects, ABodyThatEndsEarlyCanBeHadAgain) {
  test::ScriptedServer cut([](test::ServerConnection& connection) {
    connection.read_head();
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n" + object_headers() + "\r\nonly this");
  });
  set(settings.endpoint, cut.url(""));
  const auto store = open();
  EXPECT_EQ(failure_of([&] { drain(*store->try_open("x", {}, {})); }).code(), Errc::network);
}

TEST_F(S3Objects, ARangeBehindTheEndIsEmpty) {
  answers({refusal("416 Requested Range Not Satisfiable", "InvalidRange"), head_of(5, "e1"), head_of(5, "e1"),
           refusal("416 Requested Range Not Satisfiable", "InvalidRange"), head_of(5, "e1")});
  const auto store = open();
  ObjectInfo opened;
  EXPECT_EQ(drain(*store->try_open("x", {.range = {5, {}}, .opened = &opened}, {})), "");
  EXPECT_EQ(opened.bytes, 5u);
  EXPECT_EQ(drain(*store->try_open("x", {.range = {2, 0}}, {})), "");
  EXPECT_EQ(failure_of([&] {
              store->try_open("x", {.range = {9, {}}, .if_version = "e0"}, {});
            }).code(),
            Errc::differs);
}

TEST_F(S3Objects, PutIfAbsentIsTriedOutOnce) {
  std::optional<bool> kept;
  const PutIfAbsentCache cache{.recall = [&] { return kept; }, .keep = [&](bool honoured) { kept = honoured; }};
  answers({bare("404 Not Found"), bare("200 OK"), put_answer(),
           refusal("412 Precondition Failed", "PreconditionFailed"), put_answer(),
           refusal("412 Precondition Failed", "PreconditionFailed"), head_of(7, "other")});
  const auto store = open(cache);
  EXPECT_TRUE(store->put("w/1", bytes_of("first"), {.only_if_absent = true}, {}).created);
  EXPECT_EQ(kept, true);
  EXPECT_THAT(lines(), ElementsAre("HEAD /bucket/some/where/w/1", "HEAD /bucket", "PUT /bucket/some/where/w/1",
                                   "PUT /bucket/some/where/w/1"));
  EXPECT_TRUE(store->put("w/2", bytes_of("second"), {.only_if_absent = true}, {}).created);
  EXPECT_THAT(request(0).head, HasSubstr("If-None-Match: *\r\n"));
  EXPECT_THAT(lines(), ElementsAre("PUT /bucket/some/where/w/2"));
  const PutResult there = store->put("w/2", bytes_of("second"), {.only_if_absent = true}, {});
  EXPECT_FALSE(there.created);
  EXPECT_EQ(there.object.version, "other");
  EXPECT_EQ(there.object.bytes, 7u);
}

TEST_F(S3Objects, PutIfAbsentOfAServerThatIgnoresIt) {
  std::optional<bool> kept;
  const PutIfAbsentCache cache{.recall = [&] { return kept; }, .keep = [&](bool honoured) { kept = honoured; }};
  answers({bare("404 Not Found"), bare("200 OK"), put_answer(), put_answer()});
  EXPECT_TRUE(open(cache)->put("w/1", bytes_of("x"), {.only_if_absent = true}, {}).created);
  EXPECT_EQ(kept, false);
  lines();
  answers({head_of(1)});
  EXPECT_FALSE(open(cache)->put("w/1", bytes_of("y"), {.only_if_absent = true}, {}).created);
  EXPECT_THAT(lines(), ElementsAre("HEAD /bucket/some/where/w/1"));
}

TEST_F(S3Objects, PutIfAbsentOfAServerThatRefusesIt) {
  answers({bare("404 Not Found"), bare("200 OK"), refusal("501 Not Implemented", "NotImplemented"),
           bare("404 Not Found"), put_answer(), bare("404 Not Found"), put_answer()});
  const auto store = open();
  EXPECT_TRUE(store->put("w/1", bytes_of("x"), {.only_if_absent = true}, {}).created);
  lines();
  EXPECT_TRUE(store->put("w/2", bytes_of("x"), {.only_if_absent = true}, {}).created);
  EXPECT_THAT(request(1).head, Not(HasSubstr("If-None-Match")));
  EXPECT_THAT(lines(), ElementsAre("HEAD /bucket/some/where/w/2", "PUT /bucket/some/where/w/2"));
}

TEST_F(S3Objects, WithoutAMemoryABigPutIsNotRepeated) {
  const std::string big(100 << 10, 'x');
  answers({head_of(1), bare("404 Not Found"), put_answer(), bare("404 Not Found"), put_answer()});
  const auto store = open();
  store->stat("seen", {});
  store->put("a", bytes_of(big), {.only_if_absent = true}, {});
  store->put("b", bytes_of(big), {.only_if_absent = true}, {});
  EXPECT_THAT(lines(),
              ElementsAre("HEAD /bucket/some/where/seen", "HEAD /bucket/some/where/a", "PUT /bucket/some/where/a",
                          "HEAD /bucket/some/where/b", "PUT /bucket/some/where/b"));
}

TEST_F(S3Objects, AConflictIsResolvedByLooking) {
  answers({refusal("409 Conflict", "ConditionalRequestConflict"), head_of(3, "theirs")});
  const PutIfAbsentCache cache{.recall = [] { return true; }, .keep = {}};
  const PutResult result = open(cache)->put("x", bytes_of("abc"), {.only_if_absent = true}, {});
  EXPECT_FALSE(result.created);
  EXPECT_EQ(result.object.version, "theirs");
}

TEST_F(S3Objects, AVersionIsReplacedInTheFormThatTheServerTakes) {
  const std::string refused = refusal("412 Precondition Failed", "PreconditionFailed");
  answers({head_of(1, "v1"), refused, head_of(1, "v1"), put_answer("v2"), head_of(1, "v2"), put_answer("v3"),
           head_of(1, "v9")});
  const auto store = open();
  EXPECT_EQ(store->put("m", bytes_of("2"), {.if_version = "v1"}, {}).object.version, "v2");
  EXPECT_THAT(request(1).head, HasSubstr("If-Match: \"v1\"\r\n"));
  EXPECT_THAT(request(3).head, HasSubstr("If-Match: v1\r\n"));
  lines();
  EXPECT_EQ(store->put("m", bytes_of("3"), {.if_version = "v2"}, {}).object.version, "v3");
  EXPECT_THAT(request(1).head, HasSubstr("If-Match: v2\r\n"));
  EXPECT_EQ(failure_of([&] { store->put("m", bytes_of("4"), {.if_version = "v3"}, {}); }).code(), Errc::differs);
}

TEST_F(S3Objects, AVersionThatChangesBehindTheLookIsNotReplaced) {
  answers({head_of(1, "v1"), refusal("412 Precondition Failed", "PreconditionFailed"), head_of(1, "v2")});
  EXPECT_EQ(failure_of([&] { open()->put("m", bytes_of("2"), {.if_version = "v1"}, {}); }).code(), Errc::differs);
}

TEST_F(S3Objects, CopiesAreChecked) {
  const std::string copied = http_answer("200 OK", "<CopyObjectResult><ETag>\"c\"</ETag></CopyObjectResult>");
  const std::string failed = http_answer("200 OK", "<Error><Code>InternalError</Code></Error>");
  answers({head_of(9, "v1"), copied, head_of(9, "c"), head_of(9, "v1"), failed, bare("404 Not Found"), head_of(9, "v1"),
           copied, head_of(8, "c")});
  const auto store = open();
  EXPECT_EQ(store->copy("from +", "to", {}, {}).object.version, "c");
  EXPECT_THAT(request(1).head, HasSubstr("PUT /bucket/some/where/to "));
  EXPECT_THAT(request(1).head, HasSubstr("x-amz-copy-source: /bucket/some/where/from%20%2B\r\n"));
  EXPECT_THAT(request(1).head, HasSubstr("x-amz-copy-source-if-match: \"v1\"\r\n"));
  EXPECT_EQ(failure_of([&] { store->copy("from", "to", {}, {}); }).code(), Errc::network);
  EXPECT_EQ(failure_of([&] { store->copy("none", "to", {}, {}); }).code(), Errc::not_found);
  EXPECT_EQ(failure_of([&] { store->copy("from", "to", {}, {}); }).code(), Errc::corrupt) << "another size";
}

TEST_F(S3Objects, WhatIsTooBigForOneCopyIsCopiedInParts) {
  constexpr std::uint64_t bytes = (std::uint64_t{5} << 30) + 1;
  const std::string part = http_answer("200 OK", "<CopyPartResult><ETag>\"p\"</ETag></CopyPartResult>");
  answers(
      {head_of(bytes, "v1"),
       http_answer("200 OK", "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"),
       part, part, part, part, part, part,
       http_answer("200 OK", "<CompleteMultipartUploadResult><ETag>\"p-6\"</ETag></CompleteMultipartUploadResult>"),
       head_of(bytes, "p-6"), head_of(bytes, "p-6")});
  EXPECT_EQ(open()->copy("from", "to", {}, {}).object.bytes, bytes);
  EXPECT_THAT(request(2).head, HasSubstr("x-amz-copy-source-range: bytes=0-1073741823\r\n"));
  EXPECT_THAT(request(7).head, HasSubstr("partNumber=6&uploadId=u1"));
  EXPECT_THAT(request(7).head, HasSubstr("x-amz-copy-source-range: bytes=5368709120-5368709120\r\n"));
}

}  // namespace
}  // namespace seawall::storage::s3
