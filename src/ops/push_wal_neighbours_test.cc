#include <atomic>

#include "ops/push_wal.hh"
#include "storage/wrap/faulty.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

using testing::ElementsAre;

TEST_F(PushWal, ArchivesReadyNeighboursAndAcknowledgesThemLater) {
  const std::string first = put_ready({.number = 1});
  for (const std::uint64_t number : {2U, 3U, 7U}) put_ready({.number = number});
  put_segment({.number = 4});  // not ready: PostgreSQL still writes it
  write_file(pg_wal_ / "archive_status" / "00000001.history.ready", "");
  write_file(pg_wal_ / "archive_status" / "xlogtemp.1.ready", "");
  put_named("00000001.history", "");  // damaged: must not disturb the others
  push(first);
  EXPECT_THAT(stored_wal(), ElementsAre("000000010000000000000001.lz4", "000000010000000000000002.lz4",
                                        "000000010000000000000003.lz4", "000000010000000000000007.lz4"));
  EXPECT_THAT(receipts(),
              ElementsAre("000000010000000000000002", "000000010000000000000003", "000000010000000000000007"));
  EXPECT_THAT(log_.text(), HasSubstr("WARNING: '00000001.history' was not archived ahead"));

  int requests = 0;
  const std::shared_ptr<storage::Store> filled = repository_.store;
  repository_.store =
      storage::with_faults(storage::make_memory_store(clock_), [&](const storage::Request&) { ++requests; });
  EXPECT_EQ(push("000000010000000000000002"), PushOutcome::acknowledged);
  EXPECT_EQ(requests, 0);
  EXPECT_THAT(receipts(), ElementsAre("000000010000000000000003", "000000010000000000000007"));
  // Its receipt is gone: the next call pushes.
  repository_.store = filled;
  EXPECT_EQ(push("000000010000000000000002"), PushOutcome::already_there);
}

TEST_F(PushWal, BelievesAReceiptOnlyForTheSameContent) {
  const std::string first = put_ready({.number = 1});
  const std::string second = put_ready({.number = 2, .seed = 1});
  push(first);
  put_segment({.number = 2, .seed = 2});
  EXPECT_EQ(refused(second).code(), Errc::differs);
  EXPECT_EQ(decoded(second), (test::WalSegment{.number = 2, .seed = 1}.content()));
  EXPECT_THAT(log_.text(), HasSubstr("it is pushed again"));
}

TEST_F(PushWal, BelievesAReceiptOnlyForTheSameRepository) {
  const std::string first = put_ready({.number = 1});
  const std::string second = put_ready({.number = 2});
  push(first);
  EXPECT_THAT(receipts(), ElementsAre(second));
  std::filesystem::remove(pg_wal_ / "archive_status" / (first + ".ready"));
  repository_.prefix = "moved/";
  EXPECT_EQ(push(second), PushOutcome::stored);
  EXPECT_THAT(stored_wal(), ElementsAre(second + ".lz4"));
}

TEST_F(PushWal, DoesNotTrustMarkersOfOtherTools) {
  const std::string name = put_segment();
  write_file(pg_wal_ / "walg_data" / "walg_archive_status" / name, "");
  EXPECT_EQ(push(name), PushOutcome::stored);
  EXPECT_THAT(receipts(), IsEmpty());
}

TEST_F(PushWal, KeepsTheLimitsOfNeighbours) {
  for (std::uint64_t number = 1; number <= 40; ++number) put_ready({.number = number, .only_first_page = true});
  set(settings_.total_bg_uploaded_limit, "5");
  push("000000010000000000000001");
  EXPECT_EQ(stored_wal().size(), 5U);
  EXPECT_EQ(stored_wal().back(), "000000010000000000000005.lz4");
  set(settings_.total_bg_uploaded_limit, "32");
  set(settings_.upload_concurrency, "1");
  push("000000010000000000000006");
  EXPECT_EQ(stored_wal().size(), 6U);
  set(settings_.upload_concurrency, "16");
  push("000000010000000000000007");
  EXPECT_EQ(stored_wal().size(), 6U + 32U);
  EXPECT_EQ(receipts().size(), 4U + 31U);
}

TEST_F(PushWal, RenamesReadyFilesIfAskedTo) {
  const std::string first = put_ready({.number = 1});
  put_ready({.number = 2});
  set(settings_.pg_ready_rename, "true");
  push(first);
  EXPECT_THAT(names_in(pg_wal_ / "archive_status"),
              ElementsAre("000000010000000000000001.ready", "000000010000000000000002.done"));
  EXPECT_THAT(receipts(), IsEmpty());
  EXPECT_EQ(stored_wal().size(), 2U);
}

TEST_F(PushWal, LeavesNeighboursOfAnotherClusterAlone) {
  const std::string first = put_ready({.number = 1});
  put_ready({.number = 2, .system_identifier = other_cluster});
  EXPECT_EQ(push(first), PushOutcome::stored);
  EXPECT_THAT(stored_wal(), ElementsAre(first + ".lz4"));
  EXPECT_THAT(receipts(), IsEmpty());
}

TEST_F(PushWal, SucceedsForItsOwnFileWhenTheStorageFillsUp) {
  for (std::uint64_t number = 1; number <= 30; ++number) put_ready({.number = number, .only_first_page = true});
  std::atomic<int> failures = 0;
  repository_.store = storage::with_faults(storage::make_memory_store(clock_), [&](const storage::Request& request) {
    if (request.operation != "put" || request.after || !request.key.starts_with("wal_005/")) return;
    if (request.key == "wal_005/000000010000000000000001.lz4") return;
    ++failures;
    throw Error(Errc::no_space, "the storage is full");
  });
  EXPECT_EQ(push("000000010000000000000001"), PushOutcome::stored);
  EXPECT_THAT(stored_wal(), ElementsAre("000000010000000000000001.lz4"));
  EXPECT_THAT(receipts(), IsEmpty());
  EXPECT_GE(failures, 1);
  EXPECT_LE(failures, 15) << "after a failure that concerns the storage no further files are tried";
}

}  // namespace
}  // namespace seawall::ops
