#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hh"
#include "storage/http/http.hh"
#include "storage/s3/credentials.hh"
#include "storage/s3/endpoint.hh"
#include "storage/s3/s3_settings.hh"
#include "storage/store.hh"

namespace seawall::storage::s3 {

using Headers = std::vector<http::Header>;

/// S3Settings, checked against each other and ready to be sent. A value.
struct Options {
  Place place;
  Endpoint endpoint;
  std::string region;           ///< as AWS_REGION has it, or empty
  std::string ca_file;          ///< or empty
  Headers every;                ///< of every request
  Headers customer_key;         ///< of requests that read or write an object's bytes, with a customer's key
  Headers customer_key_source;  ///< the same of the source of a copy
  Headers encryption;           ///< of what creates an object, without a customer's key
  std::string storage_class;
  std::optional<std::chrono::seconds> retention;
  std::string retention_mode;
  std::uint64_t most_part_bytes = 0;  ///< 0: not given
  unsigned upload_concurrency = 1;
  std::size_t delete_batch = 1000;
  bool validate = false;
  bool list_v1 = false;
  bool remove_versions = false;
  bool await_continue = true;
  bool subject_token = false;
  bool log_requests = false;
  std::string node_source;  ///< URL that tells the host to connect to, or empty
  unsigned node_port = 443;
  std::string node_scheme;  ///< "http", "https", or empty: the endpoint's

  /// Reached through `node` ("host:port") unless that is empty.
  Endpoint endpoint_through(std::string_view node) const;
  /// Of the request that creates an object: its class, encryption and retention.
  Headers creation(const PutOptions& put, Time now) const;
  /// With a customer's key or one of the key service, an ETag is no MD5.
  bool opaque_tags() const noexcept;
};

/// Errc::config for what cannot be, or contradicts itself.
Options read_options(const S3Settings& settings);

/// A YAML or JSON map of header names and values, or a list of such maps; empty text is none. Errc::config names the
/// setting, but no value.
Headers parse_headers(std::string_view yaml);

}  // namespace seawall::storage::s3
