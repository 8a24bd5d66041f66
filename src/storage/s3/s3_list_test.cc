// Listings and removals, against a server that answers as told.
#include <gmock/gmock.h>

#include "storage/s3/s3_store.hh"
#include "support/s3_world.hh"

namespace seawall::storage::s3 {
namespace {

using test::http_answer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string entry(std::string_view key) {
  return "<Contents><Key>" + std::string(key) +
         "</Key><LastModified>2026-11-21T05:12:22.875Z</LastModified><ETag>&quot;e&quot;</ETag><Size>3</Size></"
         "Contents>";
}
std::string folded(std::string_view prefix) {
  return "<CommonPrefixes><Prefix>" + std::string(prefix) + "</Prefix></CommonPrefixes>";
}
std::string page_of(std::string_view content, std::string_view kind = "ListBucketResult") {
  return http_answer("200 OK", "<?xml version=\"1.0\"?><" + std::string(kind) + " xmlns=\"http://s3\">" +
                                   std::string(content) + "</" + std::string(kind) + ">");
}
const std::string more = "<IsTruncated>true</IsTruncated>";

class S3Lists : public test::S3World {
 protected:
  static std::vector<std::string> names(Store& store, const ListOptions& options) {
    std::vector<std::string> all;
    store.list(
        options, [&](const ObjectInfo& object) { return all.push_back(object.key), true; },
        [&](std::string_view prefix) { return all.emplace_back(prefix), true; }, {});
    return all;
  }
};

TEST_F(S3Lists, GoFromPageToPage) {
  const std::string root = "some/where/";
  answers({page_of(more + "<NextContinuationToken>t/+1</NextContinuationToken>" + entry(root + "a") +
                   entry(root + "c") + folded(root + "b/")),
           page_of(folded(root + "d/") + entry(root + "e"))});
  const auto store = open();
  EXPECT_THAT(names(*store, {.start_after = "0", .one_level = true}), ElementsAre("a", "b/", "c", "d/", "e"));
  EXPECT_THAT(lines(),
              ElementsAre("GET /bucket?list-type=2&start-after=some%2Fwhere%2F0&prefix=some%2Fwhere%2F&delimiter=%2F&"
                          "encoding-type=url&max-keys=1000",
                          "GET /bucket?list-type=2&continuation-token=t%2F%2B1&prefix=some%2Fwhere%2F&delimiter=%2F&"
                          "encoding-type=url&max-keys=1000"));
}

TEST_F(S3Lists, TheOlderRequestGoesOnFromTheLastName) {
  set(settings.use_list_objects_v1, "true");
  // radosgw's NextMarker is not encoded although everything else is.
  answers({page_of("<EncodingType>url</EncodingType>" + more + entry("some/where/a%20%2Bb") +
                   "<NextMarker>some/where/a +b</NextMarker>"),
           page_of("<EncodingType>url</EncodingType>" + entry("some/where/a%2Bc"))});
  EXPECT_THAT(names(*open(), {}), ElementsAre("a +b", "a+c"));
  EXPECT_THAT(lines(),
              ElementsAre("GET /bucket?prefix=some%2Fwhere%2F&encoding-type=url&max-keys=1000",
                          "GET /bucket?marker=some%2Fwhere%2Fa%20%2Bb&prefix=some%2Fwhere%2F&encoding-type=url&"
                          "max-keys=1000"));
}

TEST_F(S3Lists, NamesThatRepeatOnTheNextPageComeOnce) {
  const std::string root = "some/where/";
  answers({page_of(more + "<NextContinuationToken>1</NextContinuationToken>" + entry(root + "a") + folded(root + "b/")),
           page_of(entry(root + "a") + folded(root + "b/") + entry(root + "c"))});
  EXPECT_THAT(names(*open(), {.one_level = true}), ElementsAre("a", "b/", "c"));
}

TEST_F(S3Lists, WhatIsNoKeyOfOursIsPassedOver) {
  const std::string root = "some/where/";
  answers({page_of(entry(root) + entry(root + "a") + entry(root + "a//b") + entry(root + "folder/") +
                   entry("some/wherever"))});
  EXPECT_THAT(names(*open(), {}), ElementsAre("a"));
}

TEST_F(S3Lists, AFolderThatIsBegunIsLookedInto) {
  answers({page_of(entry("some/where/a/c")), page_of(folded("some/where/a/") + entry("some/where/b")), page_of(""),
           page_of("")});
  const auto store = open();
  EXPECT_THAT(names(*store, {.start_after = "a/b", .one_level = true}), ElementsAre("a/", "b"));
  EXPECT_THAT(lines()[0], HasSubstr("start-after=some%2Fwhere%2Fa%2Fb&prefix=some%2Fwhere%2Fa%2F&encoding"));
  EXPECT_THAT(names(*store, {.start_after = "a/c", .one_level = true}), ElementsAre());
}

TEST_F(S3Lists, HalfCharactersAreNotSent) {
  answers({page_of(entry("some/where/x\u00e4") + entry("some/where/x\u65e5"))});
  EXPECT_THAT(names(*open(), {.prefix = "x\xC3"}), ElementsAre("x\u00e4"));
  EXPECT_THAT(lines()[0], HasSubstr("prefix=some%2Fwhere%2Fx&"));
}

TEST_F(S3Lists, EndlessAndDisorderedListingsAreErrors) {
  const std::string page = page_of(more + "<NextContinuationToken>1</NextContinuationToken>" + entry("some/where/a"));
  answers({page, page, page_of(more), page_of(entry("some/where/b") + entry("some/where/a")),
           http_answer("200 OK", "this is no XML"), page_of("<Contents><Key>some/where/a</Key></Contents>"),
           http_answer("200 OK", "<html/>")});
  const auto store = open();
  const auto fails = [&] { return failure_of([&] { names(*store, {}); }); };
  EXPECT_THAT(fails().what(), HasSubstr("does not advance"));
  EXPECT_THAT(fails().what(), HasSubstr("does not advance"));
  EXPECT_EQ(fails().code(), Errc::unsupported);
  EXPECT_EQ(fails().code(), Errc::corrupt);
  EXPECT_THAT(fails().what(), HasSubstr("some/where/a has no LastModified"));
  EXPECT_THAT(fails().what(), HasSubstr("it is a <html>"));
}

TEST_F(S3Lists, AllVersionsAreTold) {
  const auto version = [](std::string_view kind, std::string_view id, std::string_view latest) {
    return "<" + std::string(kind) + "><Key>some/where/a</Key><VersionId>" + std::string(id) +
           "</VersionId><IsLatest>" + std::string(latest) +
           "</IsLatest><LastModified>2026-11-21T05:12:22.875Z</LastModified><Size>3</Size></" + std::string(kind) + ">";
  };
  answers({page_of(more + "<NextKeyMarker>some/where/a</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker>" +
                       version("DeleteMarker", "v3", "true") + version("Version", "v2", "false"),
                   "ListVersionsResult"),
           page_of(version("Version", "v1", "false"), "ListVersionsResult")});
  std::vector<std::string> found;
  open()->list(
      {.all_versions = true},
      [&](const ObjectInfo& object) {
        found.push_back(object.key + object.version + (object.latest ? "L" : "") + (object.deleted ? "D" : ""));
        return true;
      },
      {});
  EXPECT_THAT(found, ElementsAre("av3LD", "av2", "av1"));
  EXPECT_THAT(lines()[1], HasSubstr("/bucket?versions=&key-marker=some%2Fwhere%2Fa&version-id-marker=v2&prefix="));
}

TEST_F(S3Lists, FeaturesAreToldAndARefusalIsAnAnswer) {
  const auto state = [](const std::vector<Feature>& features, std::string_view name) {
    for (const Feature& feature : features) {
      if (feature.name == name) return feature.state;
    }
    return std::string("missing");
  };
  answers({page_of("<Status>Enabled</Status>", "VersioningConfiguration"),
           page_of("<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode>"
                   "<Days>30</Days></DefaultRetention></Rule>",
                   "ObjectLockConfiguration"),
           http_answer("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>"), bare("404 Not Found"), page_of(""),
           page_of("")});
  const auto store = open();
  const auto first = store->features({});
  EXPECT_EQ(state(first, "versions"), "kept");
  EXPECT_EQ(state(first, "object lock"), "on, 30 days in mode COMPLIANCE");
  const auto second = store->features({});
  EXPECT_EQ(state(second, "versions"), "not told (403 AccessDenied)");
  EXPECT_EQ(state(second, "object lock"), "off");
  const auto third = store->features({});
  EXPECT_EQ(state(third, "versions"), "not told (the server does not know the question)");
  EXPECT_EQ(state(third, "object lock"), "not told (the server does not know the question)");
  const auto asked = lines();
  EXPECT_EQ(asked.at(0), "GET /bucket?versioning=");
  EXPECT_EQ(asked.at(1), "GET /bucket?object-lock=");
}

TEST_F(S3Lists, NamesThatShareMostOfThemselvesAreLookedForTogether) {
  const std::string name = "wal_005/000000010000000000000001";
  answers({page_of(entry("some/where/" + name + ".lz4") + entry("some/where/" + name + ".zst")), head_of(1),
           bare("404 Not Found")});
  const auto store = open();
  const std::vector<std::string> wanted{name + ".zst", name + ".br", name + ".lz4"};
  const auto found = store->stat_each(wanted, {});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].key, name + ".zst");
  EXPECT_EQ(found[1].key, name + ".lz4");
  EXPECT_EQ(lines().size(), 1u);
  const std::vector<std::string> apart{"a/x", "b/x"};
  EXPECT_EQ(store->stat_each(apart, {}).size(), 1u);
  EXPECT_EQ(lines().size(), 2u);
}

TEST_F(S3Lists, RemovalsGoInBatches) {
  set(settings.delete_batch_size, "2");
  const std::string done = http_answer("200 OK", "<DeleteResult xmlns=\"http://s3\"></DeleteResult>");
  const std::string one_stays = http_answer(
      "200 OK",
      "<DeleteResult><Error><Key>some/where/c</Key><Code>AccessDenied</Code><Message>locked</Message></Error>"
      "<Error><Key>some/where/d&lt;</Key><Code>NoSuchKey</Code></Error></DeleteResult>");
  answers({done, one_stays, bare("204 No Content"), bare("204 No Content")});
  const std::vector<std::string> keys{"a", "b", "c", "d<", "e", "odd\x01"};
  const auto failures = open()->remove(keys, {});
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].key, "c");
  EXPECT_THAT(failures[0].reason, HasSubstr("AccessDenied (locked)"));
  EXPECT_THAT(request(0).head, HasSubstr("Content-MD5: "));
  EXPECT_THAT(request(0).body, HasSubstr("<Quiet>true</Quiet><Object><Key>some/where/a</Key></Object>"));
  EXPECT_THAT(request(1).body, HasSubstr("<Key>some/where/d&lt;</Key>"));
  EXPECT_THAT(lines(), ElementsAre("POST /bucket?delete=", "POST /bucket?delete=", "DELETE /bucket/some/where/e",
                                   "DELETE /bucket/some/where/odd%01"));
}

TEST_F(S3Lists, WithoutBatchesEachIsRemovedAlone) {
  answers({refusal("501 Not Implemented", "NotImplemented"), bare("204 No Content"),
           refusal("404 Not Found", "NoSuchKey"), refusal("403 Forbidden", "AccessDenied"), bare("204 No Content"),
           bare("204 No Content")});
  const auto store = open();
  const std::vector<std::string> keys{"a", "b", "c"};
  EXPECT_EQ(store->remove(keys, {}).size(), 1u);
  const std::vector<std::string> rest{"d", "e"};
  EXPECT_EQ(store->remove(rest, {}).size(), 0u);
  EXPECT_EQ(lines().size(), 6u) << "asked for a batch once";
}

TEST_F(S3Lists, AKeyThatHasToWaitMakesTheBatchWait) {
  answers({http_answer("200 OK",
                       "<DeleteResult><Error><Key>some/where/c</Key><Code>SlowDown</Code></Error></DeleteResult>")});
  const std::vector<std::string> keys{"a", "c"};
  EXPECT_EQ(failure_of([&] { open()->remove(keys, {}); }).code(), Errc::throttled);
}

TEST_F(S3Lists, SingleVersionsAreRemoved) {
  answers(
      {bare("204 No Content"), http_answer("200 OK", "<DeleteResult/>"), refusal("404 Not Found", "NoSuchVersion")});
  const auto store = open();
  EXPECT_TRUE(store->keeps_versions());
  const std::vector<ObjectVersion> one{{"a", "v/1"}};
  EXPECT_TRUE(store->remove_versions(one, {}).empty());
  const std::vector<ObjectVersion> two{{"a", "v2"}, {"b", "w"}};
  EXPECT_TRUE(store->remove_versions(two, {}).empty());
  EXPECT_TRUE(store->remove_versions(one, {}).empty()) << "absent ones are fine";
  EXPECT_THAT(request(0).head, HasSubstr("DELETE /bucket/some/where/a?versionId=v%2F1"));
  EXPECT_THAT(request(1).body,
              HasSubstr("<Object><Key>some/where/a</Key><VersionId>v2</VersionId></Object><Object><Key>"
                        "some/where/b</Key><VersionId>w</VersionId></Object></Delete>"));
}

TEST_F(S3Lists, VersionsAreRemovedWhereThatIsWished) {
  set(settings.enable_versioning, "enabled");
  const std::string time = "<LastModified>2026-11-21T05:12:22.875Z</LastModified><Size>3</Size>";
  answers({page_of("<DeleteMarker><Key>some/where/a</Key><VersionId>v2</VersionId>" + time +
                       "</DeleteMarker><Version><Key>some/where/a</Key><VersionId>v1</VersionId>" + time +
                       "</Version><Version><Key>some/where/ab</Key><VersionId>w</VersionId>" + time + "</Version>",
                   "ListVersionsResult"),
           http_answer("200 OK", "<DeleteResult/>")});
  const std::vector<std::string> keys{"a"};
  EXPECT_TRUE(open()->remove(keys, {}).empty());
  EXPECT_THAT(request(1).body,
              HasSubstr("<Object><Key>some/where/a</Key><VersionId>v2</VersionId></Object><Object><Key>"
                        "some/where/a</Key><VersionId>v1</VersionId></Object></Delete>"));
}

}  // namespace
}  // namespace seawall::storage::s3
