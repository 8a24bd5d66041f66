#include "postgres/page.hh"

#include <gtest/gtest.h>

#include <map>

#include "base/file.hh"
#include "support/postgres_server.hh"

namespace seawall::postgres {
namespace {

constexpr std::size_t page_bytes = 8192;

/// An empty heap page with a right checksum for `block`.
std::string empty_page(std::uint32_t block) {
  std::string page(page_bytes, '\0');
  const MutableBytes bytes = std::as_writable_bytes(std::span(page));
  store_le<std::uint32_t>(bytes, 0, 0x16);
  store_le<std::uint32_t>(bytes, 4, 0xB374D848);
  store_le<std::uint16_t>(bytes, 12, 24);
  store_le<std::uint16_t>(bytes, 14, page_bytes);
  store_le<std::uint16_t>(bytes, 16, page_bytes);
  store_le<std::uint16_t>(bytes, 18, page_bytes | 4);
  store_le<std::uint16_t>(bytes, 8, page_checksum(bytes, block));
  return page;
}

/// empty_page(0) with one header field replaced and its checksum made right again.
PageState state_with(std::size_t offset, std::uint16_t value) {
  std::string page = empty_page(0);
  const MutableBytes bytes = std::as_writable_bytes(std::span(page));
  store_le(bytes, offset, value);
  store_le<std::uint16_t>(bytes, 8, page_checksum(bytes, 0));
  return check_page(bytes, 0);
}

struct Counts {
  std::map<PageState, int> states;
  int files = 0;
  int damage_unseen = 0;
};

void count_file(const std::filesystem::path& path, const RelationFile& relation, Counts& counts) {
  std::string content = *try_read_file(path, std::size_t{1} << 30);
  ++counts.files;
  for (std::size_t at = 0; at + page_bytes <= content.size(); at += page_bytes) {
    const auto block = static_cast<std::uint32_t>(relation.segment * 131072 + at / page_bytes);
    const PageState state = check_page(bytes_of(content).subspan(at, page_bytes), block);
    ++counts.states[state];
    EXPECT_NE(state, PageState::bad) << path << " block " << block;
    if (state != PageState::good) continue;
    // One damaged bit per page, at another place each time; bits of pd_upper could make it look new.
    const std::size_t byte = 24 + (at / page_bytes * 977) % (page_bytes - 24);
    content[at + byte] = static_cast<char>(content[at + byte] ^ 0x10);
    if (check_page(bytes_of(content).subspan(at, page_bytes), block) != PageState::bad) ++counts.damage_unseen;
  }
}

TEST(Page, EveryPageOfARealClusterIsGood) {
  test::PostgresServer server;
  const auto place = server.make_directory("place");
  server.sql(
      "create table t as select i, md5(i::text) as text, repeat('x', i % 900) as pad from generate_series(1, 20000) i");
  server.sql(
      "create index on t(i); create index on t using hash(text); create index on t using brin(i);"
      "create index on t using gin(to_tsvector('simple', text)); delete from t where i % 7 = 0");
  server.sql("vacuum t");
  server.sql("create unlogged table u(i int primary key)");
  server.sql("create tablespace elsewhere location '" + place.string() + "'");
  server.sql("create table away tablespace elsewhere as select * from t");
  server.sql("create sequence s");
  server.stop();

  Counts counts;
  std::map<std::string, int> roots;
  int init_forks = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           server.data(), std::filesystem::directory_options::follow_directory_symlink)) {
    RelationFile relation;
    const std::string name = entry.path().string().substr(server.data().string().size());
    if (!entry.is_regular_file() || !is_relation_file(name, relation)) continue;
    ++roots[name.substr(0, name.find('/', 1))];
    init_forks += relation.init_fork ? 1 : 0;
    count_file(entry.path(), relation, counts);
  }
  EXPECT_GT(counts.files, 500);
  EXPECT_GT(counts.states[PageState::good], 5000);
  EXPECT_EQ(counts.states[PageState::bad], 0);
  // The checksum has 16 bits: of some 5,000 damages one goes unseen in every thirteenth run, three in none.
  EXPECT_LE(counts.damage_unseen, 2);
  EXPECT_EQ(init_forks, 2);  // the unlogged table and its index
  EXPECT_GT(roots["/base"], 0);
  EXPECT_GT(roots["/global"], 0);
  EXPECT_EQ(roots["/pg_tblspc"], 3);  // the table, its free space map, its TOAST table or index
}

TEST(Page, ChecksumDependsOnBlockAndEveryByteButItsOwn) {
  std::string page = empty_page(7);
  const std::uint16_t right = page_checksum(bytes_of(page), 7);
  EXPECT_NE(page_checksum(bytes_of(page), 8), right);
  for (std::size_t i = 0; i < page.size(); ++i) {
    const char before = page[i];
    page[i] = static_cast<char>(before ^ 1);
    EXPECT_EQ(page_checksum(bytes_of(page), 7) == right, i == 8 || i == 9) << "byte " << i;
    page[i] = before;
  }
}

TEST(Page, StateFollowsTheHeader) {
  EXPECT_EQ(check_page(bytes_of(empty_page(0)), 0), PageState::good);
  EXPECT_EQ(check_page(bytes_of(empty_page(131072)), 131072), PageState::good);
  EXPECT_EQ(check_page(bytes_of(empty_page(0)), 1), PageState::bad);
  EXPECT_EQ(check_page(bytes_of(std::string(page_bytes, '\0')), 0), PageState::new_page);
  EXPECT_EQ(state_with(14, 0), PageState::new_page);
  EXPECT_EQ(state_with(10, 7), PageState::good);
  EXPECT_EQ(state_with(10, 8), PageState::bad);       // pd_flags
  EXPECT_EQ(state_with(12, 23), PageState::bad);      // pd_lower inside the header
  EXPECT_EQ(state_with(14, 23), PageState::bad);      // pd_upper < pd_lower
  EXPECT_EQ(state_with(16, 8191), PageState::bad);    // pd_special < pd_upper
  EXPECT_EQ(state_with(16, 8193), PageState::bad);    // pd_special beyond the page
  EXPECT_EQ(state_with(18, 0x2006), PageState::bad);  // layout version
  EXPECT_EQ(state_with(18, 0x4004), PageState::bad);  // page size
  std::string unsigned_page = empty_page(0);
  unsigned_page.replace(8, 2, 2, '\0');
  EXPECT_EQ(check_page(bytes_of(unsigned_page), 0), PageState::bad);
}

TEST(Page, LsnIsHighWordFirst) { EXPECT_EQ(page_lsn(bytes_of(empty_page(0))).text(), "16/B374D848"); }

TEST(RelationFile, IsToldByNameAndDirectory) {
  struct Case {
    std::string_view path;
    std::uint32_t segment = 0;
    bool init_fork = false;
  };
  for (const Case& expected : std::initializer_list<Case>{{"/base/5/16384"},
                                                          {"base/5/16384"},
                                                          {"/base/5/16384.1", 1},
                                                          {"/base/5/16384_fsm.12", 12},
                                                          {"/base/5/16384_init", 0, true},
                                                          {"/global/1262"},
                                                          {"/global/1262_vm"},
                                                          {"/pg_tblspc/16400/PG_15_202209061/5/16384_vm.2", 2}}) {
    RelationFile found{.segment = 99, .init_fork = true};
    EXPECT_TRUE(is_relation_file(expected.path, found)) << expected.path;
    EXPECT_EQ(found.segment, expected.segment) << expected.path;
    EXPECT_EQ(found.init_fork, expected.init_fork) << expected.path;
  }
  for (const std::string_view other : {"",
                                       "/",
                                       "16384",
                                       "/base/16384",
                                       "/base/5/",
                                       "/base/5/t3_16384",
                                       "/base/5/16384_",
                                       "/base/5/16384_new",
                                       "/base/5/16384.",
                                       "/base/5/16384.0",
                                       "/base/5/16384.x",
                                       "/base/5/16384.1.1",
                                       "/base/5/16384.99999999999",
                                       "/base/5/pg_filenode.map",
                                       "/base/5/PG_VERSION",
                                       "/base/pgsql_tmp/1",
                                       "/base/5/6/16384",
                                       "/global/pg_control",
                                       "/global/5/1262",
                                       "/pg_xact/0000",
                                       "/pg_multixact/offsets/0000",
                                       "/pg_tblspc/16400",
                                       "/pg_tblspc/16400/5/16384",
                                       "/pg_tblspc/16400/PG_15_202209061/pgsql_tmp/1",
                                       "/pg_wal/000000010000000000000001",
                                       "/x/base/5/16384"}) {
    RelationFile ignored;
    EXPECT_FALSE(is_relation_file(other, ignored)) << other;
  }
}

}  // namespace
}  // namespace seawall::postgres
