// Removals.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.hh"
#include "storage/request.hh"
#include "storage/s3/bucket_store.hh"
#include "storage/s3/checksums.hh"
#include "storage/s3/s3_errors.hh"

namespace seawall::storage::s3 {

std::string BucketStore::own_key(std::string_view whole_key) const {
  const std::string& root = options().place.path;
  return std::string(whole_key.starts_with(root) ? whole_key.substr(root.size()) : whole_key);
}

/// All that is kept under exactly this key, which must be gone for its space to be free.
std::vector<Removal> BucketStore::versions_of(const std::string& key, const std::stop_token& stop) {
  std::vector<Removal> versions;
  const std::string wanted = whole(key);
  ListPage page;
  do {
    page = list_page({.prefix = wanted, .all_versions = true}, page, 1000, stop);
    for (const ObjectInfo& object : page.objects) {
      if (object.key == wanted) versions.push_back({wanted, object.version});
    }
    // Longer names follow.
    if (!page.objects.empty() && page.objects.back().key != wanted) break;
  } while (page.truncated && !page.last.empty());
  return versions;
}

void BucketStore::remove_one(const Removal& object, std::vector<RemoveFailure>& failures, const std::stop_token& stop) {
  Call call{.action = object.version_id.empty() ? "DeleteObject" : "DeleteObjectVersion",
            .method = "DELETE",
            .key = object.key};
  if (!object.version_id.empty()) call.query = "versionId=" + http::percent_encode(object.version_id, false);
  const Reply reply = session_.perform(call, stop);
  if (reply.ok() || reply.fault.code == "NoSuchKey" || reply.fault.code == "NoSuchVersion") return;
  const Error error = session_.error_of(call, reply);
  // What concerns this key alone is told with it; anything else ends the request.
  if (error.code() != Errc::denied && error.code() != Errc::unsupported) throw error;
  failures.push_back({own_key(object.key), error.what()});
}

/// False if the server has no such request.
bool BucketStore::remove_batch(std::span<const Removal> batch, std::vector<RemoveFailure>& failures,
                               const std::stop_token& stop) {
  const std::string body = removal_request(batch);
  const Call call{
      .action = "DeleteObject",
      .method = "POST",
      .query = "delete=",
      .headers = {{"Content-MD5", base64(bytes_of(md5(bytes_of(body))))}, {"Content-Type", "application/xml"}},
      .body = bytes_of(body),
      // Swift removes them one by one, and says nothing till the last is gone.
      .patience = std::chrono::milliseconds(100) * batch.size()};
  const Reply reply = session_.perform(call, stop);
  if (is_not_implemented(reply.fault, reply.answer.status) || reply.answer.status == 405) return false;
  if (!reply.ok()) throw session_.error_of(call, reply);
  for (const RemovalFault& refused : parse_removals(reply.answer.body)) {
    if (refused.fault.code == "NoSuchKey" || refused.fault.code == "NoSuchVersion") continue;
    Reply single{.answer = {.status = 403, .headers = {}, .body = {}}, .fault = refused.fault, .region = reply.region};
    const Error error = session_.error_of({.action = "DeleteObject", .key = refused.key}, single);
    // One key that has to wait makes all wait: a repeated removal does no harm.
    if (info(error.code()).retryable) throw error;
    failures.push_back({own_key(refused.key), error.what()});
  }
  return true;
}

std::vector<RemoveFailure> BucketStore::remove(std::span<const std::string> keys, std::stop_token stop) {
  check_stop(stop, "remove", keys.empty() ? std::string_view() : std::string_view(keys.front()));
  for (const std::string& key : keys) check_key(key);
  std::vector<Removal> objects;
  for (const std::string& key : keys) {
    if (!options().remove_versions) {
      objects.push_back({whole(key)});
      continue;
    }
    for (Removal& version : versions_of(key, stop)) objects.push_back(std::move(version));
  }
  return remove_all(objects, stop);
}

std::vector<RemoveFailure> BucketStore::remove_versions(std::span<const ObjectVersion> versions, std::stop_token stop) {
  check_stop(stop, "remove", versions.empty() ? std::string_view() : std::string_view(versions.front().key));
  std::vector<Removal> objects;
  for (const ObjectVersion& version : versions) {
    check_key(version.key);
    objects.push_back({whole(version.key), version.version});
  }
  return remove_all(objects, stop);
}

std::vector<RemoveFailure> BucketStore::remove_all(std::vector<Removal>& objects, const std::stop_token& stop) {
  std::vector<RemoveFailure> failures;
  // Keys that XML cannot hold go alone.
  const auto alone =
      std::stable_partition(objects.begin(), objects.end(), [](const Removal& object) { return fits_xml(object.key); });
  std::span<const Removal> together(objects.begin(), alone);
  while (!together.empty()) {
    check_stop(stop, "remove", together.front().key);
    const auto batch = together.first(std::min(options().delete_batch, together.size()));
    // A single request needs neither body nor checksum, and every server has it.
    if (batch.size() == 1 || !removes_batches_) {
      remove_one(batch.front(), failures, stop);
      together = together.subspan(1);
    } else if (remove_batch(batch, failures, stop)) {
      together = together.subspan(batch.size());
    } else {
      removes_batches_ = false;
    }
  }
  for (auto object = alone; object != objects.end(); ++object) {
    check_stop(stop, "remove", object->key);
    remove_one(*object, failures, stop);
  }
  return failures;
}

}  // namespace seawall::storage::s3
