#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/store.hh"

namespace seawall::storage::s3 {

/// What S3 says when it refuses. Empty if it said nothing, or nothing that S3 would say.
struct Fault {
  std::string code;     ///< "NoSuchKey"
  std::string message;  ///< for people; of the server
  std::string region;   ///< where the bucket is, if that is the matter
};

/// Total: any text gives a Fault, though perhaps an empty one.
Fault parse_fault(std::string_view xml);

/// The functions below throw Errc::corrupt for what is not the answer that they read.

/// One page of ListObjects, ListObjectsV2 or ListObjectVersions.
struct ListPage {
  std::vector<ObjectInfo> objects;    ///< whole keys in the bucket, in the order of the answer
  std::vector<std::string> prefixes;  ///< folded ones
  bool truncated = false;
  std::string token;         ///< NextContinuationToken, of the newer request only
  std::string last;          ///< the greatest name or prefix of the page: where the older requests go on
  std::string next_version;  ///< NextVersionIdMarker
};
ListPage parse_list(std::string_view xml);

/// The UploadId of CreateMultipartUpload.
std::string parse_upload_id(std::string_view xml);

/// The ETag, without quotes and perhaps empty, of CompleteMultipartUpload, CopyObject or UploadPartCopy; or the fault
/// that came in its place under status 200.
struct Result {
  Fault fault;
  std::string etag;
};
Result parse_result(std::string_view xml);

/// What DeleteObjects could not remove: keys in the bucket and why.
struct RemovalFault {
  std::string key;
  Fault fault;
};
std::vector<RemovalFault> parse_removals(std::string_view xml);

/// Of GetBucketVersioning: "Enabled", "Suspended", or empty if it never was on.
std::string parse_versioning(std::string_view xml);

/// Of GetObjectLockConfiguration: what holds for objects that say nothing themselves.
struct ObjectLock {
  bool enabled = false;
  std::string mode = {};    ///< "GOVERNANCE", "COMPLIANCE", or empty: no rule of its own
  std::string period = {};  ///< "30 days", "1 year"
};
ObjectLock parse_object_lock(std::string_view xml);

/// One object of a DeleteObjects request; every version is named, or none.
struct Removal {
  std::string key;
  std::string version_id = {};
};
/// False for keys with characters that XML 1.0 cannot hold.
bool fits_xml(std::string_view key) noexcept;
std::string removal_request(std::span<const Removal> objects);

struct CompletedPart {
  unsigned number = 1;
  std::string etag;
  std::string crc32c = {};  ///< base64, or empty
};
std::string completion_request(std::span<const CompletedPart> parts);

/// Without quotes and the mark of weakness.
std::string_view bare_tag(std::string_view etag) noexcept;

}  // namespace seawall::storage::s3
