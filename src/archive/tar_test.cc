#include "archive/tar.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/error.hh"
#include "support/temp_dir.hh"

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

/// Everything a reader reports.
class Collector final : public MemberSink {
 public:
  struct Seen {
    Member member;
    std::uint64_t offset = 0;
    std::string body;
    bool ended = false;
  };
  void begin(const Member& member, std::uint64_t offset) override { seen.push_back({member, offset, {}, false}); }
  void body(Bytes data) override { seen.back().body.append(text_of(data)); }
  void end() override { seen.back().ended = true; }
  std::vector<Seen> seen;
};

std::vector<Collector::Seen> read_tar(std::string_view tar, std::size_t piece = 1 << 20) {
  Collector collector;
  TarReader reader(collector, "part_001.tar");
  for (std::size_t at = 0; at < tar.size(); at += piece) reader.write(bytes_of(tar.substr(at, piece)));
  reader.finish();
  return std::move(collector.seen);
}

std::pair<Errc, std::string> failure_of(std::string_view tar) {
  try {
    read_tar(tar);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {Errc::bug, "nothing failed"};
}

std::string padded(std::string body) {
  body.append(tar_padding(body.size()), '\0');
  return body;
}

Member file_member(std::string name, std::uint64_t bytes) {
  return {.name = std::move(name),
          .mode = 0600,
          .uid = 26,
          .gid = 27,
          .user = "postgres",
          .group = "postgres",
          .bytes = bytes,
          .modified = 1'700'000'000};
}

const std::string trailer(tar_trailer_bytes, '\0');

/// `header` with the bytes at `offset` replaced and its sum made right again.
std::string patched(std::string header, std::size_t offset, std::string_view bytes, bool signed_sum = false) {
  header.replace(offset, bytes.size(), bytes);
  header.replace(148, 8, 8, ' ');
  int sum = 0;
  for (const char c : header) sum += signed_sum ? static_cast<signed char>(c) : static_cast<unsigned char>(c);
  header.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return header;
}

/// What `cases` are in the fixture of headers that Go's archive/tar wrote; same order.
std::vector<Member> cases_of_go() {
  std::string sixty;
  for (int i = 0; i < 6; ++i) sixty += fmt::format("/directory{}", i);
  std::string greek = "/";
  while (greek.size() < 300) greek += "\u03B1\u03B2/";
  const std::string ascii(99, 'a');
  Member plain = file_member("/base/1/1259", 8192);
  std::vector<Member> cases{plain};
  const auto add = [&](auto change) {
    cases.push_back(plain);
    change(cases.back());
  };
  add([&](Member& m) {
    m.name = "/";
    m.type = MemberType::directory;
    m.bytes = 0;
    m.mode = 0700;
  });
  add([&](Member& m) { m.name = "/" + ascii; });
  add([&](Member& m) { m.name = "//" + ascii; });
  add([&](Member& m) { m.name = sixty + "/" + ascii + "a"; });
  add([&](Member& m) { m.name = sixty + "/" + ascii + "ab"; });
  add([&](Member& m) { m.name = sixty + "/" + sixty + "/" + sixty + "/file"; });
  add([&](Member& m) {
    m.name = sixty + sixty + "/";
    m.type = MemberType::directory;
    m.bytes = 0;
  });
  add([&](Member& m) { m.name = greek + "\u03C9"; });
  add([&](Member& m) { m.name = "/base/\xff\xfe/not utf-8"; });
  add([&](Member& m) { m.bytes = std::uint64_t{9} << 30; });
  add([&](Member& m) {
    m.name = sixty + "/" + ascii;
    m.bytes = std::uint64_t{1} << 33;
  });
  add([&](Member& m) {
    m.uid = 07777777;
    m.gid = 010000000;
  });
  add([&](Member& m) {
    m.uid = 4'000'000'000;
    m.user = std::string(40, 'u');
  });
  add([&](Member& m) { m.group = "gr\u00FCn"; });
  add([&](Member& m) { m.modified = -1; });
  add([&](Member& m) { m.modified = std::int64_t{1} << 33; });
  add([&](Member& m) { m.mode = 07755; });
  add([&](Member& m) {
    m.type = MemberType::symlink;
    m.link = "/elsewhere";
    m.bytes = 0;
    m.mode = 0777;
  });
  add([&](Member& m) {
    m.type = MemberType::symlink;
    m.link = sixty + sixty;
    m.bytes = 0;
  });
  add([&](Member& m) {
    m.type = MemberType::hard_link;
    m.link = "/base/1/1260";
    m.bytes = 0;
  });
  add([&](Member& m) {
    m.name = "backup_label";
    m.uid = m.gid = 0;
    m.user = m.group = "";
    m.modified = 0;
  });
  add([&](Member& m) { m.name = "a/../../b/./\u00E4"; });
  add([&](Member& m) { m.name = std::string(98, 'x') + "//\u00E4" + std::string(120, 'y'); });
  return cases;
}

TEST(TarHeader, EqualsWhatGoWrites) {
  const std::string expected = fixture("go_tar_headers.bin");
  std::size_t at = 0;
  for (const Member& member : cases_of_go()) {
    const std::string header = tar_header(member);
    EXPECT_EQ(expected.substr(at, header.size()), header) << member.name << " at " << at;
    at += header.size();
  }
  EXPECT_EQ(expected.size(), at);
}

TEST(TarHeader, RegeneratesTheHeadersOfARealPart) {
  const std::string headers = fixture("part_headers.bin");
  ASSERT_EQ(24u * 512, headers.size());
  for (std::size_t at = 0; at < headers.size(); at += 512) {
    Collector collector;
    TarReader reader(collector, "part");
    reader.write(bytes_of(headers).subspan(at, 512));
    ASSERT_EQ(1u, collector.seen.size());
    EXPECT_EQ(headers.substr(at, 512), tar_header(collector.seen[0].member)) << collector.seen[0].member.name;
  }
}

TEST(TarHeader, RefusesWhatNoReaderWouldGetBack) {
  for (const Member& member :
       {file_member("/a/", 1), file_member(std::string("/a\0b", 4), 1), file_member("/a", std::uint64_t{1} << 63),
        Member{.name = "/socket", .type = MemberType::other}}) {
    try {
      tar_header(member);
      ADD_FAILURE() << member.name;
    } catch (const Error& error) {
      EXPECT_EQ(Errc::bug, error.code());
    }
  }
}

TEST(TarHeader, IsUnderstoodByGnuTar) {
  const test::TempDir directory;
  const std::string path = directory / "x.tar";
  std::string name(1, 'p');
  while (name.size() < 299) name += "\u00E9";
  std::ofstream(path, std::ios::binary) << tar_header(file_member(name, 5)) << padded("hello")
                                        << tar_header({.name = "/base", .type = MemberType::directory, .mode = 0700})
                                        << tar_header(file_member("huge", std::uint64_t{9} << 30));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) + (std::uint64_t{9} << 30) + tar_trailer_bytes);
  const std::string command = "LC_ALL=C tar --quoting-style=literal -P -tvf '" + path + "' 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(nullptr, pipe);
  std::string listing;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    listing.append(buffer.data(), n);
  EXPECT_EQ(0, ::pclose(pipe));
  EXPECT_THAT(listing, HasSubstr("-rw------- postgres/postgres 5 "));
  EXPECT_THAT(listing, HasSubstr(" " + name + "\n"));
  EXPECT_THAT(listing, HasSubstr("drwx------ "));
  EXPECT_THAT(listing, HasSubstr(" 9663676416 "));
}

TEST(TarReader, GivesBackWhatWasWrittenInPiecesOfAnySize) {
  std::vector<Member> members{file_member("/empty", 0), file_member("/base/1/1", 512), file_member("/base/1/2", 1000),
                              file_member("/\u00FCber", 3), file_member(std::string(400, 'n'), 513)};
  members.push_back({.name = "/base", .type = MemberType::directory, .mode = 0700});
  members.push_back({.name = "/link", .type = MemberType::symlink, .mode = 0777, .link = "target"});
  std::string tar;
  std::vector<std::uint64_t> offsets;
  std::vector<std::string> bodies;
  for (const Member& member : members) {
    offsets.push_back(tar.size());
    bodies.emplace_back(member.bytes, static_cast<char>('a' + bodies.size()));
    tar += tar_header(member) + padded(bodies.back());
  }
  tar += trailer;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{511}, std::size_t{512}, std::size_t{513},
                                  std::size_t{5000}, tar.size()}) {
    const auto seen = read_tar(tar, piece);
    ASSERT_EQ(members.size(), seen.size()) << piece;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(tar_header(members[i]), tar_header(seen[i].member)) << i;
      EXPECT_EQ(members[i].name, seen[i].member.name);
      EXPECT_EQ(offsets[i], seen[i].offset);
      EXPECT_EQ(bodies[i], seen[i].body);
      EXPECT_EQ(members[i].type == MemberType::file, seen[i].ended);
    }
  }
}

TEST(TarReader, ReadsARealLabelPart) {
  const auto seen = read_tar(fixture("backup_label.tar"));
  ASSERT_EQ(2u, seen.size());
  EXPECT_EQ("backup_label", seen[0].member.name);
  EXPECT_EQ(0600u, seen[0].member.mode);
  EXPECT_EQ(0, seen[0].member.modified);
  EXPECT_THAT(seen[0].body, testing::StartsWith("START WAL LOCATION: "));
  EXPECT_EQ(seen[0].member.bytes, seen[0].body.size());
  EXPECT_EQ("tablespace_map", seen[1].member.name);
  EXPECT_EQ("", seen[1].body);
  EXPECT_TRUE(seen[1].ended);
  EXPECT_EQ(512u + 512u, seen[1].offset);
}

TEST(TarReader, HandsOutBodiesWithoutCopies) {
  class Inside final : public MemberSink {
   public:
    explicit Inside(Bytes all) : all_(all) {}
    void begin(const Member&, std::uint64_t) override {}
    void body(Bytes data) override {
      EXPECT_EQ(all_.data() + 512, data.data());
      bytes += data.size();
    }
    void end() override {}
    std::size_t bytes = 0;

   private:
    Bytes all_;
  };
  const std::string tar = tar_header(file_member("/a", 4096)) + std::string(4096, 'z') + trailer;
  Inside inside(bytes_of(tar));
  TarReader(inside, "part").write(bytes_of(tar));
  EXPECT_EQ(4096u, inside.bytes);
}

TEST(TarReader, AcceptsStreamsWithoutTrailerAndLastPadding) {
  const std::string member = tar_header(file_member("base/1/1", 5)) + "hello";
  for (const std::string& end : {std::string(), std::string(100, '\0'), std::string(507, '\0'),
                                 std::string(507 + 512, '\0'), std::string(507 + 512 + 700, '\0')}) {
    const auto seen = read_tar(member + end);
    ASSERT_EQ(1u, seen.size());
    EXPECT_EQ("hello", seen[0].body);
    EXPECT_TRUE(seen[0].ended);
  }
}

TEST(TarReader, ReadsTheOlderForms) {
  const std::string header = tar_header(file_member("name", 3));
  const std::string body = padded("abc");
  // v7: no magic, no owner's name; a directory is a name with a slash.
  const std::string v7 = patched(patched(header, 156, std::string_view("\0", 1)), 257, std::string(80, '\0'));
  EXPECT_EQ("name", read_tar(v7 + body).at(0).member.name);
  EXPECT_EQ("", read_tar(v7 + body).at(0).member.user);
  EXPECT_EQ(MemberType::directory, read_tar(patched(v7, 0, "name/")).at(0).member.type);
  // GNU: base-256 numbers and a long name.
  const std::string gnu = patched(header, 257, std::string_view("ustar  \0", 8));
  const std::string big = patched(gnu, 108, std::string_view("\x80\0\0\0\xff\xff\xff\xfe", 8));
  EXPECT_EQ(0xfffffffeu, read_tar(big + body).at(0).member.uid);
  EXPECT_EQ("postgres", read_tar(big + body).at(0).member.user);
  const std::string before = patched(gnu, 136, std::string(11, '\xff') + "\xfe");
  EXPECT_EQ(-2, read_tar(before + body).at(0).member.modified);
  const std::string long_name(150, 'l');
  const std::string extension = patched(patched(gnu, 156, "L"), 124, fmt::format("{:011o}", long_name.size() + 1));
  const auto seen = read_tar(extension + padded(long_name + '\0') + gnu + body);
  EXPECT_EQ(long_name, seen.at(0).member.name);
  EXPECT_EQ(0u, seen.at(0).offset);
  EXPECT_EQ("abc", seen.at(0).body);
  // Sums of signed bytes.
  EXPECT_EQ("\xff\xfe",
            read_tar(patched(header, 0, std::string_view("\xff\xfe\0\0", 4), true) + body).at(0).member.name);
}

TEST(TarReader, SkipsMembersOfOtherTypesWithTheirBodies) {
  const std::string header = tar_header(file_member("odd", 600));
  const std::string after = tar_header(file_member("next", 0));
  const auto seen = read_tar(patched(header, 156, "V") + padded(std::string(600, 'v')) + after);
  ASSERT_EQ(2u, seen.size());
  EXPECT_EQ(MemberType::other, seen[0].member.type);
  EXPECT_EQ("", seen[0].body);
  EXPECT_FALSE(seen[0].ended);
  EXPECT_EQ("next", seen[1].member.name);
  // A FIFO, a device and a hard link have no body, whatever their size says.
  for (const char* flag : {"1", "3", "6"}) EXPECT_EQ(2u, read_tar(patched(header, 156, flag) + after).size());
}

std::string pax(std::string_view records, char flag = 'x') {
  const std::string header = patched(tar_header(file_member("pax", records.size())), 156, std::string(1, flag));
  return header + padded(std::string(records));
}

TEST(TarReader, AppliesPaxRecords) {
  const std::string next = tar_header(file_member("name", 3)) + padded("abc");
  const auto seen =
      read_tar(pax("12 path=new\n22 mtime=-1.500000000\n21 comment=\xff ignored\n10 uid=99\n9 gname=\n") + next);
  ASSERT_EQ(1u, seen.size());
  EXPECT_EQ("new", seen[0].member.name);
  EXPECT_EQ(-2, seen[0].member.modified);
  EXPECT_EQ(99u, seen[0].member.uid);
  EXPECT_EQ("postgres", seen[0].member.group);
  EXPECT_EQ("name", read_tar(pax("13 comment=a\n", 'g') + next).at(0).member.name);
}

TEST(TarReader, RefusesDamageWithTheOffset) {
  const std::string header = tar_header(file_member("/base/1/1", 600));
  const std::string whole = header + padded(std::string(600, 'b'));
  const auto expect = [&](const std::string& tar, std::string_view what, std::size_t offset,
                          Errc code = Errc::corrupt) {
    const auto [got, message] = failure_of(tar);
    EXPECT_EQ(code, got) << message;
    EXPECT_THAT(message, HasSubstr(std::string(what)));
    EXPECT_THAT(message, HasSubstr(fmt::format("(at byte {} of the tar)", offset)));
    EXPECT_THAT(message, testing::StartsWith("part_001.tar: "));
  };
  std::string flipped = header;
  flipped[3] = static_cast<char>(flipped[3] ^ 1);
  expect(flipped, "damaged", 0);
  expect(whole + flipped, "damaged", 1536);
  expect("", "empty", 0);
  expect(header.substr(0, 511), "cut within a header", 0);
  expect(whole + header.substr(0, 10), "cut within a header", 1536);
  expect(whole.substr(0, 600), "512 bytes of a member are missing", 600);
  expect(whole + trailer + "x", "after the end", 1536 + 512);
  expect(whole + trailer.substr(0, 512) + header, "after the end", 1536 + 512);
  expect(patched(header, 124, "00000000x00"), "size is no number", 0);
  expect(patched(header, 124, std::string(12, '\xff')), "negative size", 0);
  expect(patched(header, 156, "S"), "sparse", 0, Errc::unsupported);
  expect(pax("22 GNU.sparse.major=1\n") + whole, "sparse", 512 + 22, Errc::unsupported);
  expect(pax("8 path=\n", 'g').replace(512, 8, "8 uid=7\n") + whole, "global", 520, Errc::unsupported);
  expect(pax("12 path=new\n"), "header extension", 1024);
  expect(pax("12 path=new\n") + trailer, "header extension", 1024);
  expect(pax("12 path=new\n").substr(0, 520), "header extension", 520);
  expect(patched(patched(header, 156, "x"), 124, "00004000001"), "extension of 1048577 bytes", 0);
}

TEST(TarReader, RefusesMalformedPaxRecords) {
  for (const std::string& records :
       {std::string("x"), std::string("99 path=new\n"), std::string("12 path=newx"), std::string("5 ab\n"),
        std::string("3 \n"), std::string("2 \n"), std::string("0 a=b\n"), std::string("6 =ab\n"),
        std::string("11 uid=bad\n"), std::string("14 size=1e100\n"), std::string("13 mtime=1.x\n"),
        std::string("12 path=n\0w\n", 12)}) {
    const auto [code, message] = failure_of(pax(records) + tar_header(file_member("name", 0)));
    EXPECT_EQ(Errc::corrupt, code) << records;
    EXPECT_THAT(message, HasSubstr("PAX record")) << records;
  }
}

}  // namespace
}  // namespace seawall::archive
