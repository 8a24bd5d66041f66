// The catalogue loaded from a store, marks, and deletions that are broken off after every object.

#include <fmt/format.h>

#include "archive/permanence.hh"
#include "archive/retention.hh"
#include "ops/delete_objects.hh"
#include "ops/load_catalogue.hh"
#include "ops/mark_backup.hh"
#include "storage/wrap/faulty.hh"
#include "support/archive_listing.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

using testing::ElementsAre;

class OnStore : public WalTest {
 protected:
  OnStore() {
    for (int day = 0; day < 4; ++day) {
      const std::uint64_t start = 2 + 8 * static_cast<std::uint64_t>(day);
      const Time time = began_ + std::chrono::hours(24 * day);
      const std::string full = listing_.backup({.start = start, .time = time});
      const std::string first = listing_.backup(
          {.start = start + 2, .finish = start + 3, .time = time + std::chrono::hours(2), .parent = full});
      names_.insert(names_.end(), {full, first});
      names_.push_back(listing_.backup({.start = start + 5, .time = time + std::chrono::hours(4), .parent = first}));
      listing_.segments(1, start - 1, start + 6, time);
    }
    fill();
  }

  void fill() {
    repository_.store = storage::make_memory_store(clock_);
    std::vector<std::pair<Time, std::string>> order;
    for (const auto& [key, object] : listing_.objects) order.emplace_back(object.modified, key);
    std::sort(order.begin(), order.end());
    // The store's clock only goes on: each filling comes as much later as the one before took.
    const auto later = clock_.wall() - (began_ - std::chrono::hours(1));
    for (const auto& [time, key] : order) {
      if (time + later > clock_.wall()) clock_.advance(time + later - clock_.wall());
      const test::ArchiveListing::Object& object = listing_.objects.at(key);
      const bool is_history = key.find(".history") != std::string::npos;
      if (is_history) {
        store(key.substr(0, key.rfind('.')), object.text);
      } else {
        store_plain(key, object.text.empty() ? std::string(object.bytes, 'x') : object.text);
      }
    }
    clock_.advance(std::chrono::hours(72));
  }

  archive::Catalogue load(const CatalogueRequest& request = {}) { return load_catalogue(repository_, request, run()); }
  std::vector<std::string> restorable() {
    std::vector<std::string> names;
    const archive::Catalogue catalogue = load();
    for (const archive::Backup& backup : catalogue.backups()) {
      EXPECT_TRUE(backup.restorable) << backup.name << " is listed but does not restore";
      names.push_back(backup.name);
    }
    return names;
  }
  archive::DeletionPlan retain(const archive::Catalogue& catalogue, std::size_t fulls) {
    return archive::plan_retain(catalogue, fulls, archive::Modifier::full, std::nullopt, {}).value();
  }

  const Time began_ = clock_.wall() + std::chrono::hours(1);
  test::ArchiveListing listing_;
  std::vector<std::string> names_;
};

TEST_F(OnStore, IsWhatAListingSays) {
  listing_.history(2, {{1, {30 * listing_.segment_bytes}}}, began_);
  listing_.put("README", began_);
  listing_.put("other/thing", began_);
  listing_.put("seawall_005/identity.json", began_);
  fill();
  for (const std::string prefix : {"", "a/b/"}) {
    if (!prefix.empty()) {
      for (const auto& [key, object] : listing_.objects) {
        repository_.store->copy(key, prefix + key, {}, {});
        repository_.store->remove(std::vector{key}, {});
      }
    }
    repository_.prefix = prefix;
    const archive::Catalogue catalogue = load({.concurrency = 3});
    EXPECT_EQ(12U, catalogue.backups().size());
    EXPECT_EQ(2U, catalogue.foreign().objects);
    EXPECT_EQ(1U, catalogue.others().size());
    EXPECT_EQ(1U, catalogue.timelines().parent(2)->timeline);
    EXPECT_THAT(catalogue.complaints(), IsEmpty());
    EXPECT_EQ(32U, catalogue.wal().timeline(1)->listed.count());
    for (const archive::Backup& backup : catalogue.backups()) EXPECT_TRUE(backup.restorable) << backup.name;
  }
}

TEST_F(OnStore, WhatIsNotAskedForIsNotRead) {
  std::vector<std::string> opened;
  repository_.store = storage::with_faults(
      [&] {
        auto inner = storage::make_memory_store(clock_);
        for (const auto& [key, object] : listing_.objects) {
          inner->put(key, bytes_of(object.text.empty() ? "x" : object.text), {}, {});
        }
        return inner;
      }(),
      [&](const storage::Request& request) {
        if (request.operation == "open" && !request.after) opened.emplace_back(request.key);
      });
  using Request = CatalogueRequest;
  EXPECT_EQ(12U, load({.concurrency = 1, .backups = Request::Backups::sentinels, .documents = Request::Documents::none})
                     .backups()
                     .size());
  EXPECT_THAT(opened, IsEmpty());
  const archive::Catalogue metadata = load({.concurrency = 1,
                                            .backups = Request::Backups::sentinels,
                                            .documents = Request::Documents::metadata,
                                            .wal = false});
  EXPECT_EQ(12U, opened.size());
  for (const std::string& key : opened) EXPECT_THAT(key, HasSubstr("metadata.json"));
  EXPECT_TRUE(metadata.backups()[0].metadata.has_value());
  EXPECT_THAT(metadata.wal().timelines(), IsEmpty());
}

TEST_F(OnStore, AHistoryOfAnotherKeyIsAComplaint) {
  listing_.history(2, {{1, {30 * listing_.segment_bytes}}}, began_);
  fill();
  store_plain("wal_005/00000002.history.lz4", "no lz4 at all");
  EXPECT_EQ(1U, load().complaints().size());
  EXPECT_EQ(12U, load().backups().size());
}

TEST_F(OnStore, ADeletionBrokenOffAfterAnyObjectLeavesOnlyWhatRestores) {
  const std::vector<std::string> kept(names_.begin() + 9, names_.end());
  std::size_t objects = 0;
  for (std::size_t end = 1;; ++end) {
    fill();
    const archive::Catalogue catalogue = load();
    const archive::DeletionPlan plan = retain(catalogue, 1);
    std::vector<std::string> order;
    plan.visit(catalogue, [&](const std::string& key) { order.push_back(key); });
    objects = order.size();
    if (end > order.size()) break;
    order.resize(end);
    repository_.store->remove(order, {});
    const std::vector<std::string> left = restorable();
    for (const std::string& name : kept) EXPECT_THAT(left, testing::Contains(name));
    if (end >= plan.sentinels()) {
      EXPECT_EQ(kept, left);
    }
    // The next run takes what is left over.
    const archive::Catalogue later = load();
    const archive::DeletionPlan rest = retain(later, 1);
    delete_planned(repository_, later, rest, {}, false, run());
    EXPECT_EQ(kept, restorable());
    const archive::Catalogue last = load();
    EXPECT_THAT(last.unfinished(), IsEmpty());
    EXPECT_EQ(26U, last.wal().timeline(1)->listed.first());
  }
  EXPECT_GT(objects, 50U);
}

TEST_F(OnStore, NothingGoesIfTheArchiveChangedMeanwhile) {
  const archive::Catalogue catalogue = load();
  const archive::DeletionPlan plan = retain(catalogue, 1);
  const auto refused = [&] {
    const Error error = thrown_by([&] { delete_planned(repository_, catalogue, plan, {}, false, run()); });
    EXPECT_EQ(Errc::in_use, error.code()) << error.what();
    EXPECT_EQ(12U, load().backups().size());
    return std::string(error.what());
  };
  // Somebody has begun a delta on a backup that would go.
  const std::string delta = listing_.backup_without_sentinel({.start = 40, .time = began_, .parent = names_[2]});
  store_plain(archive::lease_object(delta), "{}");
  EXPECT_THAT(refused(), HasSubstr(delta));
  repository_.store->remove(std::vector{archive::lease_object(delta)}, {});
  // Somebody has made a backup of the same name.
  store_plain(archive::sentinel_object(names_[0]), listing_.objects.at(archive::sentinel_object(names_[0])).text);
  EXPECT_THAT(refused(), HasSubstr("made anew"));
}

TEST_F(OnStore, ASentinelThatStaysEndsTheDeletion) {
  auto inner = storage::make_memory_store(clock_);
  for (const auto& [key, object] : listing_.objects) {
    inner->put(key, bytes_of(object.text.empty() ? std::string(object.bytes, 'x') : object.text), {}, {});
  }
  repository_.store = storage::with_faults(std::move(inner), [&](const storage::Request& request) {
    if (request.operation == "remove" && !request.after) throw Error(Errc::denied, "read-only credentials");
  });
  clock_.advance(std::chrono::hours(72));
  const archive::Catalogue catalogue = load();
  const archive::DeletionPlan plan = archive::plan_everything(catalogue, false);
  const Error error = thrown_by([&] { delete_planned(repository_, catalogue, plan, {}, false, run()); });
  EXPECT_EQ(Errc::denied, error.code());
  EXPECT_EQ(12U, restorable().size());
}

TEST_F(OnStore, MarksGoDownTheChainAndKeepWhatIsNotKnown) {
  const std::string object = archive::metadata_object(names_[0]);
  std::string text = plain(object);
  text.insert(1, R"( "later":{"is_permanent":[1,"}"]} , )");
  store_plain(object, text);
  EXPECT_THAT(mark_backup(repository_, names_[1], true, {}, run()), ElementsAre(names_[0], names_[1]));
  const std::string marked = plain(object);
  EXPECT_THAT(marked, HasSubstr(R"({ "later":{"is_permanent":[1,"}"]} , "start_time")"));
  EXPECT_EQ(text.size() - 1, marked.size());
  EXPECT_TRUE(archive::parse_metadata(marked, object).is_permanent);
  EXPECT_THAT(mark_backup(repository_, names_[1], true, {}, run()), IsEmpty());
  EXPECT_EQ(Errc::usage, thrown_by([&] { mark_backup(repository_, names_[0], false, {}, run()); }).code());
  EXPECT_THAT(mark_backup(repository_, names_[1], false, {}, run()), ElementsAre(names_[1]));
  EXPECT_THAT(mark_backup(repository_, names_[0], false, {}, run()), ElementsAre(names_[0]));
  EXPECT_EQ(text, plain(object));
}

TEST(WithPermanence, ChangesThatMemberAlone) {
  using archive::with_permanence;
  EXPECT_EQ(R"({"is_permanent":true})", with_permanence("{}", true, "x"));
  EXPECT_EQ(R"({"a":1,"is_permanent":true})", with_permanence(R"({"a":1})", true, "x"));
  EXPECT_EQ(R"({"a":"\"}", "IS_permanent" : false ,"b":[{}]} )",
            with_permanence(R"({"a":"\"}", "IS_permanent" : true ,"b":[{}]} )", false, "x"));
  EXPECT_EQ(R"({"is_permanent":true,"is_permanent":true})",
            with_permanence(R"({"is_permanent":false,"is_permanent":true})", true, "x"));
  for (const char* broken : {"", "[]", "{", "null", R"({"is_permanent":1})"}) {
    EXPECT_EQ(Errc::corrupt, thrown_by([&] { with_permanence(broken, true, "x"); }).code()) << broken;
  }
}

}  // namespace
}  // namespace seawall::ops
