#include "ops/read_ahead.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/error.hh"

namespace seawall::ops {
namespace {

std::vector<std::string> names(std::size_t count) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(fmt::format("document {}", i));
  return all;
}

TEST(ReadAhead, GivesEveryDocumentAndNeverRunsFurtherAheadThanToldTo) {
  for (const unsigned threads : {1U, 2U, 7U}) {
    std::atomic<std::size_t> read{0};
    std::atomic<std::size_t> taken{0};
    std::atomic<std::size_t> furthest{0};
    const auto all = names(200);
    ReadAhead ahead(all, threads, 10,
                    [&](const std::string& name, const std::stop_token&) -> std::optional<std::string> {
                      const std::size_t lead = ++read - std::min<std::size_t>(taken, read);
                      std::size_t before = furthest;
                      while (before < lead && !furthest.compare_exchange_weak(before, lead)) {
                      }
                      if (name == "document 17") return std::nullopt;
                      return "text of " + name;
                    },
                    {});
    for (const std::string& name : all) {
      const auto text = ahead.take(name);
      ++taken;
      EXPECT_EQ(name == "document 17" ? std::nullopt : std::optional("text of " + name), text);
    }
    EXPECT_EQ(all.size(), read);
    EXPECT_LE(furthest, 10U + 1);
  }
}

TEST(ReadAhead, WhatAReadThrowsIsThrownByItsOwnTake) {
  ReadAhead ahead(names(20), 4, 8,
                  [](const std::string& name, const std::stop_token&) -> std::optional<std::string> {
                    if (name == "document 3") throw Error(Errc::denied, name);
                    return name;
                  },
                  {});
  for (const std::string& name : names(20)) {
    if (name == "document 3") {
      EXPECT_THROW(ahead.take(name), Error);
    } else {
      EXPECT_EQ(name, ahead.take(name));
    }
  }
}

TEST(ReadAhead, DocumentsMayBeLeftOutOrAskedForUnannounced) {
  ReadAhead ahead(names(50), 3, 4, [](const std::string& name, const std::stop_token&) { return std::optional(name); },
                  {});
  EXPECT_EQ("document 30", ahead.take("document 30"));
  EXPECT_EQ("another", ahead.take("another"));
  EXPECT_EQ("document 2", ahead.take("document 2"));
  EXPECT_EQ("document 49", ahead.take("document 49"));
}

}  // namespace
}  // namespace seawall::ops
