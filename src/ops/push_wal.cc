#include "ops/push_wal.hh"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "archive/layout.hh"
#include "ops/archive_identity.hh"
#include "ops/ready_queue.hh"
#include "ops/receipts.hh"
#include "ops/segment_check.hh"
#include "ops/wal_metadata.hh"
#include "ops/wal_upload.hh"
#include "pipeline/object_writer.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

/// What the uploads of neighbours may take together: with the rest of the program they must stay below 60 MB.
constexpr std::size_t neighbours_memory = std::size_t{36} << 20;
/// Of one upload beside its part buffer: the encoder's buffers and the thread.
constexpr std::size_t memory_beside_part = std::size_t{1} << 20;
/// Smaller files are compressed before the pool's threads have started.
constexpr std::uint64_t pool_from_bytes = std::uint64_t{4} << 20;

/// Whether the next file may fare better than the one that failed so.
bool concerns_one_file(Errc code) {
  return code == Errc::corrupt || code == Errc::foreign || code == Errc::differs || code == Errc::not_found ||
         code == Errc::unsupported || code == Errc::usage;
}

class WalPush final {
 public:
  WalPush(const pipeline::Repository& repository, const fs::path& file, const PushWalSettings& settings,
          const PostgresSettings& postgres, const Run& run)
      : repository_(repository),
        settings_(settings),
        run_(run),
        pgdata_(postgres.pgdata()),
        metadata_level_(parse_wal_metadata_level(settings.upload_wal_metadata())),
        address_(archive_address(repository)),
        state_folder_(wal_state_folder(pgdata_, file)),
        file_(open_local_wal(file, run.log)) {
    if (state_folder_) receipts_.emplace(*state_folder_ / "walg_archive_status");
  }

  PushOutcome push() {
    if (acknowledge_by_receipt()) {
      store_metadata();
      return PushOutcome::acknowledged;
    }
    check_lineage(file_);
    check_identity();
    WorkerGroup neighbours(run_.stop);
    start_neighbours(neighbours);
    const bool created = push_main();
    neighbours.join();
    store_metadata();
    return created ? PushOutcome::stored : PushOutcome::already_there;
  }

 private:
  fs::path folder() const { return file_.path.parent_path(); }

  void check_identity() const {
    const auto cluster = cluster_of(file_);
    if (!cluster) return;
    try {
      check_archive_identity(repository_, *cluster, run_,
                             state_folder_ ? *state_folder_ / "seawall_archive_identity.json" : fs::path());
    } catch (Error& error) {
      error.during(fmt::format("'{}' is not archived", file_.path.native()));
      throw;
    }
  }

  bool acknowledge_by_receipt() {
    if (!receipts_) return false;
    const std::optional<Receipt> receipt = receipts_->find(file_.name);
    if (!receipt) return false;
    const Receipt expected = receipt_for(file_, receipt->digest);
    const bool valid = *receipt == expected && digest_of_file(file_) == receipt->digest;
    receipts_->remove(file_.name);
    if (valid) {
      run_.log.info("'{}' was archived by an earlier call", file_.name);
    } else {
      run_.log.warning("'{}' is not what an earlier call archived under this name; it is pushed again", file_.name);
    }
    return valid;
  }

  Receipt receipt_for(const LocalWal& file, const Digest& digest) const {
    return {.name = file.name,
            .digest = digest,
            .bytes = file.bytes,
            .repository = address_,
            .system_identifier = file.header ? file.header->system_identifier : 0};
  }

  /// The cluster that the file belongs to: by its header, or by the data directory it lies in.
  std::optional<std::uint64_t> cluster_of(const LocalWal& file) const {
    return file.header ? std::optional(file.header->system_identifier) : data_directory_identifier_;
  }

  void check_lineage(const LocalWal& file) {
    find_data_directory_identifier();
    if (!file.header) return;
    if (data_directory_identifier_ && file.header->system_identifier != *data_directory_identifier_) {
      throw Error(
          Errc::foreign,
          fmt::format("'{}' is WAL of the cluster with system identifier {}, but data directory '{}' belongs to "
                      "{}",
                      file.path.native(), file.header->system_identifier, data_directory_.native(),
                      *data_directory_identifier_));
    }
    check_ancestry(*file.header, file.name, file.path.native(), folder(), repository_, true, run_);
  }

  void find_data_directory_identifier() {
    if (!data_directory_.empty()) return;
    if (!pgdata_.empty()) {
      data_directory_ = pgdata_;
      data_directory_identifier_ = system_identifier_of(pgdata_, run_.log);
      if (data_directory_identifier_) return;
    }
    data_directory_ = data_directory_around(file_.path).value_or(pgdata_);
    if (!data_directory_.empty()) data_directory_identifier_ = system_identifier_of(data_directory_, run_.log);
  }

  bool push_main() {
    std::optional<CpuPool> pool;
    if (file_.bytes >= pool_from_bytes && usable_cpus() > 1) pool.emplace(usable_cpus());
    const WalUpload upload = timed_upload(file_, pool ? &*pool : nullptr, false, "", run_);
    return upload.created;
  }

  std::string key_of(const std::string& name) const {
    return repository_.key(pipeline::with_suffix(archive::wal_object(name), *repository_.codec));
  }

  void tell(const std::string& name, std::string_view state, LogLevel level, std::string_view message,
            double rate = 0) const {
    const std::string file = (folder() / name).native();
    run_.log.event({.action = "push-wal",
                    .state = state,
                    .name = name,
                    .key = key_of(name),
                    .file = file,
                    .bytes_per_second = rate},
                   level, message);
  }

  /// `ahead`: " ahead" for those that PostgreSQL has not asked for yet.
  WalUpload timed_upload(const LocalWal& file, CpuPool* pool, bool want_digest, std::string_view ahead,
                         const Run& run) const {
    tell(file.name, "begin", LogLevel::debug, fmt::format("archiving '{}'", file.name));
    const auto started = run.clock.steady();
    const WalUpload upload = upload_wal(repository_, file, pool, want_digest, run);
    const std::chrono::duration<double> took = run.clock.steady() - started;
    const double rate = took.count() > 0 ? static_cast<double>(upload.stored_bytes) / took.count() : 0;
    tell(file.name, "complete", LogLevel::info,
         upload.created ? fmt::format("archived '{}'{}, {} bytes, in {}", file.name, ahead, file.bytes, address_)
                        : fmt::format("'{}' is in {} already with the same content", file.name, address_),
         rate);
    return upload;
  }

  void start_neighbours(WorkerGroup& group) {
    const std::size_t limit = std::max(1U, settings_.total_bg_uploaded_limit()) - 1;
    std::size_t workers = std::min<std::size_t>(settings_.upload_concurrency() - 1, limit);
    if (!receipts_ || workers == 0) return;
    queue_.emplace(folder() / "archive_status", file_.name, file_.header ? file_.bytes : 0, limit, *receipts_);
    if (!queue_->any_status_folder()) return;
    const std::size_t each = repository_.store->upload_shape(file_.bytes).part_bytes + memory_beside_part;
    workers = std::min(workers, std::max<std::size_t>(1, neighbours_memory / each));
    // The first is asked for here: usually nothing is waiting, and then no thread is needed.
    std::vector<std::string> first;
    while (first.size() < workers) {
      std::optional<std::string> name = next_neighbour();
      if (!name) break;
      first.push_back(std::move(*name));
    }
    for (std::string& name : first) {
      group.start([this, name = std::move(name)](std::stop_token stop) {
        const Run run = run_.with(stop);
        push_neighbour(name, run);
        while (const auto next = next_neighbour()) push_neighbour(*next, run);
      });
    }
  }

  std::optional<std::string> next_neighbour() {
    try {
      return queue_->next();
    } catch (const Error& error) {
      run_.log.warning("cannot look for further WAL to archive: {}", error.what());
      return std::nullopt;
    }
  }

  /// A neighbour may fail: PostgreSQL will call for it, and that call reports it.
  void push_neighbour(const std::string& name, const Run& run) {
    try {
      const LocalWal file = open_local_wal(folder() / name, run.log);
      check_neighbour(file, run);
      const WalUpload upload = timed_upload(file, nullptr, true, " ahead", run);
      settle(file, *upload.digest);
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled) throw;
      if (!concerns_one_file(error.code())) queue_->close();
      if (error.code() == Errc::not_found) tell(name, "skip", LogLevel::debug, fmt::format("'{}' is gone", name));
      run.log.warning("'{}' was not archived ahead: {}", name, error.what());
    }
  }

  void check_neighbour(const LocalWal& file, const Run& run) const {
    if (!file.header) return;
    // Without a header of its own the file being pushed was told from its data directory.
    const auto cluster = cluster_of(file_);
    if (cluster && file.header->system_identifier != *cluster) {
      throw Error(Errc::foreign, fmt::format("it is WAL of the cluster with system identifier {}, not of {}",
                                             file.header->system_identifier, *cluster));
    }
    if (!cluster) check_archive_identity(repository_, file.header->system_identifier, run);
    check_ancestry(*file.header, file.name, file.path.native(), folder(), repository_, true, run);
  }

  /// Makes PostgreSQL's later call for the file cheap, or unnecessary.
  void settle(const LocalWal& file, const Digest& digest) const {
    if (!settings_.pg_ready_rename()) {
      receipts_->write(receipt_for(file, digest));
      return;
    }
    const fs::path status = folder() / "archive_status";
    std::error_code failure;
    fs::rename(status / (file.name + ".ready"), status / (file.name + ".done"), failure);
    if (failure) throw system_error(failure.value(), (status / (file.name + ".ready")).native());
  }

  void store_metadata() const {
    store_wal_metadata(repository_, metadata_level_, file_.name, file_.modified,
                       receipts_ ? receipts_->folder() : fs::path(), run_);
  }

  const pipeline::Repository& repository_;
  const PushWalSettings& settings_;
  const Run& run_;
  const fs::path pgdata_;
  const WalMetadataLevel metadata_level_;
  const std::string address_;
  const std::optional<fs::path> state_folder_;
  const LocalWal file_;
  std::optional<Receipts> receipts_;
  std::optional<ReadyQueue> queue_;
  fs::path data_directory_;
  std::optional<std::uint64_t> data_directory_identifier_;
};

}  // namespace

PushOutcome push_wal(const pipeline::Repository& repository, const fs::path& file, const PushWalSettings& settings,
                     const PostgresSettings& postgres, const Run& run) {
  return WalPush(repository, file, settings, postgres, run).push();
}

}  // namespace seawall::ops
