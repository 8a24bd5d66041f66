#include "archive/server_manifest.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/crc32c.hh"
#include "base/error.hh"

namespace seawall::archive {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> files_of(std::string_view text) {
  std::vector<std::string> files;
  MemorySource source(bytes_of(text));
  read_server_manifest(source, "backup_manifest", [&](const ServerManifestFile& file) {
    files.push_back(
        fmt::format("{} {} {}", file.path, file.bytes, file.crc32c ? fmt::format("{:08x}", *file.crc32c) : "-"));
  });
  return files;
}

/// As servers of 15 and 17 write them, with a name that is no UTF-8, and files without a CRC.
TEST(ServerManifest, ListsFilesWithTheirSums) {
  const std::string manifest =
      R"({ "PostgreSQL-Backup-Manifest-Version": 2,
"System-Identifier": 7710407443254658940,
"Files": [
{ "Path": "backup_label", "Size": 9, "Last-Modified": "2026-11-21 08:27:08 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "839206e3" },
{ "Encoded-Path": "ff2f61", "Size": 0, "Last-Modified": "2026-11-21 08:27:08 GMT", "Checksum-Algorithm": "SHA256", "Checksum": "00" },
{ "Path": "base/1/1259", "Size": 8192, "Last-Modified": "2026-11-21 08:27:08 GMT" }
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }
],
"Manifest-Checksum": "aa"}
)";
  EXPECT_THAT(files_of(manifest), ElementsAre("backup_label 9 e3069283", "\xff/a 0 -", "base/1/1259 8192 -"));
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283U) << "the sum of the first file, as backup_manifest spells it";
}

TEST(ServerManifest, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"", "[]", "{}", R"({"Files": 1})", R"({"Files": {}})", R"({"Files": [1]})", R"({"Files": [[]]})",
        R"({"Files": [{"Path": "a"}]})", R"({"Files": [{"Size": 1}]})", R"({"Files": [{"Path": "", "Size": 1}]})",
        R"({"Files": [{"Path": "a", "Size": -1}]})", R"({"Files": [{"Path": 1, "Size": 1}]})",
        R"({"Files": [{"Encoded-Path": "a", "Size": 1}]})",
        R"({"Files": [{"Path": "a", "Size": 1, "Checksum-Algorithm": "CRC32C", "Checksum": "12"}]})",
        R"({"Files": [{"Path": "a", "Size": 1}])"}) {
    try {
      files_of(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::corrupt) << text;
      EXPECT_THAT(error.what(), HasSubstr("backup_manifest"));
    }
  }
}

}  // namespace
}  // namespace seawall::archive
