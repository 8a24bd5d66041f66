#include "storage/s3/session.hh"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/error.hh"
#include "base/text.hh"
#include "storage/s3/s3_errors.hh"
#include "storage/s3/signer.hh"

namespace seawall::storage::s3 {
namespace {

constexpr std::size_t longest_refusal = 64 << 10;
constexpr std::string_view default_region = "us-east-1";

/// What a server says becomes part of a host's name and of a signature.
bool is_region(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

/// An answer that broke off: http calls what came of it damaged, but it can be asked for again.
[[noreturn]] void rethrow_broken(const Error& error) {
  if (error.code() == Errc::corrupt) throw Error(Errc::network, error.what());
  throw error;
}

std::string read_text(Source& from, std::size_t limit) {
  std::string text(limit, '\0');
  text.resize(read_full(from, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace

/// What is made with the first request.
struct Session::Live {
  http::Client client;
  std::unique_ptr<CredentialProvider> credentials;
};

/// A request on its way, and what has been put right for it.
struct Session::Attempt {
  http::Request request;
  Credentials credentials;
  std::string region;
  std::string_view action;
  bool region_repaired = false;
  bool credentials_repaired = false;
};

Session::Session(Options options, Lookup lookup, Clock& clock, Log& log)
    : options_(std::move(options)), lookup_(std::move(lookup)), clock_(clock), log_(log) {}

Session::~Session() = default;

std::string Session::label(std::string_view key) const { return fmt::format("s3://{}/{}", options_.place.bucket, key); }

Session::Live& Session::live() {
  std::lock_guard lock(mutex_);
  if (!live_) {
    region_ = options_.region;
    if (region_.empty()) region_ = configured_region(lookup_).value_or("");
    live_ = std::unique_ptr<Live>(new Live{.client = http::Client({.ca_file = options_.ca_file}), .credentials = {}});
    live_->credentials = make_credentials(lookup_, region_, live_->client, clock_, log_);
  }
  return *live_;
}

/// Amazon names the bucket's region in a header of whatever it answers, even to those who may not ask.
std::string Session::discovered_region(const std::stop_token& stop) {
  http::Request request{.method = "HEAD", .url = options_.endpoint.url(default_region, "")};
  const http::Answer answer = live().client.perform(request, stop);
  const std::string_view named = answer.header("x-amz-bucket-region");
  return std::string(is_region(named) ? named : default_region);
}

std::string Session::region(const std::stop_token& stop) {
  {
    std::lock_guard lock(mutex_);
    if (!region_.empty()) return region_;
  }
  std::string found = options_.endpoint.is_amazon() ? discovered_region(stop) : std::string(default_region);
  std::lock_guard lock(mutex_);
  if (region_.empty()) region_ = std::move(found);
  return region_;
}

/// "host:port" to connect to, or nothing. Asked again every few seconds, not for each request: the connections to a
/// node would be lost with every change.
std::string Session::node(const std::stop_token& stop) {
  constexpr std::chrono::seconds lifetime(10);
  if (options_.node_source.empty()) return {};
  {
    std::lock_guard lock(mutex_);
    if (node_until_ && clock_.steady() < *node_until_) return node_;
  }
  std::string host;
  try {
    const http::Request request{.url = options_.node_source, .headers = {{"Connection", "close"}}};
    const http::Answer answer = live().client.perform(request, stop, longest_refusal);
    const std::string_view named = trim(answer.body);
    const bool good = answer.status == 200 && !named.empty() && named.size() < 256 &&
                      named.find_first_of(" /@\r\n\t") == std::string_view::npos;
    if (good) {
      const bool bare_ipv6 = named.find(':') != std::string_view::npos && !named.starts_with('[');
      host = bare_ipv6 ? fmt::format("[{}]:{}", named, options_.node_port)
                       : fmt::format("{}:{}", named, options_.node_port);
    } else {
      log_.warning("WALG_S3_ENDPOINT_SOURCE answered with {} and no host; {} is used", answer.status,
                   options_.endpoint.description());
    }
  } catch (const Error& error) {
    if (error.code() == Errc::cancelled) throw;
    log_.warning("WALG_S3_ENDPOINT_SOURCE: {}; {} is used", error.what(), options_.endpoint.description());
  }
  std::lock_guard lock(mutex_);
  node_ = std::move(host);
  node_until_ = clock_.steady() + lifetime;
  return node_;
}

void Session::forget_node() {
  std::lock_guard lock(mutex_);
  node_until_.reset();
}

Session::Attempt Session::prepare(const Call& call, const std::stop_token& stop) {
  Live& live = this->live();
  Attempt attempt{.request = {.method = call.method,
                              .url = {},
                              .headers = options_.every,
                              .body = call.body,
                              .await_continue = call.await_continue,
                              .patience = call.patience,
                              .connect_to = node(stop)},
                  .credentials = live.credentials->get(stop),
                  .region = region(stop),
                  .action = call.action};
  const Endpoint endpoint = options_.endpoint_through(attempt.request.connect_to);
  attempt.request.url = endpoint.url(attempt.region, call.key);
  if (!call.query.empty()) attempt.request.url.append(1, '?').append(call.query);
  attempt.request.headers.insert(attempt.request.headers.end(), call.headers.begin(), call.headers.end());
  if (options_.subject_token && !attempt.credentials.session_token.empty()) {
    attempt.request.headers.push_back({"X-YaCloud-SubjectToken", attempt.credentials.session_token});
  }
  sign(attempt.request, attempt.credentials, attempt.region, "s3", clock_.wall(),
       endpoint.tls() ? Payload::unsigned_body : Payload::hashed);
  return attempt;
}

/// True if the same request may do better now.
bool Session::repair(Attempt& attempt, const Reply& reply) {
  const std::string_view header = reply.answer.header("x-amz-bucket-region");
  const std::string named(header.empty() ? std::string_view(reply.fault.region) : header);
  const bool elsewhere = reply.answer.status == 301 || reply.answer.status == 307 || reply.answer.status == 400;
  if (elsewhere && !attempt.region_repaired && named != attempt.region && is_region(named)) {
    attempt.region_repaired = true;
    log_.info("the bucket {} is in region {}, not {}; set AWS_REGION to spare a request", options_.place.bucket, named,
              attempt.region);
    std::lock_guard lock(mutex_);
    region_ = named;
    return true;
  }
  // HEAD has no body that could say more than 400.
  const bool stale =
      asks_for_other_credentials(reply.fault) || (attempt.request.method == "HEAD" && reply.answer.status == 400);
  if (stale && !attempt.credentials_repaired && live().credentials->reject(attempt.credentials)) {
    attempt.credentials_repaired = true;
    return true;
  }
  return false;
}

void Session::log_request(const Attempt& attempt, const Reply& reply) {
  if (!options_.log_requests) return;
  const std::string_view url = attempt.request.url;
  log_.info("s3:{} {} {}: {}{}{}", attempt.action, attempt.request.method, url.substr(0, url.find('?')),
            reply.answer.status, reply.fault.code.empty() ? "" : " ", reply.fault.code);
}

/// Asks for one key of the bucket before anything else, if that is wished.
void Session::validate(const std::stop_token& stop) {
  if (!options_.validate || validated_.exchange(true)) return;
  try {
    expect({.action = "ListBucket", .query = "max-keys=1"}, stop);
  } catch (...) {
    validated_ = false;
    throw;
  }
}

Reply Session::perform(const Call& call, const std::stop_token& stop) {
  validate(stop);
  Attempt before;
  Reply reply;
  while (true) {
    Attempt attempt = prepare(call, stop);
    attempt.region_repaired = before.region_repaired;
    attempt.credentials_repaired = before.credentials_repaired;
    reply = {.answer = {}, .region = attempt.region};
    try {
      reply.answer = live().client.perform(attempt.request, stop);
    } catch (const Error& error) {
      forget_node();
      rethrow_broken(error);
    }
    if (!reply.ok()) reply.fault = parse_fault(reply.answer.body);
    log_request(attempt, reply);
    if (reply.ok()) return reply;
    if (!repair(attempt, reply)) break;
    before = std::move(attempt);
  }
  const int status = reply.answer.status;
  if (call.method != "HEAD" || call.key.empty() || (status != 400 && status != 403)) return reply;
  // Its answer has no body that could tell a wrong key from a clock or from a missing permission. By GET it has.
  Call aloud = call;
  aloud.method = "GET";
  aloud.headers.push_back({"Range", "bytes=0-0"});
  Reply said;
  open(aloud, said, stop);
  return said.answer.status == status ? said : reply;
}

std::unique_ptr<http::Download> Session::open(const Call& call, Reply& reply, const std::stop_token& stop) {
  validate(stop);
  Attempt before;
  while (true) {
    Attempt attempt = prepare(call, stop);
    attempt.region_repaired = before.region_repaired;
    attempt.credentials_repaired = before.credentials_repaired;
    reply = {.answer = {}, .region = attempt.region};
    std::unique_ptr<http::Download> download;
    try {
      download = live().client.open(attempt.request, stop);
      reply.answer = download->answer();
      if (!reply.ok()) reply.answer.body = read_text(*download, longest_refusal);
    } catch (const Error& error) {
      forget_node();
      rethrow_broken(error);
    }
    if (!reply.ok()) reply.fault = parse_fault(reply.answer.body);
    log_request(attempt, reply);
    if (reply.ok()) return download;
    if (!repair(attempt, reply)) return nullptr;
    before = std::move(attempt);
  }
}

Reply Session::expect(const Call& call, const std::stop_token& stop) {
  Reply reply = perform(call, stop);
  if (!reply.ok()) throw error_of(call, reply);
  return reply;
}

Error Session::error_of(const Call& call, const Reply& reply) {
  return s3::error_of(reply.fault, reply.answer,
                      {.action = call.action,
                       .label = label(call.key),
                       .endpoint = options_.endpoint.description(),
                       .credentials = live().credentials->description(),
                       .region = reply.region},
                      clock_.wall());
}

}  // namespace seawall::storage::s3
