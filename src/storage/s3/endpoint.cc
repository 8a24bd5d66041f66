#include "storage/s3/endpoint.hh"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.hh"
#include "base/text.hh"
#include "storage/http/http.hh"
#include "storage/s3/s3_settings.hh"

namespace seawall::storage::s3 {
namespace {

[[noreturn]] void refuse(std::string_view setting, std::string_view value, std::string_view why) {
  throw Error(Errc::config, fmt::format("{} '{}': {}", setting, value, why));
}

std::string percent_decode(std::string_view text, std::string_view prefix) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    const auto code = i + 2 < text.size() ? parse_int<unsigned>(text.substr(i + 1, 2), 16) : std::nullopt;
    if (!code || *code == 0) refuse("WALG_S3_PREFIX", prefix, "a % is followed by two hexadecimal digits, not 00");
    plain += static_cast<char>(*code);
    i += 2;
  }
  return plain;
}

/// May it be one part of a host's name, or, with dots, several?
bool is_host_name(std::string_view bucket) {
  if (bucket.size() < 3 || bucket.size() > 63) return false;
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  if (!std::all_of(bucket.begin(), bucket.end(), good)) return false;
  for (const std::string_view part : split(bucket, '.')) {
    if (part.empty() || part.starts_with('-') || part.ends_with('-')) return false;
  }
  return true;
}

bool is_address(std::string_view host) {
  if (host.starts_with('[')) return true;
  in_addr address{};
  return ::inet_pton(AF_INET, std::string(host.substr(0, host.find(':'))).c_str(), &address) == 1;
}

}  // namespace

Place parse_prefix(std::string_view prefix) {
  constexpr std::string_view scheme = "s3://";
  constexpr std::string_view setting = "WALG_S3_PREFIX";
  if (lower(prefix.substr(0, scheme.size())) != scheme) refuse(setting, prefix, "it has the form s3://bucket/path");
  std::string_view rest = prefix.substr(scheme.size());
  if (rest.find_first_of("?#") != std::string_view::npos) {
    refuse(setting, prefix, "? and # cannot be part of it; write them as %3F and %23");
  }
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  Place place{.bucket = std::string(rest.substr(0, slash)), .path = {}};
  if (place.bucket.empty()) refuse(setting, prefix, "the bucket is missing: s3://bucket/path");
  if (place.bucket.find_first_of(":@%\\ ") != std::string::npos) {
    refuse(setting, prefix, "between s3:// and the next / is the bucket's name, and nothing else");
  }
  rest.remove_prefix(slash);
  while (rest.starts_with('/')) rest.remove_prefix(1);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  place.path = percent_decode(rest, prefix);
  if (!place.path.empty()) place.path += '/';
  return place;
}

void Endpoint::read_url(std::string_view url, std::string_view setting) {
  std::string_view rest = url;
  if (const std::size_t mark = url.find("://"); mark != std::string_view::npos) {
    scheme_ = lower(url.substr(0, mark));
    rest.remove_prefix(mark + 3);
  }
  if (scheme_ != "http" && scheme_ != "https") refuse(setting, url, "the scheme is http or https");
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  host_ = rest.substr(0, slash);
  base_ = rest.substr(slash);
  while (base_.ends_with('/')) base_.pop_back();
  if (host_.empty() || host_.starts_with(':')) refuse(setting, url, "the host is missing");
  if (rest.find_first_of("@?# \t") != std::string_view::npos) {
    refuse(setting, "…", "an endpoint has a host, a port and perhaps a path; no user, no query");
  }
  // So that what is Amazon's is treated as such: regions have hosts of their own there.
  const std::string_view name = std::string_view(host_).substr(0, host_.find(':'));
  if (name == "s3.amazonaws.com" && scheme_ == "https") host_.clear();
}

Endpoint::Style Endpoint::style_of(const S3Settings& settings) const {
  if (settings.force_path_style() || !is_host_name(bucket_) || is_address(host_)) return Style::path;
  // A certificate for *.host covers no name with one more dot.
  if (tls() && bucket_.find('.') != std::string::npos) return Style::path;
  return Style::subdomain;
}

Endpoint::Endpoint(const S3Settings& settings, std::string_view bucket)
    : bucket_(bucket), dual_stack_(settings.dual_stack()) {
  if (!settings.endpoint().empty()) {
    read_url(settings.endpoint(), "AWS_ENDPOINT");
  } else if (!settings.wale_endpoint().empty()) {
    const std::string& text = settings.wale_endpoint();
    const std::size_t plus = text.find('+');
    const std::size_t mark = text.find("://");
    if (mark == std::string::npos || plus > mark) {
      refuse("WALE_S3_ENDPOINT", text, "it has the form https+path://host:port");
    }
    const std::string_view style = std::string_view(text).substr(plus + 1, mark - plus - 1);
    read_url(text.substr(0, plus) + text.substr(mark), "WALE_S3_ENDPOINT");
    if (style == "path") {
      style_ = Style::path;
    } else if (style == "virtualhost") {
      style_ = Style::host_is_bucket;
    } else if (style == "subdomain") {
      style_ = style_of(settings);
    } else {
      refuse("WALE_S3_ENDPOINT", text, "path, virtualhost or subdomain follows the +");
    }
    return;
  }
  style_ = style_of(settings);
}

std::string Endpoint::url(std::string_view region, std::string_view key) const {
  std::string host = host_;
  if (host.empty()) {
    host = fmt::format("s3.{}{}.amazonaws.com{}", dual_stack_ ? "dualstack." : "", region,
                       region.starts_with("cn-") ? ".cn" : "");
  }
  std::string url = fmt::format("{}://", scheme_);
  if (style_ == Style::subdomain) url.append(bucket_).append(1, '.');
  url.append(host).append(base_).append(1, '/');
  if (style_ == Style::path) {
    url.append(http::percent_encode(bucket_, false));
    if (!key.empty()) url += '/';
  }
  return url.append(http::percent_encode(key, true));
}

std::string Endpoint::description() const {
  return is_amazon() ? "Amazon S3" : fmt::format("{}://{}{}", scheme_, host_, base_);
}

Endpoint Endpoint::with_scheme(std::string_view scheme) const {
  Endpoint copy = *this;
  copy.scheme_ = scheme;
  return copy;
}

}  // namespace seawall::storage::s3
