// Uploads in parts.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/crc32c.hh"
#include "base/error.hh"
#include "storage/request.hh"
#include "storage/s3/bucket_store.hh"
#include "storage/s3/checksums.hh"
#include "storage/s3/s3_errors.hh"

namespace seawall::storage::s3 {
namespace {

constexpr unsigned most_parts = 10'000;
constexpr std::size_t ask_first_from = std::size_t{2} << 20;

/// Part::tag: the ETag, and the checksum if the server confirmed it.
struct PartTag {
  std::string etag;
  std::string crc32c;
};

PartTag split_tag(const std::string& tag) {
  const std::size_t blank = tag.find(' ');
  if (blank == std::string::npos) return {tag, {}};
  return {tag.substr(0, blank), tag.substr(blank + 1)};
}

std::string upload_query(const std::string& id) { return "uploadId=" + http::percent_encode(id, false); }

Headers condition(const PutOptions& options) {
  return options.only_if_absent ? Conditions::absent() : Conditions::version(options.if_version, false);
}

std::uint64_t size_of(std::span<const Part> parts) {
  return parts.empty() ? 0 : parts.back().offset + parts.back().bytes;
}

/// The checksum that S3 gives the whole: that of the parts' checksums. Empty if it has none of some part.
std::string sum_of_sums(std::span<const Part> parts) {
  std::string sums;
  for (const Part& part : parts) {
    const std::string bytes = crc32c_bytes(split_tag(part.tag).crc32c);
    if (bytes.empty()) return {};
    sums += bytes;
  }
  return fmt::format("{}-{}", crc32c_text(crc32c(bytes_of(sums))), parts.size());
}

}  // namespace

BucketStore::UploadState BucketStore::state_of(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto found = uploads_.find(id);
  return found == uploads_.end() ? UploadState{} : found->second;
}

void BucketStore::remember(const std::string& id, const UploadState& state) {
  constexpr std::size_t kept = 256;
  std::lock_guard lock(mutex_);
  if (uploads_.insert_or_assign(id, state).second) remembered_.push_back(id);
  if (remembered_.size() <= kept) return;
  uploads_.erase(remembered_.front());
  remembered_.pop_front();
}

std::string BucketStore::begin_upload(std::string_view key, const PutOptions& options, const std::stop_token& stop) {
  Call call{.action = "CreateMultipartUpload",
            .method = "POST",
            .key = whole(key),
            .query = "uploads=",
            .headers = this->options().creation(options, session_.clock().wall())};
  if (!sends_checksums_) return upload_id(session_.expect(call, stop));
  Call with_sums = call;
  with_sums.headers.push_back({"x-amz-checksum-algorithm", "CRC32C"});
  Reply reply = session_.perform(with_sums, stop);
  if (is_not_implemented(reply.fault, reply.answer.status)) {
    reply = session_.perform(call, stop);
    if (reply.ok()) sends_checksums_ = false;
  }
  if (!reply.ok()) throw session_.error_of(call, reply);
  return upload_id(reply);
}

std::string BucketStore::upload_id(const Reply& reply) {
  std::string id = parse_upload_id(reply.answer.body);
  bucket_seen_ = true;
  return id;
}

Upload BucketStore::begin(std::string_view key, const PutOptions& options, std::stop_token stop) {
  check_put(stop, "begin", key, options);
  return {.key = std::string(key), .id = begin_upload(key, options, stop), .options = options};
}

Part BucketStore::put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) {
  check_stop(stop, "put_part", upload.key);
  if (part.number > most_parts) {
    throw Error(Errc::unsupported, fmt::format("{}: S3 takes at most {} parts; raise WALG_S3_MAX_PART_SIZE",
                                               label(upload.key), most_parts));
  }
  if (state_of(upload.id).aborted) {
    throw Error(Errc::not_found, fmt::format("{}: the upload was aborted", label(upload.key)));
  }
  Call call{.action = "UploadPart",
            .method = "PUT",
            .key = whole(upload.key),
            .query = fmt::format("partNumber={}&{}", part.number, upload_query(upload.id)),
            .headers = options().customer_key,
            .body = data,
            .await_continue = options().await_continue && data.size() >= ask_first_from};
  std::string sum;
  if (sends_checksums_) {
    sum = crc32c_text(crc32c(data));
    call.headers.push_back({"x-amz-checksum-crc32c", sum});
  }
  if (options().retention) call.headers.push_back({"Content-MD5", base64(bytes_of(md5(data)))});
  const Reply reply = session_.expect(call, stop);
  part.tag = bare_tag(reply.answer.header("etag"));
  if (part.tag.empty()) {
    throw Error(Errc::config,
                fmt::format("{}: part {} was answered with {}, but without an ETag: is {} an S3 service?",
                            label(upload.key), part.number, reply.answer.status, options().endpoint.description()));
  }
  // Only a server that repeats the checksum wants to hear of it again.
  if (!sum.empty() && reply.answer.header("x-amz-checksum-crc32c") == sum) part.tag += ' ' + sum;
  part.bytes = data.size();
  return part;
}

Reply BucketStore::send_completion(const Upload& upload, std::span<const Part> parts, const Headers& conditions,
                                   const std::stop_token& stop) {
  std::vector<CompletedPart> completed;
  completed.reserve(parts.size());
  for (const Part& part : parts) {
    PartTag tag = split_tag(part.tag);
    completed.push_back({.number = part.number, .etag = std::move(tag.etag), .crc32c = std::move(tag.crc32c)});
  }
  const std::string body = completion_request(completed);
  Call call{.action = "CompleteMultipartUpload",
            .method = "POST",
            .key = whole(upload.key),
            .query = upload_query(upload.id),
            .headers = options().customer_key,
            .body = bytes_of(body),
            .patience = std::chrono::minutes(1)};  // the parts of a large object take a while to join
  call.headers.push_back({"Content-Type", "application/xml"});
  call.headers.insert(call.headers.end(), conditions.begin(), conditions.end());
  Reply reply = session_.perform(call, stop);
  // The status was sent before the work was done: what came of it is in the body.
  if (reply.ok()) {
    reply.fault = parse_result(reply.answer.body).fault;
    if (!reply.fault.code.empty()) reply.answer.status = reply.fault.code == "PreconditionFailed" ? 412 : 500;
  }
  return reply;
}

Error BucketStore::failed(const Upload& upload, const Reply& reply) {
  return session_.error_of({.action = "CompleteMultipartUpload", .key = whole(upload.key)}, reply);
}

/// Is the object the one that these parts make? Its ETag tells; where that is no MD5, size and number of parts must do.
bool BucketStore::is_ours(const ObjectInfo& there, std::span<const Part> parts) const {
  if (there.bytes != size_of(parts)) return false;
  PartsTag tag;
  for (const Part& part : parts) tag.add(split_tag(part.tag).etag);
  const std::string wanted = options().opaque_tags() ? std::string() : tag.value();
  if (!wanted.empty()) return there.version == wanted;
  const std::size_t dash = there.version.rfind('-');
  return dash == std::string::npos || there.version.substr(dash + 1) == std::to_string(parts.size());
}

/// Confirms size and, where the server tells it, checksum.
void BucketStore::check_whole(const Upload& upload, std::span<const Part> parts, const std::stop_token& stop,
                              ObjectInfo& there) {
  Call call{.action = "HeadObject", .method = "HEAD", .key = whole(upload.key), .headers = options().customer_key};
  call.headers.push_back({"x-amz-checksum-mode", "ENABLED"});
  const Reply reply = session_.perform(call, stop);
  if (is_absent(call, reply, stop)) {
    throw Error(Errc::network, fmt::format("{}: completed, but not there to be seen", label(upload.key)));
  }
  if (!reply.ok()) throw session_.error_of(call, reply);
  there = described(upload.key, call, reply);
  if (there.bytes != size_of(parts)) {
    throw Error(Errc::corrupt,
                fmt::format("{}: {} bytes were put, the store has {}", label(upload.key), size_of(parts), there.bytes));
  }
  const std::string_view theirs = reply.answer.header("x-amz-checksum-crc32c");
  if (theirs.find('-') == std::string_view::npos) return;
  const std::string ours = sum_of_sums(parts);
  if (!ours.empty() && theirs != ours) {
    throw Error(Errc::corrupt, fmt::format("{}: parts of the checksum {} were put, the store has {}", label(upload.key),
                                           ours, theirs));
  }
}

PutResult BucketStore::finish(const Upload& upload, const ObjectInfo& there, bool was_created) {
  // An upload that was not wanted must not stay and be billed; one that was completed is no longer known.
  if (!was_created) abort(upload);
  PutResult result{.created = was_created, .object = there};
  remember(upload.id, {.finished = result, .aborted = false, .unsure = false});
  return result;
}

/// After a 412: true if the condition holds all the same, so that the server does not take it here.
bool BucketStore::condition_holds(const Upload& upload, const std::stop_token& stop) {
  const auto there = head(upload.key, stop);
  return upload.options.only_if_absent ? !there : there && there->version == upload.options.if_version;
}

PutResult BucketStore::complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) {
  check_stop(stop, "complete", upload.key);
  total_bytes(label(upload.key), parts);
  const UploadState state = state_of(upload.id);
  if (state.finished) return *state.finished;
  if (state.aborted) throw Error(Errc::not_found, fmt::format("{}: the upload was aborted", label(upload.key)));
  if (parts.empty()) throw Error(Errc::bug, fmt::format("{}: an upload without parts", label(upload.key)));
  for (const Part& part : parts) {
    if (!part.tag.empty()) continue;
    throw Error(Errc::bug,
                fmt::format("{}: part {} of {} bytes was not put", label(upload.key), part.number, part.bytes));
  }
  return complete_once(upload, parts, state.unsure, stop);
}

/// `unsure`: it was tried before and may have been done. Then what is there may be ours, whatever the condition.
PutResult BucketStore::complete_once(const Upload& upload, std::span<const Part> parts, bool unsure,
                                     const std::stop_token& stop) {
  const PutOptions& wanted = upload.options;
  const bool conditional = wanted.only_if_absent || !wanted.if_version.empty();
  std::optional<KeyTurns::Turn> turn;
  if (conditional) turn.emplace(turns_, upload.key, stop);
  while (true) {
    // Asked in any case: radosgw 16 completes whatever the headers say.
    if (conditional) {
      const auto there = head(upload.key, stop);
      if (unsure && there && is_ours(*there, parts)) return finish(upload, *there, true);
      if (wanted.only_if_absent && there) return finish(upload, *there, false);
      if (!wanted.if_version.empty()) require(upload.key, wanted, there);
    }
    const bool tell = conditional && conditions_.at_completion();
    remember(upload.id, {.finished = {}, .aborted = false, .unsure = true});
    const Reply reply = send_completion(upload, parts, tell ? condition(wanted) : Headers(), stop);
    if (reply.ok()) {
      ObjectInfo there;
      check_whole(upload, parts, stop, there);
      return finish(upload, there, true);
    }
    const int status = reply.answer.status;
    if (reply.fault.code == "NoSuchUpload" || (status == 404 && reply.fault.code != "NoSuchBucket")) {
      // Done by an earlier request whose answer was lost?
      const auto there = head(upload.key, stop);
      if (there && is_ours(*there, parts)) return finish(upload, *there, true);
      throw failed(upload, reply);
    }
    const bool unknown = is_not_implemented(reply.fault, status);
    if (!tell || (status != 412 && !unknown)) throw failed(upload, reply);
    if (unknown || condition_holds(upload, stop)) conditions_.refuse_at_completion();
  }
}

void BucketStore::abort(const Upload& upload) noexcept {
  constexpr unsigned attempts = 3;
  try {
    if (state_of(upload.id).finished) return;
    remember(upload.id, {.finished = {}, .aborted = true, .unsure = false});
    const Call call{.action = "AbortMultipartUpload",
                    .method = "DELETE",
                    .key = whole(upload.key),
                    .query = upload_query(upload.id)};
    // Nobody else repeats it, and parts that stay are billed.
    for (unsigned attempt = 1;; ++attempt) {
      try {
        const Reply reply = session_.perform(call, {});
        if (reply.ok() || reply.answer.status == 404) return;
        throw session_.error_of(call, reply);
      } catch (const Error& error) {
        if (attempt == attempts || !info(error.code()).retryable) throw;
        session_.clock().sleep(std::chrono::milliseconds(200) * attempt, {});
      }
    }
  } catch (const std::exception& error) {
    try {
      session_.log().warning(
          "{}: the upload was not aborted, its parts stay until a rule of the bucket removes them: {}",
          label(upload.key), error.what());
    } catch (...) {
      // Out of memory, while nothing may be thrown: the warning is lost.
      return;
    }
  }
}

}  // namespace seawall::storage::s3
