#include "archive/sentinel.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.hh"
#include "base/time_text.hh"

namespace seawall::archive {
namespace {

using testing::HasSubstr;

std::string fixture(const std::string& name) {
  std::ifstream file(std::string(SEAWALL_FIXTURES) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Sentinel parsed(std::string_view json) { return parse_sentinel(json, "x_backup_stop_sentinel.json"); }

template <class Call>
std::pair<Errc, std::string> failure_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {Errc::bug, "nothing failed"};
}

Time at(std::string_view text) { return parse_rfc3339(text).value(); }

TEST(Sentinel, RealDocumentsComeBackByteForByte) {
  for (const char* name : {"sentinel_user_data.json", "sentinel_delta.json", "sentinel_tablespaces.json"}) {
    const std::string text = fixture(name);
    EXPECT_EQ(text, print_sentinel(parse_sentinel(text, name))) << name;
  }
  for (const char* name : {"metadata_user_data.json", "metadata_plain.json"}) {
    const std::string text = fixture(name);
    EXPECT_EQ(text, print_metadata(parse_metadata(text, name))) << name;
  }
}

TEST(Sentinel, FieldsOfARealDelta) {
  const Sentinel sentinel = parsed(fixture("sentinel_delta.json"));
  EXPECT_TRUE(sentinel.is_delta());
  EXPECT_EQ(24117288u, sentinel.start_lsn.value().value);
  EXPECT_EQ(22020136u, sentinel.delta_lsn.value().value);
  EXPECT_EQ("base_000000010000000000000015", sentinel.delta_from);
  EXPECT_EQ("base_000000010000000000000015", sentinel.delta_full_name);
  EXPECT_EQ(1, sentinel.delta_count);
  EXPECT_EQ(150020, sentinel.pg_version);
  EXPECT_EQ(24117504u, sentinel.finish_lsn.value().value);
  EXPECT_EQ(7710406600749688701u, sentinel.system_identifier);
  EXPECT_EQ(469307, sentinel.uncompressed_bytes);
  EXPECT_EQ(91663, sentinel.compressed_bytes);
  EXPECT_EQ(13260685, sentinel.data_catalog_bytes);
  EXPECT_EQ(std::nullopt, sentinel.spec ? std::optional(1) : std::nullopt);
  EXPECT_EQ("{\"n\":2}", sentinel.user_data_json);
  EXPECT_EQ(2, sentinel.version);
  EXPECT_EQ(at("2026-11-20T23:55:35.37648Z"), sentinel.start_time);
  EXPECT_EQ("pg-golden", sentinel.hostname);
  EXPECT_FALSE(sentinel.is_permanent);
  EXPECT_FALSE(sentinel.has_files);
}

TEST(Sentinel, MembersThatAreAlwaysThereAndThoseThatAreNot) {
  Sentinel sentinel;
  EXPECT_EQ(
      "{\"LSN\":null,\"PgVersion\":0,\"FinishLSN\":null,\"UncompressedSize\":0,\"CompressedSize\":0,\"ChkpNum\":null,"
      "\"Version\":2,\"StartTime\":\"1970-01-01T00:00:00Z\",\"FinishTime\":\"1970-01-01T00:00:00Z\","
      "\"DateFmt\":\"%Y-%m-%dT%H:%M:%S.%fZ\",\"Hostname\":\"\",\"DataDir\":\"\",\"IsPermanent\":false}",
      print_sentinel(sentinel));
  sentinel.system_identifier = 18446744073709551615u;
  sentinel.files_metadata_disabled = true;
  sentinel.user_data_json = " { \"b\" : 1e2, \"a\" : \"<&>\" }\n";
  sentinel.spec = TablespaceSpec{.base_prefix = "/data", .tablespaces = {}};
  sentinel.data_dir = "/data/<x>\u2028";
  sentinel.finish_time = at("2026-01-02T03:04:05.000000001Z");
  EXPECT_THAT(print_sentinel(sentinel),
              HasSubstr("\"SystemIdentifier\":18446744073709551615,\"UncompressedSize\":0,\"CompressedSize\":0,"
                        "\"Spec\":{\"base_prefix\":\"/data\",\"tablespaces\":[]},"
                        "\"UserData\":{\"a\":\"\\u003c\\u0026\\u003e\",\"b\":100},\"FilesMetadataDisabled\":true,"
                        "\"ChkpNum\":null,\"Version\":2,\"StartTime\":\"1970-01-01T00:00:00Z\","
                        "\"FinishTime\":\"2026-01-02T03:04:05.000001Z\""));
  EXPECT_THAT(print_sentinel(sentinel), HasSubstr("\"DataDir\":\"/data/\\u003cx\\u003e\\u2028\""));
  sentinel.user_data_json = "null";
  EXPECT_THAT(print_sentinel(sentinel), testing::Not(HasSubstr("UserData")));
}

TEST(Sentinel, ReadsByGosRules) {
  const Sentinel sentinel = parsed(
      "\r\n{\"lsn\":1,\"LSN\":18446744073709551615,\"PGVERSION\":120001,\"pgversion\":null,\"Unknown\":{\"LSN\":[{}]},"
      "\"isPermanent\":true,\"StartTime\":\"0001-01-01T00:00:00Z\",\"FinishTime\":\"2026-01-01 00:00:00+01:00\","
      "\"DeltaLSN\":5,\"DeltaFromLSN\":7,\"Files\":{\"/a\":{}},\"UserData\":null} ");
  EXPECT_EQ(18446744073709551615u, sentinel.start_lsn.value().value);
  EXPECT_EQ(120001, sentinel.pg_version);
  EXPECT_TRUE(sentinel.is_permanent);
  EXPECT_EQ(Time{}, sentinel.start_time);
  EXPECT_EQ(at("2025-12-31T23:00:00Z"), sentinel.finish_time);
  EXPECT_EQ(7u, sentinel.delta_lsn.value().value);
  EXPECT_TRUE(sentinel.has_files);
  EXPECT_EQ(1, sentinel.version);
  EXPECT_EQ("", sentinel.user_data_json);
  EXPECT_EQ(std::nullopt, parsed("{}").start_lsn);
}

TEST(Sentinel, TakesTheTablespacesOfWalE) {
  const char* entry =
      "{\"16385\":{\"loc\":\"/ts\",\"link\":\"pg_tblspc/16385\"},\"tablespaces\":[\"16385\"],"
      "\"base_prefix\":\"/wal-e\"}";
  const Sentinel old = parsed(fmt::format("{{\"Spec\":null,\"spec\":{}}}", entry));
  EXPECT_EQ("/wal-e", old.spec.value().base_prefix);
  const Sentinel both = parsed(fmt::format("{{\"Spec\":{{\"base_prefix\":\"/wal-g\"}},\"spec\":{}}}", entry));
  EXPECT_EQ("/wal-g", both.spec.value().base_prefix);
  EXPECT_TRUE(both.spec.value().empty());
}

TEST(Sentinel, RefusesWhatIsNone) {
  for (const std::string& text : {std::string(),
                                  std::string("null"),
                                  std::string("[]"),
                                  std::string("{"),
                                  std::string("{}x"),
                                  std::string("{}\0", 3),
                                  std::string("{\"LSN\":\"0/15\"}"),
                                  std::string("{\"LSN\":-1}"),
                                  std::string("{\"LSN\":18446744073709551616}"),
                                  std::string("{\"LSN\":1.5}"),
                                  std::string("{\"LSN\":1e3}"),
                                  std::string("{\"PgVersion\":4294967296}"),
                                  std::string("{\"IsPermanent\":1}"),
                                  std::string("{\"Hostname\":{}}"),
                                  std::string("{\"StartTime\":\"yesterday\"}"),
                                  std::string("{\"Spec\":[]}"),
                                  std::string("{\"Spec\":{}}"),
                                  std::string("{\"UserData\":1e999}"),
                                  std::string("{\"DeltaFrom\":\"base_0\"}"),
                                  std::string("{\"a\":") + std::string(5000, '['),
                                  std::string("\xef\xbb\xbf{}"),
                                  std::string("<html>")}) {
    const auto [code, message] = failure_of([&] { parsed(text); });
    EXPECT_EQ(Errc::corrupt, code) << text.substr(0, 50) << ": " << message;
    EXPECT_THAT(message, testing::StartsWith("x_backup_stop_sentinel.json: "));
  }
  EXPECT_THAT(failure_of([] { parsed("{\"LSN\":-1}"); }).second, HasSubstr("LSN is no natural number of 64 bits"));
  EXPECT_THAT(failure_of([] { parsed("{\"LSN\":1,}"); }).second, HasSubstr("byte 9"));
}

TEST(TablespaceSpec, KeepsOrderAndSortsKeys) {
  const TablespaceSpec spec{.base_prefix = "/data",
                            .tablespaces = {{"20000", "/b", "pg_tblspc/20000"}, {"100000", "/a&", "pg_tblspc/100000"}}};
  const std::string text = print_tablespace_spec(spec);
  EXPECT_EQ(
      "{\"100000\":{\"loc\":\"/a\\u0026\",\"link\":\"pg_tblspc/100000\"},\"20000\":{\"loc\":\"/b\",\"link\":"
      "\"pg_tblspc/20000\"},\"base_prefix\":\"/data\",\"tablespaces\":[\"20000\",\"100000\"]}",
      text);
  const TablespaceSpec again = parse_tablespace_spec(text, "spec.json");
  ASSERT_EQ(2u, again.tablespaces.size());
  EXPECT_EQ("20000", again.tablespaces[0].oid);
  EXPECT_EQ("/a&", again.tablespaces[1].location);
  EXPECT_EQ("pg_tblspc/100000", again.tablespaces[1].link);
}

TEST(TablespaceSpec, SaysWhatIsMissing) {
  const auto message = [](std::string_view json) {
    const auto [code, text] = failure_of([&] { parse_tablespace_spec(json, "spec.json"); });
    EXPECT_EQ(Errc::corrupt, code) << json;
    return text;
  };
  EXPECT_THAT(message("{\"tablespaces\":[]}"), HasSubstr("spec.json: tablespace specification: base_prefix"));
  EXPECT_THAT(message("{\"base_prefix\":\"/d\",\"tablespaces\":[\"7\"]}"), HasSubstr("tablespace \"7\" has no loc"));
  EXPECT_THAT(message("{\"base_prefix\":\"/d\",\"7\":{\"loc\":\"/x\"},\"tablespaces\":[\"7\"]}"),
              HasSubstr("tablespace \"7\" has no loc and link"));
  EXPECT_THAT(message("{\"base_prefix\":\"/d\",\"tablespaces\":[7]}"), HasSubstr("no name"));
  EXPECT_THAT(message("{\"base_prefix\":\"/d\",\"tablespaces\":{}}"), HasSubstr("no list"));
  EXPECT_THAT(message("[]"), HasSubstr("no JSON object"));
}

TEST(Metadata, RoundsTimesUpAndListsMembers) {
  BackupMetadata metadata;
  metadata.start_time = at("2026-11-20T23:55:33.781417001Z");
  metadata.finish_time = at("2026-11-20T23:55:33.999999999Z");
  metadata.is_permanent = true;
  metadata.start_lsn = Lsn{40};
  EXPECT_EQ(
      "\"start_time\":\"2026-11-20T23:55:33.781418Z\",\"finish_time\":\"2026-11-20T23:55:34Z\","
      "\"date_fmt\":\"%Y-%m-%dT%H:%M:%S.%fZ\",\"hostname\":\"\",\"data_dir\":\"\",\"pg_version\":0,\"start_lsn\":40,"
      "\"finish_lsn\":null,\"is_permanent\":true,\"system_identifier\":null,\"uncompressed_size\":0,"
      "\"compressed_size\":0",
      metadata_members(metadata));
  EXPECT_EQ("{" + metadata_members(metadata) + "}", print_metadata(metadata));
  EXPECT_EQ(Errc::corrupt, failure_of([] { parse_metadata("{\"is_permanent\":\"yes\"}", "metadata.json"); }).first);
}

TEST(UserData, IsRewrittenAsGoWould) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""},
      {" null ", "null"},
      {"\"just a string\"", "\"just a string\""},
      {"[1, 2.50, -0, 1E+2, 0.000001, 0.0000001, 1e20, 1e21, 123456789012345678901]",
       "[1,2.5,-0,100,0.000001,1e-7,100000000000000000000,1e+21,123456789012345680000]"},
      {"[9007199254740993, 1.7976931348623157e308, 5e-324, 1e-400, 1.5e-9, 12.5e30, 0.1]",
       "[9007199254740992,1.7976931348623157e+308,5e-324,0,1.5e-9,1.25e+31,0.1]"},
      {"{\"b\":1,\"a\":{\"z\":true,\"y\":[]},\"b\":false,\"\":{}}",
       "{\"\":{},\"a\":{\"y\":[],\"z\":true},\"b\":false}"},
      {"\"\\u003c<\\/\\ud83d\\ude00\"", "\"\\u003c\\u003c/\xf0\x9f\x98\x80\""},
      {"\"a\xff\"", "\"a\xef\xbf\xbd\""},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(expected, canonical_user_data(text)) << text;
    EXPECT_EQ(expected, canonical_user_data(expected)) << text;
  }
  for (const char* text : {"text", "{", "'a'", "1e999", "-1e999", "01", "[1,]", "{\"a\":1}{}"}) {
    const auto [code, message] = failure_of([&] { canonical_user_data(text); });
    EXPECT_EQ(Errc::usage, code) << text;
    EXPECT_THAT(message, HasSubstr("user data: ")) << text;
  }
}

TEST(UserData, ComparesDeeply) {
  EXPECT_TRUE(same_user_data("{\"a\":1,\"b\":[1.0,2]}", "{ \"b\":[1,2e0], \"a\":1.00 }"));
  EXPECT_TRUE(same_user_data("", "null"));
  EXPECT_TRUE(same_user_data("9007199254740993", "9007199254740992"));
  EXPECT_FALSE(same_user_data("{\"a\":1}", "{\"a\":\"1\"}"));
  EXPECT_FALSE(same_user_data("[1,2]", "[2,1]"));
  EXPECT_FALSE(same_user_data("{}", ""));
}

}  // namespace
}  // namespace seawall::archive
