// What a bucket and its server do beyond the contract.
#include <fmt/format.h>

#include "base/error.hh"
#include "storage/s3/bucket_store.hh"
#include "storage/s3/s3_errors.hh"

namespace seawall::storage::s3 {
namespace {

/// Servers differ in how they refuse what they do not know; a refusal is an answer here, and no reason to fail.
std::string refusal(const Reply& reply) {
  return fmt::format("not told ({}{}{})", reply.answer.status, reply.fault.code.empty() ? "" : " ", reply.fault.code);
}

/// `read` of the answer's body; Swift answers what it does not know with a listing.
template <class Read>
std::string told(const Reply& reply, Read&& read) {
  if (!reply.ok()) return refusal(reply);
  try {
    return read(reply.answer.body);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    return "not told (the server does not know the question)";
  }
}

std::string versions(std::string_view body) {
  const std::string status = parse_versioning(body);
  if (status == "Enabled") return "kept";
  return status.empty() ? "not kept" : fmt::format("not kept now ({})", status);
}

std::string object_lock(std::string_view body) {
  const ObjectLock lock = parse_object_lock(body);
  if (!lock.enabled) return "off";
  return lock.mode.empty() ? "on, no rule of the bucket's" : fmt::format("on, {} in mode {}", lock.period, lock.mode);
}

}  // namespace

std::vector<Feature> BucketStore::features(std::stop_token stop) {
  using Belief = Conditions::Belief;
  const Belief if_absent = conditions_.if_absent();
  const Reply versioning = session_.perform({.action = "GetBucketVersioning", .query = "versioning="}, stop);
  const Reply lock = session_.perform({.action = "GetBucketObjectLockConfiguration", .query = "object-lock="}, stop);
  return {{"put if absent", if_absent == Belief::honoured  ? "by the server"
                            : if_absent == Belief::ignored ? "the server ignores it: asked for before each put"
                                                           : "not tried yet"},
          {"checksums", sends_checksums_ ? "CRC32C sent with each put" : "the server does not know them"},
          {"removal in batches", removes_batches_ ? "yes" : "no: one request for each object"},
          {"versions", told(versioning, versions)},
          {"object lock", lock.answer.status == 404 ? "off" : told(lock, object_lock)}};
}

}  // namespace seawall::storage::s3
