// Copies within the bucket: the bytes stay where they are.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.hh"
#include "storage/request.hh"
#include "storage/s3/bucket_store.hh"

namespace seawall::storage::s3 {
namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30;
constexpr std::uint64_t most_at_once = 5 * gib;  // of CopyObject; UploadPartCopy takes as much in each part

}  // namespace

/// The source, as it was seen: if it is replaced meanwhile, the copy fails.
Headers BucketStore::copy_headers(std::string_view from, const ObjectInfo& source) const {
  const std::string place = options().place.bucket + '/' + whole(from);
  Headers headers = options().customer_key_source;
  headers.push_back({"x-amz-copy-source", '/' + http::percent_encode(place, true)});
  headers.push_back({"x-amz-copy-source-if-match", '"' + source.version + '"'});
  return headers;
}

/// Status 200 may come before the work is done; what came of it is in the body.
Result BucketStore::copy_request(Call call, const std::stop_token& stop) {
  call.patience = std::chrono::minutes(1);  // the server copies before it answers
  Reply reply = session_.perform(call, stop);
  if (reply.answer.status == 412) {
    throw Error(Errc::differs, fmt::format("{}: what is copied was replaced meanwhile", session_.label(call.key)));
  }
  if (!reply.ok()) throw session_.error_of(call, reply);
  Result result = parse_result(reply.answer.body);
  if (result.fault.code.empty()) return result;
  reply.fault = std::move(result.fault);
  reply.answer.status = 500;
  throw session_.error_of(call, reply);
}

void BucketStore::copy_whole(std::string_view from, std::string_view to, const ObjectInfo& source,
                             const PutOptions& options, const std::stop_token& stop) {
  Headers headers = copy_headers(from, source);
  for (http::Header& header : this->options().creation(options, session_.clock().wall())) {
    headers.push_back(std::move(header));
  }
  copy_request({.action = "CopyObject", .method = "PUT", .key = whole(to), .headers = std::move(headers)}, stop);
}

void BucketStore::copy_in_parts(std::string_view from, std::string_view to, const ObjectInfo& source,
                                const PutOptions& options, const std::stop_token& stop) {
  const Upload upload{.key = std::string(to), .id = begin_upload(to, options, stop), .options = {}};
  try {
    std::vector<Part> parts;
    for (std::uint64_t offset = 0; offset < source.bytes; offset += gib) {
      check_stop(stop, "copy", to);
      Part part{.number = static_cast<unsigned>(parts.size() + 1),
                .offset = offset,
                .bytes = std::min(gib, source.bytes - offset)};
      Call call{.action = "UploadPartCopy",
                .method = "PUT",
                .key = whole(to),
                .query = fmt::format("partNumber={}&uploadId={}", part.number, http::percent_encode(upload.id, false)),
                .headers = copy_headers(from, source)};
      const Headers& key = this->options().customer_key;
      call.headers.insert(call.headers.end(), key.begin(), key.end());
      call.headers.push_back({"x-amz-copy-source-range", fmt::format("bytes={}-{}", offset, offset + part.bytes - 1)});
      part.tag = copy_request(std::move(call), stop).etag;
      parts.push_back(std::move(part));
    }
    complete_once(upload, parts, false, stop);
  } catch (...) {
    abort(upload);
    throw;
  }
}

PutResult BucketStore::copy(std::string_view from, std::string_view to, const PutOptions& options,
                            std::stop_token stop) {
  check_put(stop, "copy to", to, options);
  check_key(from);
  const auto source = head(from, stop);
  if (!source) throw Error(Errc::not_found, fmt::format("copy {} to {}: no such object", label(from), to));
  // Copies take no conditions on their target.
  std::optional<KeyTurns::Turn> turn;
  if (options.only_if_absent || !options.if_version.empty()) {
    turn.emplace(turns_, to, stop);
    auto there = head(to, stop);
    if (options.only_if_absent && there) return {.created = false, .object = std::move(*there)};
    if (!options.if_version.empty()) require(to, options, there);
  }
  if (source->bytes <= most_at_once) {
    copy_whole(from, to, *source, options, stop);
  } else {
    copy_in_parts(from, to, *source, options, stop);
  }
  auto copied = head(to, stop);
  if (!copied || copied->bytes != source->bytes) {
    throw Error(Errc::corrupt, fmt::format("copy {} to {}: {} bytes were to be copied, {} are there", label(from), to,
                                           source->bytes, copied ? copied->bytes : 0));
  }
  return {.created = true, .object = std::move(*copied)};
}

}  // namespace seawall::storage::s3
