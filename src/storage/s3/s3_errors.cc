#include "storage/s3/s3_errors.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::storage::s3 {
namespace {

struct Row {
  std::string_view code;
  Errc errc;
  std::string_view advice;  ///< what to try; {action}, {endpoint} and {credentials} are filled in
};

constexpr std::string_view see_prefix = "create the bucket, or correct WALG_S3_PREFIX or AWS_ENDPOINT";
constexpr std::string_view see_keys =
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile ({credentials})";
constexpr std::string_view see_token = "the temporary credentials of {credentials} are no longer good; get new ones";
constexpr std::string_view see_policy = "allow s3:{action} to the credentials of {credentials}";
constexpr std::string_view see_region = "set AWS_REGION to the bucket's region";
constexpr std::string_view see_store = "extend the quota or the store, or delete what is no longer needed";
constexpr std::string_view damaged = "the bytes were changed on their way";

constexpr auto by_code = std::to_array<Row>({
    {"NoSuchBucket", Errc::config, see_prefix},
    {"InvalidBucketName", Errc::config, "correct the bucket's name in WALG_S3_PREFIX"},
    {"NoSuchKey", Errc::not_found, ""},
    {"NoSuchVersion", Errc::not_found, ""},
    {"NoSuchUpload", Errc::not_found, "it was aborted, or a rule of the bucket removed its parts"},
    {"AccessDenied", Errc::denied, see_policy},
    {"AllAccessDisabled", Errc::denied, see_policy},
    {"AccountProblem", Errc::denied, "ask the provider about the account"},
    {"UserSuspended", Errc::denied, "ask the provider about the account"},
    {"NotSignedUp", Errc::denied, "ask the provider about the account"},
    {"InvalidAccessKeyId", Errc::denied, see_keys},
    {"SignatureDoesNotMatch", Errc::denied, see_keys},
    {"InvalidSecurity", Errc::denied, see_keys},
    {"InvalidToken", Errc::denied, see_token},
    {"ExpiredToken", Errc::denied, see_token},
    {"ExpiredTokenException", Errc::denied, see_token},
    {"TokenRefreshRequired", Errc::denied, see_token},
    {"RequestTimeTooSkewed", Errc::config, "set this machine's clock: NTP"},
    {"RequestExpired", Errc::config, "set this machine's clock: NTP"},
    {"AuthorizationHeaderMalformed", Errc::config, see_region},
    {"PermanentRedirect", Errc::config, "set AWS_REGION or AWS_ENDPOINT to where the bucket is"},
    {"TemporaryRedirect", Errc::config, "set AWS_REGION or AWS_ENDPOINT to where the bucket is"},
    {"Redirect", Errc::config, "set AWS_REGION or AWS_ENDPOINT to where the bucket is"},
    {"SlowDown", Errc::throttled, ""},
    {"SlowDownRead", Errc::throttled, ""},
    {"SlowDownWrite", Errc::throttled, ""},
    {"ServiceUnavailable", Errc::throttled, ""},
    {"Throttling", Errc::throttled, ""},
    {"ThrottlingException", Errc::throttled, ""},
    {"RequestThrottled", Errc::throttled, ""},
    {"RequestLimitExceeded", Errc::throttled, ""},
    {"BandwidthLimitExceeded", Errc::throttled, ""},
    {"TooManyRequests", Errc::throttled, ""},
    {"Busy", Errc::throttled, ""},
    {"InternalError", Errc::network, ""},
    {"InternalFailure", Errc::network, ""},
    {"OperationAborted", Errc::network, "another operation on the same name is under way"},
    {"ConditionalRequestConflict", Errc::network, "another operation on the same name is under way"},
    {"IncompleteBody", Errc::network, ""},
    {"RequestTimeout", Errc::timeout, ""},
    {"BadDigest", Errc::network, damaged},
    {"InvalidDigest", Errc::network, damaged},
    {"XAmzContentSHA256Mismatch", Errc::network, damaged},
    {"EntityTooLarge", Errc::config, "lower WALG_S3_MAX_PART_SIZE: the server takes no body of this size"},
    {"EntityTooSmall", Errc::usage, "every part but the last has at least 5 MiB"},
    {"InvalidPart", Errc::bug, ""},
    {"InvalidPartOrder", Errc::bug, ""},
    {"InvalidStorageClass", Errc::config, "correct WALG_S3_STORAGE_CLASS, or unset it"},
    {"InvalidEncryptionAlgorithmError", Errc::config, "correct WALG_S3_SSE"},
    {"InvalidObjectState", Errc::unsupported, "it lies in an archive class; have the service bring it back first"},
    {"ObjectLocked", Errc::denied, "its retention has not ended"},
    {"PreconditionFailed", Errc::differs, ""},
    {"MethodNotAllowed", Errc::unsupported, ""},
    {"NotImplemented", Errc::unsupported, "the server does not have what the settings ask for"},
    {"QuotaExceeded", Errc::no_space, see_store},
    {"QuotaFull", Errc::no_space, see_store},
    {"InsufficientCapacity", Errc::no_space, see_store},
    {"XMinioStorageFull", Errc::no_space, see_store},
    {"NotEnoughSpace", Errc::no_space, see_store},
    {"KeyTooLongError", Errc::config, "shorten the path in WALG_S3_PREFIX"},
    {"MissingSecurityHeader", Errc::config, ""},
});

Errc by_status(int status) noexcept {
  if (status == 401 || status == 403) return Errc::denied;
  // What S3 does not have, it names; of a 404 of somebody else nothing follows.
  if (status == 404) return Errc::config;
  if (status == 405 || status == 501) return Errc::unsupported;
  if (status == 408) return Errc::timeout;
  if (status == 412) return Errc::differs;
  if (status == 429 || status == 503) return Errc::throttled;
  if (status == 507) return Errc::no_space;
  if (status == 409 || status == 499 || status >= 500) return Errc::network;
  return Errc::config;
}

const Row* row_of(std::string_view code) noexcept {
  const auto* const found =
      std::find_if(by_code.begin(), by_code.end(), [&](const Row& row) { return row.code == code; });
  return found == by_code.end() ? nullptr : &*found;
}

/// What a policy has to allow: some requests have no permission of their own.
std::string_view permission_for(std::string_view action) {
  if (action == "HeadObject") return "GetObject";
  constexpr std::array<std::string_view, 5> writes{"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload",
                                                   "CopyObject", "UploadPartCopy"};
  return std::find(writes.begin(), writes.end(), action) == writes.end() ? action : "PutObject";
}

std::string filled_in(std::string_view advice, const Asked& asked) {
  std::string text(advice);
  for (const auto& [mark, value] :
       {std::pair<std::string_view, std::string_view>{"{action}", permission_for(asked.action)},
        {"{endpoint}", asked.endpoint},
        {"{credentials}", asked.credentials}}) {
    if (const auto at = text.find(mark); at != std::string::npos) text.replace(at, mark.size(), value);
  }
  return text;
}

/// What the server said, on one line of bounded length.
std::string one_line(std::string_view message) {
  constexpr std::size_t longest = 300;
  std::string text(message.substr(0, longest));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

std::string skew_text(const http::Answer& answer, Time now) {
  const auto theirs = parse_http_time(answer.header("date"));
  if (!theirs) return {};
  const auto behind = std::chrono::duration_cast<std::chrono::seconds>(*theirs - now);
  return fmt::format("; this machine's clock says {}, the server's {}: {} {}", rfc3339(now), rfc3339(*theirs),
                     duration_text(std::chrono::abs(behind)), behind.count() >= 0 ? "behind" : "ahead");
}

/// What else there is to say of a code.
std::string particulars(std::string_view code, const Fault& fault, const http::Answer& answer, const Asked& asked,
                        Time now) {
  if (code == "RequestTimeTooSkewed" || code == "RequestExpired") return skew_text(answer, now);
  const std::string_view theirs = fault.region.empty() ? answer.header("x-amz-bucket-region") : fault.region;
  if (!theirs.empty() && theirs != asked.region) {
    return fmt::format("; the bucket is in region '{}', the request was signed for '{}'", one_line(theirs),
                       asked.region);
  }
  const bool reads = asked.action == "GetObject" || asked.action == "HeadObject";
  if (reads && errc_of(code, answer.status) == Errc::denied && (code.empty() || code == "AccessDenied")) {
    return "; without s3:ListBucket the same is said of objects that do not exist";
  }
  return {};
}

}  // namespace

Errc errc_of(std::string_view code, int status) noexcept {
  const Row* row = row_of(code);
  return row != nullptr ? row->errc : by_status(status);
}

bool asks_for_other_credentials(const Fault& fault) noexcept {
  static constexpr std::array<std::string_view, 6> codes{"ExpiredToken",         "ExpiredTokenException",
                                                         "InvalidToken",         "InvalidAccessKeyId",
                                                         "TokenRefreshRequired", "RequestExpired"};
  return std::find(codes.begin(), codes.end(), fault.code) != codes.end();
}

bool is_not_implemented(const Fault& fault, int status) noexcept {
  return fault.code == "NotImplemented" || (status == 501 && fault.code.empty());
}

std::optional<std::chrono::nanoseconds> retry_delay(std::string_view header, Time now) {
  constexpr std::uint64_t longest = std::uint64_t{24} * 60 * 60;
  header = trim(header);
  if (const auto seconds = parse_int<std::uint64_t>(header)) {
    return std::chrono::seconds(std::min(*seconds, longest));
  }
  const auto until = parse_http_time(header);
  if (!until) return std::nullopt;
  return std::clamp<std::chrono::nanoseconds>(*until - now, std::chrono::nanoseconds(0), std::chrono::seconds(longest));
}

Error error_of(const Fault& fault, const http::Answer& answer, const Asked& asked, Time now) {
  std::string_view code = fault.code;
  // Answers to HEAD have no body.
  if (code.empty() && (answer.status == 301 || answer.status == 307)) code = "PermanentRedirect";
  const Row* row = row_of(code);
  const Errc errc = errc_of(code, answer.status);
  std::string text = fmt::format("{}: s3:{} was answered with {}", asked.label, asked.action, answer.status);
  if (!fault.code.empty()) text += fmt::format(" {}", one_line(fault.code));
  if (!fault.message.empty()) text += fmt::format(" ({})", one_line(fault.message));
  text += particulars(code, fault, answer, asked, now);
  std::string advice = row != nullptr ? filled_in(row->advice, asked) : "";
  if (row == nullptr && errc == Errc::denied) advice = filled_in(see_policy, asked);
  if (fault.code.empty() && !answer.body.empty() && answer.status < 500) {
    advice = fmt::format("this is not how S3 answers: is {} an S3 service?", asked.endpoint);
  }
  if (!advice.empty()) text += fmt::format("; {}", advice);
  Error error(errc, std::move(text));
  if (const auto delay = retry_delay(answer.header("retry-after"), now)) error.retry_after(*delay);
  return error;
}

}  // namespace seawall::storage::s3
