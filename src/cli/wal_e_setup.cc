#include "cli/wal_e_setup.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.hh"
#include "base/text.hh"

namespace seawall::cli {
namespace {

/// Beside the prefixes, what would give WAL-E's archive another form.
constexpr std::array<std::string_view, 3> not_for_wal_e{"WALG_STORAGE_PREFIX", "WALG_COMPRESSION_METHOD",
                                                        "WALG_ZSTD_LEVEL"};
constexpr std::array<std::string_view, 4> credentials{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                                                      "AWS_SECURITY_TOKEN"};

bool is_prefix_of_storage(std::string_view name) {
  return (name.starts_with("WALG_") || name.starts_with("WALE_")) && name.ends_with("_PREFIX");
}

/// WAL-E's booleans of the environment.
bool truth(std::string_view name, const std::string& text) {
  const std::string value = lower(text);
  if (value.empty() || value == "false" || value == "0") return false;
  if (value == "true" || value == "1") return true;
  throw Error(Errc::usage, fmt::format("{} is '{}'; true, 1, false and 0 are possible", name, text));
}

/// Of stored names. For the log alone: who stores asks the codec.
std::string suffix_of(const std::string& compression) {
  if (compression == "zstd") return "zst";
  if (compression == "brotli") return "br";
  return compression == "none" ? "" : compression;
}

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

WalESetup::WalESetup(const WalEArguments& arguments, const char* const* environment) : arguments_(arguments) {
  given_.add_environment(environment);
  for (; *environment != nullptr; ++environment) environment_.emplace_back(*environment);
  given_.load(settings_);
  try {
    choose_prefix();
  } catch (const Error&) {
    // Told by configure(), to a log that exists by then.
  }
}

std::string WalESetup::value(std::string_view name) const {
  const auto found = given_.find(name);
  return found ? found->text : std::string();
}

WalELogSettings WalESetup::log_settings() const {
  return {.destinations = settings_.log_destination(),
          .facility = settings_.syslog_facility(),
          .terse = arguments_.terse,
          .url = fmt::format("{}://{}/{}", scheme_, place_, path_),
          .prefix = path_,
          .suffix = suffix_of(settings_.compression())};
}

/// The first that is set, in WAL-E's order.
void WalESetup::choose_prefix() {
  const std::array<std::pair<std::string_view, std::string>, 9> candidates{
      {{"--file-prefix", arguments_.file_prefix},
       {"--gs-prefix", arguments_.gs_prefix},
       {"--s3-prefix", arguments_.s3_prefix},
       {"--wabs-prefix", arguments_.wabs_prefix},
       {"WALE_FILE_PREFIX", value("WALE_FILE_PREFIX")},
       {"WALE_GS_PREFIX", value("WALE_GS_PREFIX")},
       {"WALE_S3_PREFIX", value("WALE_S3_PREFIX")},
       {"WALE_SWIFT_PREFIX", value("WALE_SWIFT_PREFIX")},
       {"WALE_WABS_PREFIX", value("WALE_WABS_PREFIX")}}};
  const auto chosen = std::find_if(candidates.begin(), candidates.end(),
                                   [](const auto& candidate) { return !candidate.second.empty(); });
  if (chosen == candidates.end()) {
    throw Error(Errc::config,
                "no storage prefix defined: set WALE_S3_PREFIX to s3://bucket/path or WALE_FILE_PREFIX to "
                "file://localhost/path, or give --s3-prefix or --file-prefix");
  }
  origin_ = chosen->first;
  prefix_ = chosen->second;
  const std::size_t mark = prefix_.find("://");
  scheme_ = mark == std::string::npos ? "" : lower(prefix_.substr(0, mark));
  constexpr std::array<std::string_view, 5> schemes{"s3", "wabs", "swift", "gs", "file"};
  if (!contains(schemes, scheme_)) {
    throw Error(Errc::config, fmt::format("{} is '{}': it begins with none of s3://, gs://, wabs://, swift:// and "
                                          "file://",
                                          origin_, prefix_));
  }
  const std::string rest = prefix_.substr(mark + 3);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  place_ = rest.substr(0, slash);
  std::string_view path = std::string_view(rest).substr(slash);
  while (path.starts_with('/')) path.remove_prefix(1);
  path_ = path;
  if (!path_.empty() && !path_.ends_with('/')) path_ += '/';
}

void WalESetup::check_s3() const {
  const std::string endpoint = value("WALE_S3_ENDPOINT");
  const std::size_t mark = endpoint.find("://");
  if (mark != std::string::npos && endpoint.find_first_of("/?#@", mark + 3) != std::string::npos) {
    throw Error(Errc::config,
                fmt::format("WALE_S3_ENDPOINT is '{}'; it has the form https+path://host:port, and nothing "
                            "else",
                            endpoint.find('@') == std::string::npos ? endpoint : "…@…"));
  }
  if (!value("WALE_S3_ENDPOINT").empty() || !value("AWS_ENDPOINT").empty()) return;
  if (!arguments_.instance_profile && !truth("AWS_INSTANCE_PROFILE", settings_.instance_profile())) {
    if (arguments_.access_key_id.empty() && value("AWS_ACCESS_KEY_ID").empty()) {
      throw Error(Errc::config,
                  "AWS_ACCESS_KEY_ID is not set: set it, give --aws-access-key-id, or take the "
                  "machine's credentials with --aws-instance-profile");
    }
    if (value("AWS_SECRET_ACCESS_KEY").empty()) throw Error(Errc::config, "AWS_SECRET_ACCESS_KEY is not set");
  }
  if (value("AWS_REGION").empty()) {
    throw Error(Errc::config, "AWS_REGION is not set; it is needed on Amazon, and WALE_S3_ENDPOINT for other services");
  }
}

void WalESetup::drop_from_environment() {
  const bool profile = arguments_.instance_profile || truth("AWS_INSTANCE_PROFILE", settings_.instance_profile());
  std::erase_if(environment_, [&](const std::string& variable) {
    const std::string_view name = std::string_view(variable).substr(0, variable.find('='));
    return is_prefix_of_storage(name) || contains(not_for_wal_e, name) || (profile && contains(credentials, name));
  });
}

void WalESetup::configure(config::Sources& sources) {
  if (const std::string retries = settings_.retries(); !retries.empty() && !parse_int<long long>(trim(retries))) {
    throw Error(Errc::usage, fmt::format("WALE_RETRIES is '{}', which is no number", retries));
  }
  drop_from_environment();
  choose_prefix();
  if (scheme_ == "s3") check_s3();
  std::vector<const char*> pointers;
  for (const std::string& variable : environment_) pointers.push_back(variable.c_str());
  pointers.push_back(nullptr);
  sources.add_environment(pointers.data());
  const auto set = [&](std::string_view key, const std::string& text, std::string_view origin) {
    if (!text.empty()) sources.add_flag(key, text, origin);
  };
  if (scheme_ == "file") {
    file_root_ = "/" + path_;
    set("WALG_FILE_PREFIX", file_root_, origin_);
  } else if (scheme_ == "s3") {
    set("WALG_S3_PREFIX", prefix_, origin_);
    const bool amazon = value("WALE_S3_ENDPOINT").empty() && value("AWS_ENDPOINT").empty();
    if (amazon && !sources.find("WALG_S3_SSE") && !sources.find("WALE_S3_SSE")) {
      set("WALG_S3_SSE", "AES256", "wal-e");  // WAL-E always asks for it, and policies of buckets insist on it
    }
  } else {
    throw Error(Errc::unsupported,
                fmt::format("{} is '{}': storage on {} is not built into this version of seawall; s3 "
                            "and file are",
                            origin_, prefix_, scheme_));
  }
  set("WALG_COMPRESSION_METHOD", settings_.compression(), "SEAWALL_WALE_COMPRESSION");
  set("WALG_GPG_KEY_ID", arguments_.gpg_key_id, "--gpg-key-id");
  set("AWS_ACCESS_KEY_ID", arguments_.access_key_id, "--aws-access-key-id");
  // WAL-E asks in this database, whoever the user is.
  if (!sources.find("PGDATABASE")) set("PGDATABASE", "postgres", "wal-e");
  const auto retries = parse_int<long long>(trim(settings_.retries()));
  if (retries && *retries > 0 && !sources.find("WALG_S3_MAX_RETRIES")) {
    set("WALG_S3_MAX_RETRIES", fmt::to_string(std::min(*retries, 1000LL)), "WALE_RETRIES");
  }
}

}  // namespace seawall::cli
