#include "storage/s3/options.hh"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "storage/s3/checksums.hh"

namespace seawall::storage::s3 {
namespace {

constexpr std::uint64_t least_part = std::uint64_t{5} << 20;
constexpr std::uint64_t most_part = std::uint64_t{5} << 30;

[[noreturn]] void refuse(std::string_view why) { throw Error(Errc::config, std::string(why)); }

[[noreturn]] void refuse_headers(std::string_view why) {
  refuse(fmt::format("WALG_S3_REQUEST_ADDITIONAL_HEADERS: {}", why));
}

bool is_header_name(std::string_view name) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           marks.find(c) != std::string_view::npos;
  });
}

void append(Headers& into, const YAML::Node& map) {
  if (!map.IsMap()) refuse_headers("a map of names and values, or a list of such maps, is expected");
  for (const auto& pair : map) {
    if (!pair.first.IsScalar() || !pair.second.IsScalar()) refuse_headers("names and values are plain texts");
    http::Header header{pair.first.Scalar(), pair.second.Scalar()};
    if (!is_header_name(header.name)) refuse_headers(fmt::format("'{}' is no name of a header", header.name));
    const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\t'; };
    if (std::any_of(header.value.begin(), header.value.end(), control)) {
      refuse_headers(fmt::format("the value of {} holds a line break or another control character", header.name));
    }
    // As a map would have it: the last of one name counts.
    std::erase_if(into, [&](const http::Header& other) { return lower(other.name) == lower(header.name); });
    into.push_back(std::move(header));
  }
}

void read_encryption(const S3Settings& settings, Options& options) {
  const std::string& algorithm = settings.sse();
  const std::string& key = settings.sse_c();
  const std::string& kms = settings.sse_kms_id();
  const bool by_kms = algorithm.starts_with("aws:kms");
  if (by_kms && kms.empty()) refuse("WALG_S3_SSE=aws:kms needs WALG_S3_SSE_KMS_ID, the key's identifier");
  if (!by_kms && !kms.empty()) refuse("WALG_S3_SSE_KMS_ID is used with WALG_S3_SSE=aws:kms only; set both or none");
  if (key.empty()) {
    if (algorithm.empty()) return;
    options.encryption.push_back({"x-amz-server-side-encryption", algorithm});
    if (by_kms) options.encryption.push_back({"x-amz-server-side-encryption-aws-kms-key-id", kms});
    return;
  }
  if (algorithm != "AES256") refuse("WALG_S3_SSE_C is set: WALG_S3_SSE must name its algorithm, AES256");
  if (key.size() != 32) {
    refuse(fmt::format("WALG_S3_SSE_C: a key of 32 bytes, as they are, is expected; it has {}", key.size()));
  }
  if (!options.endpoint.tls() || (!options.node_source.empty() && options.node_scheme == "http")) {
    refuse(fmt::format("WALG_S3_SSE_C: the key would travel in clear text to {}; use https",
                       options.endpoint.description()));
  }
  for (const auto& [prefix, headers] :
       {std::pair{"x-amz-server-side-encryption-customer-", &options.customer_key},
        std::pair{"x-amz-copy-source-server-side-encryption-customer-", &options.customer_key_source}}) {
    headers->push_back({std::string(prefix) + "algorithm", algorithm});
    headers->push_back({std::string(prefix) + "key", base64(bytes_of(key))});
    headers->push_back({std::string(prefix) + "key-MD5", base64(bytes_of(md5(bytes_of(key))))});
  }
}

void read_retention(const S3Settings& settings, Options& options) {
  options.retention_mode = upper(settings.retention_mode());
  if (options.retention_mode.empty()) options.retention_mode = "GOVERNANCE";
  if (options.retention_mode != "GOVERNANCE" && options.retention_mode != "COMPLIANCE") {
    refuse(fmt::format("WALG_S3_RETENTION_MODE is '{}'; GOVERNANCE and COMPLIANCE are possible",
                       settings.retention_mode()));
  }
  if (settings.retention_period() >= 0) options.retention = std::chrono::seconds(settings.retention_period());
}

void read_nodes(const S3Settings& settings, Options& options) {
  options.node_source = settings.endpoint_source();
  options.node_port = settings.endpoint_port();
  options.node_scheme = lower(settings.endpoint_protocol());
  if (options.node_scheme.empty() || options.node_scheme == "http" || options.node_scheme == "https") return;
  refuse(fmt::format("WALG_S3_ENDPOINT_PROTOCOL is '{}'; http and https are possible", settings.endpoint_protocol()));
}

}  // namespace

Headers parse_headers(std::string_view yaml) {
  Headers headers;
  if (trim(yaml).empty()) return headers;
  try {
    const YAML::Node node = YAML::Load(std::string(yaml));
    if (!node.IsSequence()) {
      append(headers, node);
      return headers;
    }
    for (const auto& map : node) append(headers, map);
  } catch (const YAML::Exception&) {
    // Its message quotes the text.
    refuse_headers("this is no YAML");
  }
  return headers;
}

Endpoint Options::endpoint_through(std::string_view node) const {
  return node.empty() || node_scheme.empty() ? endpoint : endpoint.with_scheme(node_scheme);
}

Headers Options::creation(const PutOptions& put, Time now) const {
  Headers headers = encryption;
  headers.insert(headers.end(), customer_key.begin(), customer_key.end());
  const std::string& wanted = put.storage_class.empty() ? storage_class : put.storage_class;
  if (!wanted.empty()) headers.push_back({"x-amz-storage-class", wanted});
  if (retention) {
    headers.push_back({"x-amz-object-lock-mode", retention_mode});
    headers.push_back({"x-amz-object-lock-retain-until-date", rfc3339(now + *retention)});
  }
  return headers;
}

bool Options::opaque_tags() const noexcept {
  return !customer_key.empty() || std::any_of(encryption.begin(), encryption.end(), [](const http::Header& header) {
    return header.value.starts_with("aws:kms");
  });
}

Options read_options(const S3Settings& settings) {
  Place place = parse_prefix(settings.prefix());
  Endpoint endpoint(settings, place.bucket);
  Options options{.place = std::move(place), .endpoint = std::move(endpoint)};
  read_nodes(settings, options);
  read_encryption(settings, options);
  read_retention(settings, options);
  options.region = settings.region();
  options.ca_file = settings.ca_cert_file().empty() ? settings.ca_bundle() : settings.ca_cert_file();
  options.every = parse_headers(settings.additional_headers());
  options.storage_class = settings.storage_class();
  options.most_part_bytes = settings.max_part_size().bytes;
  if (options.most_part_bytes != 0 && (options.most_part_bytes < least_part || options.most_part_bytes > most_part)) {
    refuse(fmt::format("WALG_S3_MAX_PART_SIZE is {}; S3 takes parts of {} (5 MiB) to {} (5 GiB)",
                       options.most_part_bytes, least_part, most_part));
  }
  options.upload_concurrency = settings.upload_concurrency();
  const int batch = settings.delete_batch_size();
  if (batch > 0) options.delete_batch = std::min<std::size_t>(static_cast<std::size_t>(batch), 1000);
  options.validate = !settings.skip_validation();
  options.list_v1 = settings.use_list_objects_v1();
  const std::string versioning = lower(settings.enable_versioning());
  if (!versioning.empty() && versioning != "enabled" && versioning != "disabled") {
    refuse(fmt::format("WALG_S3_ENABLE_VERSIONING is '{}'; enabled and disabled are possible",
                       settings.enable_versioning()));
  }
  options.remove_versions = versioning == "enabled";
  options.await_continue = !settings.disable_100_continue();
  options.subject_token = settings.use_yc_session_token();
  options.log_requests = settings.log_level() == "DEVEL";
  return options;
}

}  // namespace seawall::storage::s3
