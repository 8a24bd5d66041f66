#pragma once

#include <string>
#include <string_view>

namespace seawall::storage::s3 {

struct S3Settings;

/// Bucket and path of "s3://bucket/path".
struct Place {
  std::string bucket;
  std::string path;  ///< "" or "some/where/", decoded
};
/// Errc::config, naming WALG_S3_PREFIX, for what is no such URL.
Place parse_prefix(std::string_view prefix);

/// How requests reach one bucket: host, style and base path. A value.
class Endpoint {
 public:
  /// Errc::config for endpoints that cannot be.
  Endpoint(const S3Settings& settings, std::string_view bucket);

  /// `key`: decoded, in the bucket; "" for the bucket itself. `region` counts for Amazon only, which has a host for
  /// each.
  std::string url(std::string_view region, std::string_view key) const;
  /// Nobody but Amazon keeps a bucket in a region that has to be found out.
  bool is_amazon() const noexcept { return host_.empty(); }
  bool tls() const noexcept { return scheme_ == "https"; }
  /// "Amazon S3", "http://127.0.0.1:7480".
  std::string description() const;
  /// The same bucket on an endpoint of another scheme.
  Endpoint with_scheme(std::string_view scheme) const;

 private:
  enum class Style { path, subdomain, host_is_bucket };

  void read_url(std::string_view url, std::string_view setting);
  Style style_of(const S3Settings& settings) const;

  std::string bucket_;
  std::string scheme_ = "https";
  std::string host_;  // with its port; empty: Amazon's
  std::string base_;  // "" or "/some/path"
  bool dual_stack_ = false;
  Style style_ = Style::subdomain;
};

}  // namespace seawall::storage::s3
