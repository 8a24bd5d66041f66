#include "ops/server_manifest_check.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>

#include "base/crc32c.hh"
#include "base/error.hh"

namespace seawall::ops {
namespace {

using ::testing::HasSubstr;

/// As a server writes it, of one file with `content`.
std::string manifest_of(std::string_view path, std::string_view content) {
  const std::uint32_t sum = crc32c(bytes_of(content));
  return fmt::format(
      R"({{"PostgreSQL-Backup-Manifest-Version": 1, "Files": [{{ "Path": "{}", "Size": {}, "Checksum-Algorithm": "CRC32C", "Checksum": "{:02x}{:02x}{:02x}{:02x}" }}], "WAL-Ranges": []}})",
      path, content.size(), sum & 0xff, sum >> 8 & 0xff, sum >> 16 & 0xff, sum >> 24);
}

/// The code with which the comparison fails, or nothing.
std::optional<Errc> compared(ServerManifestCheck& check, const std::string& manifest, bool all = true) {
  MemorySource source(bytes_of(manifest));
  try {
    check.compare(source, "base_X/backup_manifest.lz4", all);
    return std::nullopt;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("base_X/backup_manifest.lz4"));
    EXPECT_THAT(error.what(), HasSubstr("base/1/1259"));
    return error.code();
  }
}

/// Takes bodies both ways, as DirectorySink does.
class Taker final : public archive::MemberSink {
 public:
  void begin(const archive::Member& /*member*/, std::uint64_t /*offset*/) override { taken.clear(); }
  void body(Bytes data) override { taken.append(text_of(data)); }
  MutableBytes room(std::size_t bytes) override {
    return std::as_writable_bytes(std::span(room_)).first(std::min(bytes, room_.size()));
  }
  void placed(std::size_t n) override { taken.append(room_.data(), n); }
  void end() override {}
  std::string taken;

 private:
  std::array<char, 8> room_{};
};

TEST(ServerManifestCheck, AcceptsWhatTheServerListed) {
  Taker taker;
  ServerManifestCheck check;
  SummingSink sink(taker, check);
  sink.begin({.name = "/base/1/1259", .bytes = 10}, 0);
  const MutableBytes room = sink.room(4);
  std::copy_n(bytes_of("0123").begin(), 4, room.begin());
  sink.placed(4);
  sink.body(bytes_of("45"));
  sink.body(bytes_of("6789"));
  sink.end();
  EXPECT_EQ(taker.taken, "0123456789");
  check.received("pg_hba.conf", 3, 1);
  EXPECT_EQ(compared(check, manifest_of("base/1/1259", "0123456789")), std::nullopt)
      << "files that it does not list are no matter";
}

TEST(ServerManifestCheck, RefusesWhatIsOtherwise) {
  const std::string content = "0123456789";
  const std::string manifest = manifest_of("base/1/1259", content);
  {
    ServerManifestCheck check;
    check.received("base/1/1259", content.size(), crc32c(bytes_of("0123456788")));
    EXPECT_EQ(compared(check, manifest), Errc::corrupt);
  }
  {
    ServerManifestCheck check;
    check.received("base/1/1259", content.size() - 1, crc32c(bytes_of(content)));
    EXPECT_EQ(compared(check, manifest), Errc::corrupt);
  }
  {
    ServerManifestCheck check;
    check.received("base/1/1260", content.size(), crc32c(bytes_of(content)));
    EXPECT_EQ(compared(check, manifest), Errc::incomplete);
    EXPECT_EQ(compared(check, manifest, false), std::nullopt) << "a part of the backup was wanted";
  }
  {
    ServerManifestCheck check;  // one of two copies
    check.received("base/1/1259", content.size(), crc32c(bytes_of(content)));
    check.received("base/1/1259", content.size(), 1);
    EXPECT_EQ(compared(check, manifest), Errc::corrupt);
  }
}

}  // namespace
}  // namespace seawall::ops
