#include "ops/restore_only.hh"

#include "support/restore_fixture.hh"

namespace seawall::ops {
namespace {

using archive::RelationEntry;
using test::BackupBuilder;
using test::increment;
using test::page_of;

RelationEntry relation(const char* name, std::uint32_t number, std::vector<RelationEntry> nested = {}) {
  return {.name = name, .oid = number, .file_node = number + 1, .subtables = std::move(nested)};
}

/// Databases app and other with user tables, and one of the system.
RestoreOnly chosen(std::string_view list) {
  RestoreOnly only(list);
  only.relation(relation("pg_catalog.pg_class", 1259));
  only.database("postgres", 5);
  only.relation(relation("pg_catalog.pg_class", 1259));
  only.relation(
      relation("public.orders", 16400, {relation("public.orders_1", 16410), relation("old.orders_2", 16420)}));
  only.relation(relation("public.pay$", 16430));
  only.relation(relation("extra.t1", 16440));
  only.database("app", 16390);
  only.relation(relation("pg_catalog.pg_class", 1259));
  only.relation(relation("public.orders", 16400));
  only.database("other", 16391);
  EXPECT_TRUE(only.seal());
  return only;
}

TEST(RestoreOnly, WhatBelongsToNoUserDatabaseAlwaysComes) {
  const RestoreOnly only = chosen("app/nothing");
  for (const char* file :
       {"PG_VERSION", "global/1262", "base/5/99999", "base/1/16401", "base/16390/PG_VERSION",
        "base/16390/pg_filenode.map", "base/16390", "base/16390/1260", "base/16390/1260_fsm", "base/16390/1260.1",
        "pg_xact/0000", "base/16390/t3_16401", "pg_tblspc/16500/PG_15_1/16390", "base/99999/16401"}) {
    EXPECT_TRUE(only.wants(file)) << file;
  }
}

TEST(RestoreOnly, ADatabaseComesWhole) {
  const RestoreOnly only = chosen("app");
  for (const char* file : {"base/16390/16401", "base/16390/16401.1", "base/16390/16401_vm", "base/16390/16411",
                           "base/16390/16421", "base/16390/16441", "pg_tblspc/16500/PG_15_1/16390/16431"}) {
    EXPECT_TRUE(only.wants(file)) << file;
  }
  EXPECT_FALSE(only.wants("base/16391/16401"));
  EXPECT_TRUE(only.wants("base/16391/1260"));
  EXPECT_TRUE(only.unmatched().empty());
  EXPECT_FALSE(only.names_relations());
}

TEST(RestoreOnly, ATableComesWithItsPartitionsAndNothingElse) {
  const RestoreOnly only = chosen("app/orders");
  for (const char* file : {"base/16390/16401", "base/16390/16411", "base/16390/16421_fsm"}) {
    EXPECT_TRUE(only.wants(file)) << file;
  }
  for (const char* file :
       {"base/16390/16441", "base/16390/16431", "base/16391/16401", "pg_tblspc/16500/PG_15_1/16391/16401"}) {
    EXPECT_FALSE(only.wants(file)) << file;
  }
  EXPECT_TRUE(only.names_relations());
}

TEST(RestoreOnly, SchemasSpelledEitherWayAndSeveralKeys) {
  for (const char* list : {"app/extra.t1,other", "other,app/extra/t1"}) {
    const RestoreOnly only = chosen(list);
    EXPECT_TRUE(only.wants("base/16390/16441")) << list;
    EXPECT_TRUE(only.wants("base/16391/16401")) << list;
    EXPECT_FALSE(only.wants("base/16390/16401")) << list;
    EXPECT_TRUE(only.unmatched().empty()) << list;
  }
}

TEST(RestoreOnly, StarsAndExpressionsMatchWholeNames) {
  EXPECT_TRUE(chosen("*/orders").wants("base/16391/16401"));
  EXPECT_TRUE(chosen("app/ord*").wants("base/16390/16401"));
  EXPECT_FALSE(chosen("app/ord*").wants("base/16390/16431"));
  EXPECT_FALSE(chosen("app/order").wants("base/16390/16401"));
  EXPECT_TRUE(chosen("app/(orders|none)").wants("base/16390/16401"));
  EXPECT_TRUE(chosen("app/pay$").wants("base/16390/16431")) << "a name as it stands";
  EXPECT_TRUE(chosen("app/*").wants("base/16390/16431"));
  EXPECT_FALSE(chosen("app/*").wants("base/16390/16441")) << "of schema public";
}

TEST(RestoreOnly, KeysThatMatchNothingAreToldWithTheNearestName) {
  const RestoreOnly only = chosen("apq,app/oders,app/extra.t1,nowhere/near");
  const auto unmatched = only.unmatched();
  ASSERT_EQ(unmatched.size(), 3U);
  EXPECT_EQ(unmatched[0].key, "apq");
  EXPECT_EQ(unmatched[0].nearest, "app");
  EXPECT_EQ(unmatched[1].key, "app/oders");
  EXPECT_EQ(unmatched[1].nearest, "public.orders");
  EXPECT_EQ(unmatched[2].key, "nowhere/near");
  EXPECT_EQ(unmatched[2].nearest, "");
}

TEST(RestoreOnly, KeysThatAreNoneAreRefused) {
  for (const char* list : {"", "a,,b", "/t", "db/", "a/b/c/d", "db/a.b.c", "db/a.b/c", "db/(", "db//t"}) {
    const Error error = thrown_by([&] { RestoreOnly only(list); });
    EXPECT_EQ(error.code(), Errc::usage) << list;
    EXPECT_THAT(error.what(), HasSubstr("--restore-only")) << list;
  }
}

TEST(RestoreOnly, WithoutAnyDatabaseItCannotChoose) {
  RestoreOnly only("app");
  EXPECT_FALSE(only.seal());
}

class RestoreOnlyBackup : public RestoreTest {
 protected:
  static constexpr const char* full_name = "base_000000010000000000000002";
  static constexpr const char* delta_name = "base_000000010000000000000004_D_000000010000000000000002";

  RestoreOnlyBackup() {
    for (const char* path : {"/", "/base", "/base/16390", "/base/16391", "/global"}) full_.directory(path);
    full_.utilities()
        .file("/PG_VERSION", "15\n")
        .file("/base/16390/1260", "catalogue")
        .file("/base/16391/1260", "other");
    full_.in("part_002.tar").file("/base/16390/16401", page_of('a') + page_of('b')).file("/base/16390/16402", "index");
    full_.in("part_003.tar").file("/base/16391/16501", page_of('c'));
    full_.databases = {{"app", 16390}, {"other", 16391}};
    full_.relations["app"] = {relation("pg_catalog.pg_class", 1259), relation("public.orders", 16400)};
    full_.relations["other"] = {relation("pg_catalog.pg_class", 1259), relation("public.big", 16500)};
    delta_.skipped("/PG_VERSION").skipped("/base/16390/1260").skipped("/base/16391/1260").skipped("/base/16391/16501");
    delta_.patched("/base/16390/16401", increment(2 * 8192, {{1, page_of('X')}})).skipped("/base/16390/16402");
    delta_.databases = full_.databases;
    delta_.relations = full_.relations;
  }
  static RestoreRequest request(const char* backup, const char* only) {
    return {.directory = {},
            .backup = backup,
            .mask = {},
            .restore_spec = {},
            .restore_only = only,
            .reverse_unpack = false,
            .skip_redundant_tars = false};
  }

  BackupBuilder full_{full_name};
  BackupBuilder delta_ = BackupBuilder::delta(delta_name, full_name);
};

TEST_F(RestoreOnlyBackup, BringsTheSystemAndWhatWasChosen) {
  full_.store(repository_);
  store_plain(part("part_003.tar.lz4"), "not read");
  restore(request(full_name, "app/orders"));
  EXPECT_TRUE(restored("base/16390/16401") == page_of('a') + page_of('b'));
  EXPECT_EQ(restored("base/16390/1260"), "catalogue");
  EXPECT_EQ(restored("base/16391/1260"), "other");
  EXPECT_EQ(restored("PG_VERSION"), "15\n");
  EXPECT_TRUE(restored("global/pg_control") == full_.control);
  EXPECT_EQ(restored("backup_label"), full_.label);
  EXPECT_EQ(restored("base/16390/16402"), "<absent>");
  EXPECT_EQ(restored("base/16391/16501"), "<absent>");
  EXPECT_THAT(log_.text(), HasSubstr("indexes"));
}

TEST_F(RestoreOnlyBackup, OfAChainTheNewestListsDecide) {
  // The table was renamed since: by the older list it would not have been chosen.
  delta_.relations["app"] = {relation("pg_catalog.pg_class", 1259), relation("public.renamed", 16400)};
  full_.store(repository_);
  delta_.store(repository_);
  restore(request(delta_name, "app/renamed"));
  EXPECT_TRUE(restored("base/16390/16401") == page_of('a') + page_of('X'));
  EXPECT_EQ(restored("base/16391/16501"), "<absent>");
  EXPECT_EQ(restored("base/16391/1260"), "other");
}

TEST_F(RestoreOnlyBackup, AKeyThatMatchesNothingIsToldAndTheRestComes) {
  full_.store(repository_);
  restore(request(full_name, "ap,app/ordes"));
  EXPECT_EQ(restored("base/16390/16401"), "<absent>");
  EXPECT_EQ(restored("base/16390/1260"), "catalogue");
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("ap matches nothing"), HasSubstr("did you mean app?"),
                                 HasSubstr("did you mean public.orders?")));
}

TEST_F(RestoreOnlyBackup, WithoutListsOfDatabasesItIsRefused) {
  full_.databases = {};
  full_.store(repository_);
  for (const bool lists : {true, false}) {
    if (!lists) remove(archive::files_metadata_object(full_name));
    const Error error = refused(request(full_name, "app"));
    EXPECT_EQ(error.code(), Errc::incomplete);
    EXPECT_THAT(error.what(), AllOf(HasSubstr(full_name), HasSubstr("does not list its databases")));
    expect_untouched();
  }
}

TEST_F(RestoreOnlyBackup, WhatWasChosenMustHaveCome) {
  full_.list("/base/16390/16401.1").list("/base/16391/16501.1").store(repository_);
  const Error error = refused(request(full_name, "app/orders"));
  EXPECT_EQ(error.code(), Errc::incomplete);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("1 of the files"), HasSubstr("/base/16390/16401.1")));
}

}  // namespace
}  // namespace seawall::ops
