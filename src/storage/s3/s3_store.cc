#include "storage/s3/s3_store.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/crc32c.hh"
#include "base/error.hh"
#include "base/text.hh"
#include "storage/request.hh"
#include "storage/s3/bucket_store.hh"
#include "storage/s3/checksums.hh"
#include "storage/s3/object_source.hh"
#include "storage/s3/s3_errors.hh"

namespace seawall::storage::s3 {
namespace {

constexpr std::size_t ask_first_from = std::size_t{2} << 20;

}  // namespace

BucketStore::BucketStore(Options options, Lookup lookup, Clock& clock, Log& log, PutIfAbsentCache cache)
    : session_(std::move(options), std::move(lookup), clock, log), conditions_(std::move(cache)) {}

std::string BucketStore::description() const {
  const std::string path = options().place.path;
  std::string place = fmt::format("s3://{}{}{}", options().place.bucket, path.empty() ? "" : "/",
                                  path.substr(0, path.find_last_of('/')));
  if (options().endpoint.is_amazon()) return place;
  return fmt::format("{} at {}", place, options().endpoint.description());
}

UploadShape BucketStore::upload_shape(std::optional<std::uint64_t> expected_bytes) const {
  constexpr std::uint64_t mib = std::uint64_t{1} << 20;
  // Of the 10,000 that S3 takes; the others are for what exceeds the expectation, as incompressible data do.
  constexpr std::uint64_t parts = 9'000;
  constexpr std::uint64_t most_part = std::uint64_t{5} << 30;
  std::uint64_t bytes = 8 * mib;
  if (expected_bytes) {
    const std::uint64_t needed = (*expected_bytes + parts - 1) / parts;
    bytes = std::max(bytes, (needed + mib - 1) / mib * mib);
    // A WAL segment costs one request, also where compressing made it longer.
    constexpr std::uint64_t most_in_one_put = 20 * mib;
    if (*expected_bytes <= most_in_one_put) bytes = std::max(bytes, *expected_bytes / mib * mib + 2 * mib);
  }
  if (options().most_part_bytes != 0) bytes = std::min(bytes, options().most_part_bytes / mib * mib);
  bytes = std::clamp(bytes, 5 * mib, most_part);
  return {.part_bytes = static_cast<std::size_t>(bytes),
          .parts_in_flight = options().upload_concurrency,
          .least_part_bytes = static_cast<std::size_t>(5 * mib),
          .most_part_bytes = static_cast<std::size_t>(most_part)};
}

/// The object as the headers of an answer describe it.
ObjectInfo BucketStore::described(std::string_view key, const Call& call, const Reply& reply) {
  const http::Answer& answer = reply.answer;
  ObjectInfo object{.key = std::string(key), .version = std::string(bare_tag(answer.header("etag")))};
  const auto modified = parse_http_time(answer.header("last-modified"));
  std::optional<std::uint64_t> bytes = parse_int<std::uint64_t>(answer.header("content-length"));
  if (const auto range = parse_content_range(answer.header("content-range"))) bytes = range->whole;
  if (object.version.empty() || !modified || !bytes) {
    throw Error(Errc::config,
                fmt::format("{}: s3:{} was answered with {}, but without an object's ETag, Last-Modified and size: is "
                            "{} an S3 service?",
                            label(key), call.action, answer.status, options().endpoint.description()));
  }
  object.modified = *modified;
  object.bytes = *bytes;
  bucket_seen_ = true;
  return object;
}

/// Does a 404 mean that the object is missing? It must not be taken for a missing bucket, or for somebody else's page:
/// who asks for WAL would take it for the end of recovery.
bool BucketStore::is_absent(const Call& call, const Reply& reply, const std::stop_token& stop) {
  if (reply.answer.status != 404) return false;
  if (reply.fault.code == "NoSuchKey") {
    bucket_seen_ = true;
    return true;
  }
  const bool silent = reply.fault.code.empty() && (call.method == "HEAD" || reply.answer.body.empty());
  if (!silent) return false;
  if (bucket_seen_) return true;
  const Call bucket{.action = "ListBucket", .method = "HEAD"};
  const Reply answer = session_.perform(bucket, stop);
  if (answer.answer.status == 404) {
    Reply missing = answer;
    missing.fault.code = "NoSuchBucket";
    throw session_.error_of(bucket, missing);
  }
  // Whoever may not list the bucket is told so by a bucket that exists.
  if (!answer.ok() && answer.answer.status != 403) throw session_.error_of(bucket, answer);
  bucket_seen_ = true;
  return true;
}

std::optional<ObjectInfo> BucketStore::head(std::string_view key, const std::stop_token& stop) {
  const Call call{.action = "HeadObject", .method = "HEAD", .key = whole(key), .headers = options().customer_key};
  const Reply reply = session_.perform(call, stop);
  if (is_absent(call, reply, stop)) return std::nullopt;
  if (!reply.ok()) throw session_.error_of(call, reply);
  return described(key, call, reply);
}

std::optional<ObjectInfo> BucketStore::stat(std::string_view key, std::stop_token stop) {
  check_stop(stop, "stat", key);
  check_key(key);
  return head(key, stop);
}

std::unique_ptr<Source> BucketStore::try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) {
  check_stop(stop, "open", key);
  check_key(key);
  const Range& range = options.range;
  const bool nothing = range.length && *range.length == 0;
  Call call{.action = "GetObject", .key = whole(key), .headers = this->options().customer_key};
  const bool partial = range.offset > 0 || range.length;
  if (partial) {
    const std::uint64_t most = range.length ? *range.length : 0;
    const bool bounded = range.length && most - 1 <= UINT64_MAX - range.offset;
    call.headers.push_back({"Range", bounded ? fmt::format("bytes={}-{}", range.offset, range.offset + most - 1)
                                             : fmt::format("bytes={}-", range.offset)});
  } else {
    call.headers.push_back({"x-amz-checksum-mode", "ENABLED"});
  }
  if (!options.if_version.empty()) call.headers.push_back({"If-Match", '"' + options.if_version + '"'});
  Reply reply;
  std::unique_ptr<http::Download> download = nothing ? nullptr : session_.open(call, reply, stop);
  if (nothing || reply.answer.status == 416) {
    const auto there = head(key, stop);
    if (!there) return nullptr;
    if (!options.if_version.empty()) check_version(label(key), &*there, options.if_version);
    if (options.opened != nullptr) *options.opened = *there;
    return std::make_unique<MemorySource>(Bytes());
  }
  if (!download) {
    if (is_absent(call, reply, stop)) return nullptr;
    if (reply.answer.status == 412) {
      throw Error(Errc::differs, fmt::format("{}: changed since version {} was seen", label(key), options.if_version));
    }
    throw session_.error_of(call, reply);
  }
  ObjectInfo object = described(key, call, reply);
  const Extent extent = clip(range, object.bytes);
  auto source = make_object_source(std::move(download), extent, partial, label(key), stop);
  if (options.opened != nullptr) *options.opened = std::move(object);
  return source;
}

/// One PutObject. Checksums are left out once a server has said that it does not know such headers.
Reply BucketStore::send(std::string_view key, Bytes data, const PutOptions& options, const Headers& conditions,
                        const std::stop_token& stop) {
  Call call{.action = "PutObject",
            .method = "PUT",
            .key = whole(key),
            .headers = this->options().creation(options, session_.clock().wall()),
            .body = data,
            .await_continue = this->options().await_continue && data.size() >= ask_first_from};
  call.headers.insert(call.headers.end(), conditions.begin(), conditions.end());
  // S3 wants it of objects under a retention.
  if (this->options().retention) call.headers.push_back({"Content-MD5", base64(bytes_of(md5(data)))});
  if (!sends_checksums_) return session_.perform(call, stop);
  Call with_sum = call;
  with_sum.headers.push_back({"x-amz-checksum-crc32c", crc32c_text(crc32c(data))});
  Reply reply = session_.perform(with_sum, stop);
  if (!conditions.empty() || !is_not_implemented(reply.fault, reply.answer.status)) return reply;
  reply = session_.perform(call, stop);
  if (reply.ok()) sends_checksums_ = false;
  return reply;
}

void BucketStore::fail_put(std::string_view key, const Reply& reply) {
  throw session_.error_of({.action = "PutObject", .key = whole(key)}, reply);
}

PutResult BucketStore::created(std::string_view key, std::size_t bytes, const Reply& reply) {
  if (!reply.ok()) fail_put(key, reply);
  std::string version(bare_tag(reply.answer.header("etag")));
  if (version.empty()) {
    throw Error(Errc::config, fmt::format("{}: the put was answered with {}, but without an ETag: is {} an S3 service?",
                                          label(key), reply.answer.status, options().endpoint.description()));
  }
  bucket_seen_ = true;
  // Nobody asks for the time of what was just put, and the answer does not tell it.
  return {.created = true, .object = {.key = std::string(key), .bytes = bytes, .version = std::move(version)}};
}

/// Errc::differs unless what is there is the version that is to be replaced.
void BucketStore::require(std::string_view key, const PutOptions& options,
                          const std::optional<ObjectInfo>& there) const {
  check_version(label(key), there ? &*there : nullptr, options.if_version);
}

/// Says whether the server honours put-if-absent: by putting once more what has just been put. A server that does not
/// replaces the object with its equal.
void BucketStore::probe(std::string_view key, Bytes data, const PutOptions& options, const std::stop_token& stop) {
  try {
    const Reply reply = send(key, data, options, Conditions::absent(), stop);
    if (reply.answer.status == 412) conditions_.learn_if_absent(true);
    if (reply.ok()) conditions_.learn_if_absent(false);
  } catch (const Error& error) {
    session_.log().debug("{}: whether put-if-absent works was not found out: {}", label(key), error.what());
  }
}

PutResult BucketStore::put_new(std::string_view key, Bytes data, const PutOptions& options,
                               const std::stop_token& stop) {
  constexpr unsigned attempts = 4;
  std::optional<KeyTurns::Turn> turn;
  for (unsigned attempt = 1;; ++attempt) {
    const Conditions::Belief belief = conditions_.if_absent();
    if (belief != Conditions::Belief::honoured) {
      if (!turn) turn.emplace(turns_, key, stop);
      if (auto there = head(key, stop)) return {.created = false, .object = std::move(*there)};
    }
    const bool conditional = belief != Conditions::Belief::ignored;
    const Reply reply = send(key, data, options, conditional ? Conditions::absent() : Headers(), stop);
    if (reply.ok()) {
      PutResult result = created(key, data.size(), reply);
      if (conditions_.worth_probing(data.size())) probe(key, data, options, stop);
      return result;
    }
    if (conditional && is_not_implemented(reply.fault, reply.answer.status)) {
      conditions_.learn_if_absent(false);
      continue;
    }
    // 409: somebody else puts the same name at this moment.
    const bool met = reply.answer.status == 412 || reply.fault.code == "ConditionalRequestConflict";
    if (!met || attempt == attempts) fail_put(key, reply);
    if (auto there = head(key, stop)) {
      if (reply.answer.status == 412) conditions_.learn_if_absent(true);
      return {.created = false, .object = std::move(*there)};
    }
  }
}

/// A server that does not know If-Match, or does not take it in any form, is asked for the version before; so is every
/// other, because one that ignores the header would not tell.
PutResult BucketStore::replace(std::string_view key, Bytes data, const PutOptions& options,
                               const std::stop_token& stop) {
  const KeyTurns::Turn turn(turns_, key, stop);
  require(key, options, head(key, stop));
  while (true) {
    const bool conditional = conditions_.if_version();
    const bool bare = conditions_.bare_tags();
    const Headers conditions = conditional ? Conditions::version(options.if_version, bare) : Headers();
    const Reply reply = send(key, data, options, conditions, stop);
    if (reply.ok() || !conditional) return created(key, data.size(), reply);
    if (is_not_implemented(reply.fault, reply.answer.status)) {
      conditions_.refuse_if_version();
      continue;
    }
    if (reply.answer.status != 412 && reply.answer.status != 404) fail_put(key, reply);
    require(key, options, head(key, stop));
    // It is the right version, and the server says it is not.
    if (bare) conditions_.refuse_if_version();
    conditions_.take_bare_tags();
  }
}

PutResult BucketStore::put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) {
  check_put(stop, "put", key, options);
  if (options.only_if_absent) return put_new(key, data, options, stop);
  if (!options.if_version.empty()) return replace(key, data, options, stop);
  // Without an ETag Swift says that a later put of the same name came first, and ours was dropped.
  constexpr unsigned attempts = 3;
  for (unsigned attempt = 1; attempt < attempts; ++attempt) {
    const Reply reply = send(key, data, options, {}, stop);
    if (!reply.ok() || !reply.answer.header("etag").empty()) return created(key, data.size(), reply);
  }
  return created(key, data.size(), send(key, data, options, {}, stop));
}

std::unique_ptr<Store> make_s3_store(const S3Settings& settings, Lookup lookup, Clock& clock, Log& log,
                                     PutIfAbsentCache cache) {
  return std::make_unique<BucketStore>(read_options(settings), std::move(lookup), clock, log, std::move(cache));
}

}  // namespace seawall::storage::s3
