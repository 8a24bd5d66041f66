#include "archive/manifest.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hh"

namespace seawall::archive {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view zero_digest = "00000000000000000000000000000000";

Manifest read(std::string_view text) {
  MemorySource source(bytes_of(text));
  return read_manifest(source, "seawall.json");
}

/// With the digest that ends every document.
std::string sealed(std::string text) {
  text.pop_back();
  return fmt::format("{0},\"above\":\"{1}\"}}\n", text, digest_of(bytes_of(text)).hex());
}

std::string sample() {
  StringSink out;
  ManifestWriter writer(
      out, {.tool = "seawall 0.1.0", .system_identifier = 18446744073709551615u, .segment_bytes = 16 << 20});
  writer.object({.name = "tar_partitions/part_001.tar.lz4",
                 .bytes = 900,
                 .digest = {1, 0xabc},
                 .raw_bytes = 5000,
                 .raw_stride = 4194304,
                 .block_offsets = {7, 400}});
  writer.member({.name = "/base/1/\"q\"", .offset = 0, .bytes = 8192, .digest = {0, 1}});
  writer.member({.name = "/base/1/2", .offset = 8704, .bytes = 0, .digest = {2, 3}});
  writer.object({.name = "files_metadata.json", .bytes = 10, .digest = {4, 5}, .raw_bytes = 10});
  writer.finish(Digest{6, 7});
  return std::move(out.text());
}

TEST(Manifest, HasOneLinePerObjectAndMember) {
  EXPECT_EQ(
      "{\"version\":1,\"tool\":\"seawall 0.1.0\",\"digest\":\"xxh3-128\",\"system_identifier\":18446744073709551615,"
      "\"segment_bytes\":16777216,\n"
      " \"objects\":[\n"
      "  {\"name\":\"tar_partitions/part_001.tar.lz4\",\"bytes\":900,"
      "\"digest\":\"00000000000000010000000000000abc\",\"raw_bytes\":5000,\n"
      "   \"blocks\":{\"raw\":4194304,\"offsets\":[7,400]},\n"
      "   \"members\":[\n"
      "    [\"/base/1/\\\"q\\\"\",0,8192,\"00000000000000000000000000000001\"],\n"
      "    [\"/base/1/2\",8704,0,\"00000000000000020000000000000003\"]]},\n"
      "  {\"name\":\"files_metadata.json\",\"bytes\":10,\"digest\":\"00000000000000040000000000000005\","
      "\"raw_bytes\":10,\n"
      "   \"members\":[]}],\n"
      " \"sentinel\":\"00000000000000060000000000000007\",\"above\":\"" +
          digest_of(bytes_of(sample()).first(sample().size() - 45)).hex() + "\"}\n",
      sample());
}

TEST(Manifest, ReadsItsObjects) {
  const Manifest manifest = read(sample());
  EXPECT_EQ(1, manifest.header.version);
  EXPECT_EQ("seawall 0.1.0", manifest.header.tool);
  EXPECT_EQ(18446744073709551615u, manifest.header.system_identifier);
  EXPECT_EQ(16777216u, manifest.header.segment_bytes);
  ASSERT_EQ(2u, manifest.objects.size());
  const ManifestObject& part = manifest.objects[0];
  EXPECT_EQ("tar_partitions/part_001.tar.lz4", part.name);
  EXPECT_EQ(900u, part.bytes);
  EXPECT_EQ((Digest{1, 0xabc}), part.digest);
  EXPECT_EQ(5000u, part.raw_bytes);
  EXPECT_EQ(4194304u, part.raw_stride);
  EXPECT_THAT(part.block_offsets, ElementsAre(7u, 400u));
  EXPECT_EQ("files_metadata.json", manifest.objects[1].name);
  EXPECT_EQ(0u, manifest.objects[1].raw_stride);
  EXPECT_TRUE(manifest.objects[1].block_offsets.empty());
  EXPECT_EQ((Digest{6, 7}), manifest.sentinel);
}

TEST(Manifest, NeedNotKnowTheSentinel) {
  StringSink out;
  ManifestWriter writer(out, {.tool = "t"});
  writer.finish();
  EXPECT_EQ(std::nullopt, read(out.text()).sentinel);
}

TEST(Manifest, SeesAFlippedBitInEveryByte) {
  const std::string good = sample();
  for (std::size_t bit = 0; bit < good.size() * 8; bit += 7) {
    std::string changed = good;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    try {
      read(changed);
      ADD_FAILURE() << bit;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::StartsWith("seawall.json: ")) << bit;
    }
  }
}

std::vector<std::string> members(std::string_view text) {
  MemorySource source(bytes_of(text));
  std::vector<std::string> found;
  read_manifest(source, "seawall.json", [&](const ManifestObject& object, const ManifestMember& member) {
    found.push_back(
        fmt::format("{} {} {} {} {}", object.name, member.name, member.offset, member.bytes, member.digest.low));
  });
  return found;
}

TEST(Manifest, TellsTheMembersOfItsObjects) {
  EXPECT_THAT(members(sample()), ElementsAre("tar_partitions/part_001.tar.lz4 /base/1/\"q\" 0 8192 1",
                                             "tar_partitions/part_001.tar.lz4 /base/1/2 8704 0 3"));
}

TEST(Manifest, RefusesMembersThatAreNone) {
  for (const std::string_view bad : {R"({"a":1})", R"([1])", R"([["/x",0,1]])", R"([["/x",0,1,"00"]])",
                                     R"([[0,"/x",1,"00000000000000000000000000000000"]])", R"([["/x",[0],1,"0"]])",
                                     R"([["/x",0,1,"00000000000000000000000000000000",2]])"}) {
    std::string text = sample();
    const std::size_t at = text.rfind("\"members\":[]");
    text.replace(at, 12, "\"members\":" + std::string(bad));
    try {
      members(text);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::Not(HasSubstr("bytes that were written"))) << bad;
    }
  }
}

TEST(Manifest, PassesOverWhatLaterWritersMayAdd) {
  const Manifest manifest = read(sealed(fmt::format(
      "{{\"later\":{{\"objects\":[1]}},\"version\":1,\"objects\":[{{\"raw_bytes\":2,\"new\":[{{}}],\"digest\":\"{}\","
      "\"bytes\":1,\"blocks\":{{\"kind\":[3],\"raw\":9,\"offsets\":[0]}},\"name\":\"n\"}}],\"tail\":null}}",
      zero_digest)));
  ASSERT_EQ(1u, manifest.objects.size());
  EXPECT_EQ("n", manifest.objects[0].name);
  EXPECT_EQ(9u, manifest.objects[0].raw_stride);
}

TEST(Manifest, RefusesALaterVersion) {
  for (const char* text : {"{\"version\":2,\"objects\":7}", "{\"version\":1,\"digest\":\"sha256\"}"}) {
    try {
      read(text);
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(Errc::unsupported, error.code()) << text;
      EXPECT_THAT(error.what(), HasSubstr("seawall.json: "));
    }
  }
}

TEST(Manifest, RefusesDamage) {
  const auto with = [](std::string_view object) { return fmt::format("{{\"version\":1,\"objects\":[{}]}}", object); };
  const auto complete = [&](std::string_view more) {
    return fmt::format("{{\"name\":\"n\",\"bytes\":100,\"digest\":\"{}\",\"raw_bytes\":1{}}}", zero_digest, more);
  };
  ASSERT_EQ(1u, read(sealed(with(complete("")))).objects.size());
  const std::string good = sample();
  for (const std::string& text : {std::string(),
                                  std::string("{}"),
                                  std::string("null"),
                                  std::string("[]"),
                                  std::string("{\"version\":1}"),
                                  std::string("{\"objects\":[]}"),
                                  std::string("{\"version\":0,\"objects\":[]}"),
                                  std::string("{\"version\":\"1\",\"objects\":[]}"),
                                  std::string("{\"version\":1,\"objects\":{}}"),
                                  good.substr(0, good.size() - 2),
                                  good.substr(0, 300),
                                  good + "x",
                                  good + std::string(1, '\0') + "x",
                                  with("7"),
                                  with("null"),
                                  with("[]"),
                                  with("{}"),
                                  with(complete("") + ",7"),
                                  with("{\"name\":\"n\",\"bytes\":1,\"digest\":\"00\",\"raw_bytes\":1}"),
                                  with("{\"name\":\"n\",\"bytes\":-1}"),
                                  with("{\"name\":7}"),
                                  with("{\"name\":\"\xff\"}"),
                                  with("{\"bytes\":1e3}"),
                                  with(complete(",\"blocks\":[]")),
                                  with(complete(",\"blocks\":{\"offsets\":[1]}")),
                                  with(complete(",\"blocks\":{\"raw\":5,\"offsets\":[2,2]}")),
                                  with(complete(",\"blocks\":{\"raw\":5,\"offsets\":[[2]]}")),
                                  with(complete(",\"blocks\":{\"raw\":5,\"offsets\":2}")),
                                  with(complete(",\"blocks\":{\"raw\":5,\"offsets\":[100]}"))}) {
    try {
      read(text);
      ADD_FAILURE() << text.substr(0, 150);
    } catch (const Error& error) {
      EXPECT_EQ(Errc::corrupt, error.code()) << text.substr(0, 150) << error.what();
      EXPECT_THAT(error.what(), testing::StartsWith("seawall.json: ")) << text.substr(0, 150);
    }
  }
}

}  // namespace
}  // namespace seawall::archive
