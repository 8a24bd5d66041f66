#include "base/error.hh"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <set>

namespace seawall {
namespace {

// Names and statuses are part of JSON output and of scripts: a changed line here is a broken promise.
TEST(Errc, NamesAndStatusesAreStable) {
  const std::map<std::string, std::pair<Errc, int>> promised{{"usage", {Errc::usage, 2}},
                                                             {"config", {Errc::config, 3}},
                                                             {"not_found", {Errc::not_found, 4}},
                                                             {"exists", {Errc::exists, 5}},
                                                             {"differs", {Errc::differs, 6}},
                                                             {"foreign", {Errc::foreign, 7}},
                                                             {"corrupt", {Errc::corrupt, 8}},
                                                             {"incomplete", {Errc::incomplete, 9}},
                                                             {"in_use", {Errc::in_use, 10}},
                                                             {"no_space", {Errc::no_space, 11}},
                                                             {"denied", {Errc::denied, 12}},
                                                             {"network", {Errc::network, 13}},
                                                             {"timeout", {Errc::timeout, 14}},
                                                             {"throttled", {Errc::throttled, 15}},
                                                             {"db", {Errc::db, 16}},
                                                             {"unsupported", {Errc::unsupported, 17}},
                                                             {"cancelled", {Errc::cancelled, 18}},
                                                             {"io", {Errc::io, 19}},
                                                             {"bug", {Errc::bug, 20}}};
  std::map<std::string, std::pair<Errc, int>> actual;
  for (const ErrcInfo& row : all_errcs()) actual[std::string(row.name)] = {row.code, row.exit_status};
  EXPECT_EQ(actual, promised);
}

TEST(Errc, RowsAreUniqueAndCompleteToTheLastCode) {
  std::set<Errc> codes;
  std::set<std::string_view> names;
  std::set<int> statuses;
  for (const ErrcInfo& row : all_errcs()) {
    codes.insert(row.code);
    names.insert(row.name);
    statuses.insert(row.exit_status);
  }
  const auto rows = all_errcs().size();
  EXPECT_EQ(rows, static_cast<std::size_t>(Errc::bug) + 1);
  EXPECT_EQ(codes.size(), rows);
  EXPECT_EQ(names.size(), rows);
  EXPECT_EQ(statuses.size(), rows);
}

TEST(Errc, InfoFindsTheRowOfItsCode) {
  for (const ErrcInfo& row : all_errcs()) EXPECT_EQ(&info(row.code), &row) << row.name;
}

TEST(Error, DuringPrefixesTheActivity) {
  Error error(Errc::network, "connection reset");
  error.during("part_003.tar.lz4").during("backup");
  EXPECT_STREQ(error.what(), "backup: part_003.tar.lz4: connection reset");
  EXPECT_EQ(error.code(), Errc::network);
}

TEST(SystemError, NamesTheThingAndMapsTheNumber) {
  const Error full = system_error(ENOSPC, "base/1/2");
  EXPECT_STREQ(full.what(), "base/1/2: No space left on device");
  EXPECT_EQ(full.code(), Errc::no_space);
  EXPECT_EQ(system_error(EDQUOT, "x").code(), Errc::no_space);
  EXPECT_EQ(system_error(ENOENT, "x").code(), Errc::not_found);
  EXPECT_EQ(system_error(EACCES, "x").code(), Errc::denied);
  EXPECT_EQ(system_error(EPERM, "x").code(), Errc::denied);
  EXPECT_EQ(system_error(EEXIST, "x").code(), Errc::exists);
  EXPECT_EQ(system_error(EIO, "x").code(), Errc::io);
}

}  // namespace
}  // namespace seawall
