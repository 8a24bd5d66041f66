#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/s3/conditions.hh"
#include "storage/s3/key_turns.hh"
#include "storage/s3/s3_store.hh"
#include "storage/s3/session.hh"

namespace seawall::storage::s3 {

/// The Store on one bucket and path. Its methods are in s3_store.cc and s3_{upload,copy,list,remove,features}.cc.
class BucketStore final : public Store {
 public:
  BucketStore(Options options, Lookup lookup, Clock& clock, Log& log, PutIfAbsentCache cache);

  std::string description() const override;
  UploadShape upload_shape(std::optional<std::uint64_t> expected_bytes) const override;
  std::optional<ObjectInfo> stat(std::string_view key, std::stop_token stop) override;
  std::vector<ObjectInfo> stat_each(std::span<const std::string> keys, std::stop_token stop) override;
  std::unique_ptr<Source> try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) override;
  PutResult put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) override;
  Upload begin(std::string_view key, const PutOptions& options, std::stop_token stop) override;
  Part put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) override;
  PutResult complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) override;
  void abort(const Upload& upload) noexcept override;
  std::vector<Feature> features(std::stop_token stop) override;
  using Store::list;
  void list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
            std::stop_token stop) override;
  PutResult copy(std::string_view from, std::string_view to, const PutOptions& options, std::stop_token stop) override;
  std::vector<RemoveFailure> remove(std::span<const std::string> keys, std::stop_token stop) override;
  bool keeps_versions() const override { return true; }
  std::vector<RemoveFailure> remove_versions(std::span<const ObjectVersion> versions, std::stop_token stop) override;

 private:
  /// What is remembered of an upload, for whoever asks again.
  struct UploadState {
    std::optional<PutResult> finished;
    bool aborted = false;
    bool unsure = false;  // completion was asked for, and the answer lost
  };

  const Options& options() const noexcept { return session_.options(); }
  std::string whole(std::string_view key) const { return options().place.path + std::string(key); }
  std::string label(std::string_view key) const { return session_.label(whole(key)); }

  // s3_store.cc
  std::optional<ObjectInfo> head(std::string_view key, const std::stop_token& stop);
  ObjectInfo described(std::string_view key, const Call& call, const Reply& reply);
  bool is_absent(const Call& call, const Reply& reply, const std::stop_token& stop);
  Reply send(std::string_view key, Bytes data, const PutOptions& options, const Headers& conditions,
             const std::stop_token& stop);
  PutResult created(std::string_view key, std::size_t bytes, const Reply& reply);
  PutResult put_new(std::string_view key, Bytes data, const PutOptions& options, const std::stop_token& stop);
  PutResult replace(std::string_view key, Bytes data, const PutOptions& options, const std::stop_token& stop);
  void probe(std::string_view key, Bytes data, const PutOptions& options, const std::stop_token& stop);
  void require(std::string_view key, const PutOptions& options, const std::optional<ObjectInfo>& there) const;
  [[noreturn]] void fail_put(std::string_view key, const Reply& reply);

  // s3_upload.cc
  std::string begin_upload(std::string_view key, const PutOptions& options, const std::stop_token& stop);
  std::string upload_id(const Reply& reply);
  UploadState state_of(const std::string& id);
  void remember(const std::string& id, const UploadState& state);
  Reply send_completion(const Upload& upload, std::span<const Part> parts, const Headers& conditions,
                        const std::stop_token& stop);
  PutResult complete_once(const Upload& upload, std::span<const Part> parts, bool unsure, const std::stop_token& stop);
  PutResult finish(const Upload& upload, const ObjectInfo& there, bool was_created);
  bool condition_holds(const Upload& upload, const std::stop_token& stop);
  bool is_ours(const ObjectInfo& there, std::span<const Part> parts) const;
  void check_whole(const Upload& upload, std::span<const Part> parts, const std::stop_token& stop, ObjectInfo& there);
  Error failed(const Upload& upload, const Reply& reply);

  // s3_copy.cc
  Headers copy_headers(std::string_view from, const ObjectInfo& source) const;
  Result copy_request(Call call, const std::stop_token& stop);
  void copy_whole(std::string_view from, std::string_view to, const ObjectInfo& source, const PutOptions& options,
                  const std::stop_token& stop);
  void copy_in_parts(std::string_view from, std::string_view to, const ObjectInfo& source, const PutOptions& options,
                     const std::stop_token& stop);

  // s3_list.cc
  class Listing;
  ListPage list_page(const ListOptions& options, const ListPage& before, unsigned most, const std::stop_token& stop);
  bool holds_more(const std::string& folder, const ListOptions& options, const std::stop_token& stop);
  std::optional<std::vector<ObjectInfo>> stat_by_list(std::span<const std::string> keys, const std::stop_token& stop);

  // s3_remove.cc
  std::vector<Removal> versions_of(const std::string& key, const std::stop_token& stop);
  std::vector<RemoveFailure> remove_all(std::vector<Removal>& objects, const std::stop_token& stop);
  void remove_one(const Removal& object, std::vector<RemoveFailure>& failures, const std::stop_token& stop);
  bool remove_batch(std::span<const Removal> batch, std::vector<RemoveFailure>& failures, const std::stop_token& stop);
  std::string own_key(std::string_view whole_key) const;

  Session session_;
  Conditions conditions_;
  std::atomic<bool> bucket_seen_ = false;  // something was found in it: 404 means that the object is missing
  std::atomic<bool> removes_batches_ = true;
  std::atomic<bool> sends_checksums_ = true;
  KeyTurns turns_;

  std::mutex mutex_;  // of what follows
  std::map<std::string, UploadState> uploads_;
  std::deque<std::string> remembered_;  // oldest first
};

}  // namespace seawall::storage::s3
