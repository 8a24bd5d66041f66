#pragma once

#include <string>

#include "config/setting.hh"

namespace seawall::storage::s3 {

/// What WAL-G's users tell of their S3 storage, under WAL-G's names. Credentials are not settings: they are looked up
/// when the first request needs them (credentials.hh).
struct S3Settings : config::Group {
  config::Setting<std::string> prefix{
      *this,
      {.name = "WALG_S3_PREFIX",
       .aliases = {"WALE_S3_PREFIX"},
       .doc = "Where the archive is kept: s3://bucket/path. Give each cluster its own."}};
  config::Setting<std::string> endpoint{
      *this,
      {.name = "AWS_ENDPOINT",
       .doc = "URL of an S3 service other than Amazon's: https://s3.example.net:9000; https without a scheme."}};
  config::Setting<std::string> wale_endpoint{
      *this,
      {.name = "WALE_S3_ENDPOINT",
       .doc = "WAL-E's way to write AWS_ENDPOINT, which comes first: https+path://host:port, with http or https, and "
              "path, virtualhost or subdomain for where the bucket's name goes."}};
  config::Setting<std::string> region{
      *this,
      {.name = "AWS_REGION",
       .aliases = {"AWS_DEFAULT_REGION"},
       .doc = "Region of the bucket. Without it Amazon is asked, and us-east-1 taken for other services."}};
  config::Setting<bool> force_path_style{
      *this,
      {.name = "AWS_S3_FORCE_PATH_STYLE",
       .doc = "Put the bucket's name into the path and not in front of the host's name. Done without being told where "
              "the host is an IP address, and where the bucket's name cannot be part of a host's."}};
  config::Setting<bool> dual_stack{
      *this, {.name = "AWS_DUAL_STACK", .doc = "Use Amazon's host names that answer on IPv6 as well."}};
  config::Setting<std::string> ca_cert_file{*this,
                                            {.name = "WALG_S3_CA_CERT_FILE",
                                             .aliases = {"WALE_S3_CA_CERT_FILE", "S3_CA_CERT_FILE"},
                                             .doc = "File of certificates to trust instead of the system's.",
                                             .kind = "path"}};
  config::Setting<std::string> ca_bundle{
      *this,
      {.name = "AWS_CA_BUNDLE",
       .doc = "The same for all of Amazon's tools; WALG_S3_CA_CERT_FILE comes first.",
       .kind = "path"}};
  config::Setting<bool> skip_validation{
      *this,
      {.name = "WALG_S3_SKIP_VALIDATION",
       .aliases = {"WALE_S3_SKIP_VALIDATION", "S3_SKIP_VALIDATION"},
       .initial = true,
       .doc = "false: before its first request a command lists one object, to see that bucket and keys are right."}};
  config::Setting<std::string> storage_class{
      *this,
      {.name = "WALG_S3_STORAGE_CLASS",
       .aliases = {"WALE_S3_STORAGE_CLASS", "S3_STORAGE_CLASS"},
       .doc = "Storage class of new objects: STANDARD_IA, INTELLIGENT_TIERING. The bucket's own without it."}};
  config::Setting<std::string> sse{
      *this,
      {.name = "WALG_S3_SSE",
       .aliases = {"WALE_S3_SSE", "S3_SSE"},
       .doc = "How the service encrypts new objects: AES256, or aws:kms with WALG_S3_SSE_KMS_ID. With WALG_S3_SSE_C, "
              "the algorithm of the customer's key."}};
  config::Setting<std::string> sse_c{
      *this,
      {.name = "WALG_S3_SSE_C",
       .aliases = {"WALE_S3_SSE_C", "S3_SSE_C"},
       .secret = true,
       .doc = "The customer's key that the service encrypts objects with and then forgets: 32 bytes, as they are. Over "
              "TLS only, and with WALG_S3_SSE=AES256."}};
  config::Setting<std::string> sse_kms_id{*this,
                                          {.name = "WALG_S3_SSE_KMS_ID",
                                           .aliases = {"WALE_S3_SSE_KMS_ID", "S3_SSE_KMS_ID"},
                                           .doc = "The key service's key; with WALG_S3_SSE=aws:kms only."}};
  config::Setting<config::ByteSize> max_part_size{
      *this,
      {.name = "WALG_S3_MAX_PART_SIZE",
       .aliases = {"WALE_S3_MAX_PART_SIZE", "S3_MAX_PART_SIZE"},
       .doc = "Ceiling of the size that uploads begin with; at least 5mb. Without it parts of 8mb, or as much larger "
              "as the 10,000 parts that S3 takes demand."}};
  config::Setting<unsigned> upload_concurrency{
      *this,
      {.name = "WALG_UPLOAD_CONCURRENCY",
       .aliases = {"UPLOAD_CONCURRENCY"},
       .initial = 16,
       .range = {{1, 1024}},
       .doc = "Ceiling of uploads at once: of parts of a backup, and of WAL files next to the one being pushed."}};
  config::Setting<unsigned> max_retries{*this,
                                        {.name = "WALG_S3_MAX_RETRIES",
                                         .aliases = {"WALE_S3_MAX_RETRIES", "S3_MAX_RETRIES"},
                                         .initial = 15,
                                         .doc = "How often a failed request is repeated at most; 0 never."}};
  config::Setting<unsigned> min_throttling_retry_delay{
      *this,
      {.name = "WALG_S3_MIN_THROTTLING_RETRY_DELAY",
       .aliases = {"WALE_S3_MIN_THROTTLING_RETRY_DELAY", "S3_MIN_THROTTLING_RETRY_DELAY"},
       .initial = 500,
       .doc = "First wait, in milliseconds, after being asked to slow down."}};
  config::Setting<unsigned> max_throttling_retry_delay{
      *this,
      {.name = "WALG_S3_MAX_THROTTLING_RETRY_DELAY",
       .aliases = {"WALE_S3_MAX_THROTTLING_RETRY_DELAY", "S3_MAX_THROTTLING_RETRY_DELAY"},
       .initial = 300000,
       .doc = "Longest wait, in milliseconds, after being asked to slow down."}};
  config::Setting<bool> use_list_objects_v1{
      *this,
      {.name = "WALG_S3_USE_LIST_OBJECTS_V1",
       .aliases = {"WALE_S3_USE_LIST_OBJECTS_V1", "S3_USE_LIST_OBJECTS_V1"},
       .doc = "List with the older of S3's two requests, for services that do not know the newer."}};
  config::Setting<bool> range_batch_enabled{
      *this,
      {.name = "WALG_S3_RANGE_BATCH_ENABLED",
       .aliases = {"WALE_S3_RANGE_BATCH_ENABLED", "S3_RANGE_BATCH_ENABLED"},
       .doc =
           "Accepted; a broken read always goes on where it was, and makes sure that the object is still the same."}};
  config::Setting<unsigned> range_max_retries{
      *this,
      {.name = "WALG_S3_RANGE_MAX_RETRIES",
       .aliases = {"WALE_S3_RANGE_MAX_RETRIES", "S3_RANGE_MAX_RETRIES"},
       .initial = 10,
       .doc = "Accepted; how often a broken read is continued is bounded by WALG_S3_MAX_RETRIES."}};
  config::Setting<std::string> endpoint_source{
      *this,
      {.name = "WALG_S3_ENDPOINT_SOURCE",
       .aliases = {"WALE_S3_ENDPOINT_SOURCE", "S3_ENDPOINT_SOURCE"},
       .doc = "URL that answers with the host to connect to, past a load balancer; AWS_ENDPOINT stays the name that is "
              "asked for, and is used where this URL does not answer."}};
  config::Setting<unsigned> endpoint_port{*this,
                                          {.name = "WALG_S3_ENDPOINT_PORT",
                                           .aliases = {"WALE_S3_ENDPOINT_PORT", "S3_ENDPOINT_PORT"},
                                           .initial = 443,
                                           .range = {{1, 65535}},
                                           .doc = "Port of the host that WALG_S3_ENDPOINT_SOURCE told."}};
  config::Setting<std::string> endpoint_protocol{
      *this,
      {.name = "WALG_S3_ENDPOINT_PROTOCOL",
       .aliases = {"WALE_S3_ENDPOINT_PROTOCOL", "S3_ENDPOINT_PROTOCOL"},
       .doc = "http or https, for the host that WALG_S3_ENDPOINT_SOURCE told; AWS_ENDPOINT's without it."}};
  config::Setting<std::string> additional_headers{
      *this,
      {.name = "WALG_S3_REQUEST_ADDITIONAL_HEADERS",
       .aliases = {"WALE_S3_REQUEST_ADDITIONAL_HEADERS", "S3_REQUEST_ADDITIONAL_HEADERS"},
       .secret = true,
       .doc = "Headers added to every request: a YAML or JSON map, or a list of maps.",
       .kind = "YAML"}};
  config::Setting<int> retention_period{
      *this,
      {.name = "WALG_S3_RETENTION_PERIOD",
       .aliases = {"WALE_S3_RETENTION_PERIOD", "S3_RETENTION_PERIOD"},
       .initial = -1,
       .doc =
           "Seconds during which the service refuses to change or remove a new object; -1 leaves it to the bucket."}};
  config::Setting<std::string> retention_mode{
      *this,
      {.name = "WALG_S3_RETENTION_MODE",
       .aliases = {"WALE_S3_RETENTION_MODE", "S3_RETENTION_MODE"},
       .initial = "GOVERNANCE",
       .doc = "GOVERNANCE, or COMPLIANCE, which not even the account's owner can shorten.",
       .kind = "GOVERNANCE|COMPLIANCE"}};
  config::Setting<bool> disable_100_continue{
      *this,
      {.name = "WALG_S3_DISABLE_100_CONTINUE",
       .aliases = {"WALE_S3_DISABLE_100_CONTINUE", "S3_DISABLE_100_CONTINUE"},
       .initial = true,
       .doc =
           "false: before a body of 2mb and more is sent, the server is asked whether it wants it. That costs a round "
           "trip for each, and spares the bytes of those that are refused."}};
  config::Setting<std::string> enable_versioning{
      *this,
      {.name = "WALG_S3_ENABLE_VERSIONING",
       .aliases = {"WALE_S3_ENABLE_VERSIONING", "S3_ENABLE_VERSIONING"},
       .doc =
           "enabled: an object is removed with all its versions. Otherwise the bucket's rules decide what becomes of "
           "old versions.",
       .kind = "enabled|disabled"}};
  config::Setting<int> delete_batch_size{
      *this,
      {.name = "WALG_S3_DELETE_BATCH_SIZE",
       .aliases = {"WALE_S3_DELETE_BATCH_SIZE", "S3_DELETE_BATCH_SIZE"},
       .initial = 1000,
       .doc = "How many objects one request removes: 1000, the most that S3 takes, with 0 and below."}};
  config::Setting<bool> use_yc_session_token{
      *this,
      {.name = "WALG_S3_USE_YC_SESSION_TOKEN",
       .aliases = {"WALE_S3_USE_YC_SESSION_TOKEN", "S3_USE_YC_SESSION_TOKEN"},
       .doc = "Send the session token as X-YaCloud-SubjectToken as well, as Yandex Cloud wants it."}};
  config::Setting<std::string> log_level{*this,
                                         {.name = "WALG_S3_LOG_LEVEL",
                                          .aliases = {"WALE_S3_LOG_LEVEL", "S3_LOG_LEVEL"},
                                          .doc = "DEVEL: a log line for each request, without its headers.",
                                          .kind = "DEVEL"}};
};

}  // namespace seawall::storage::s3
